"""The paper's printed numbers: complete, and where they contradict themselves it is said."""

import csv
import re
from decimal import Decimal

import pytest

from fxcore.params.registry import registry
from fxcore.passes import Task
from fxcore.report.published import HERE, pretraining

ROWS = list(csv.DictReader((HERE / "pretraining.csv").read_text().splitlines()))

PRETRAINING = {key: one for key, one in registry().items() if one.paper and one.paper <= 11}


def test_there_is_a_row_for_each_of_the_twenty_heads():
    heads = [(key, task) for key, one in PRETRAINING.items() for task in Task if one.classes(task)]
    assert [(row["dataset"], row["task"]) for row in ROWS] == heads
    assert len(heads) == 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['dataset']} {row['task']}")
def test_the_printed_difference_follows_from_the_printed_values_or_the_note_says_it_does_not(row):
    difference = Decimal(row["foundation_x"]) - Decimal(row["baseline"])
    if difference == Decimal(row["printed_difference"]):
        assert row["note"] == ""
    else:
        assert row["note"] == f"the printed difference does not follow from the printed values ({difference:+})"


def test_values_are_those_of_the_specification(shared):
    lines = shared("spec/foundation-x.md").read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("11.1 Pre-training"))
    found = []
    for key, line in zip(PRETRAINING, lines[start + 3 :], strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for task, baseline, joint in zip(Task, cells[1:4], cells[4:7], strict=True):
            if baseline:
                values = re.match(r"([\d.]+) \(\**([+−-][\d.]+)", joint)
                found.append([key, task, baseline, values[1], values[2].replace("−", "-")])
    columns = ("dataset", "task", "baseline", "foundation_x", "printed_difference")
    assert [[row[column] for column in columns] for row in ROWS] == found


def test_two_rows_contradict_themselves():
    assert [(row["dataset"], row["task"], row["printed_difference"]) for row in ROWS if row["note"]] == [
        ("tbx11k", "localization", "+6.72"),
        ("candid_ptx", "classification", "+7.25"),
    ]


def test_every_number_has_a_source_and_is_a_percentage():
    for row in ROWS:
        assert row["source"]
        assert all(0 < float(row[column]) < 100 for column in ("baseline", "foundation_x"))


def test_tables_read_what_the_file_says():
    found = pretraining()
    assert len(found) == 20
    siim = found["siim_acr", "segmentation"]
    assert (siim.baseline, siim.foundation_x, siim.note) == (81.92, 83.65, "")
    assert found["tbx11k", "localization"].note.endswith("(+3.72)")
    assert ("siim_acr", "detection") not in found
