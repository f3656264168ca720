"""The paper's printed numbers: complete, and where they contradict themselves it is said."""

import csv
import re
from decimal import Decimal

import pytest

from fxcore.params.experiment import load
from fxcore.params.registry import registry
from fxcore.passes import Task
from fxcore.report.published import HERE, claims, few_shot, finetuning, organs, pretraining, transfer
from tests.conftest import PROJECT

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


def _rows(name):
    return list(csv.DictReader((HERE / f"{name}.csv").read_text().splitlines()))


def _specified(shared, title, rows):
    """The lines of a table of the specification, as cells."""
    lines = shared("spec/foundation-x.md").read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(title))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start + 3 : start + 3 + rows]]


def test_organs_are_those_of_the_specification(shared):
    found = []
    for organ, *baseline, loc, seg in _specified(shared, "11.2 ", 3):
        for task, alone, joint in zip(("localization", "segmentation"), baseline, (loc, seg), strict=True):
            value, difference = re.match(r"([\d.]+) \((.*)\)", joint).groups()
            found.append(["chexmask_vindr", task, organ.title(), alone, value, difference])
    columns = ("dataset", "task", "organ", "baseline", "foundation_x", "printed_difference")
    assert [[row[column] for column in columns] for row in _rows("organs")] == found


def test_transfer_and_few_shot_are_those_of_the_specification(shared):
    columns = ("ark", "popar", "foundation_x", "printed_difference")
    for name, title, number in (("transfer", "11.3 ", 5), ("few_shot", "11.4 ", 6)):
        found = [
            [key, ark, popar, *re.match(r"([\d.]+) \((.*)\)", joint).groups()]
            for key, ark, popar, joint in _specified(shared, title, number)
        ]
        ours = [[row[column] for column in columns] for row in _rows(name)]
        assert sorted(ours) == sorted(cells for _, *cells in found)
    samples = {cells[0]: cells[1:] for cells in _specified(shared, "11.4 ", 6)}
    assert [[row["samples"], row["ark"]] for row in _rows("few_shot")] == [
        [number, samples[number][0]] for number in ("3", "6", "12", "15", "20", "24")
    ]


@pytest.mark.parametrize("name", ["organs", "transfer", "few_shot"])
def test_printed_differences_follow_from_the_better_of_the_others(name):
    for row in _rows(name):
        others = [Decimal(row[column]) for column in ("baseline", "ark", "popar") if column in row]
        assert Decimal(row["foundation_x"]) - max(others) == Decimal(row["printed_difference"]), row


def test_every_file_is_read_by_its_key():
    assert organs()["chexmask_vindr", "segmentation", "Left Lung"].foundation_x == 97.57
    assert transfer()["vindr_ribcxr"].of("POPAR") == 61.17
    assert transfer()["montgomery"].of("ImageNet") is None
    assert few_shot()["jsrt_clavicle", 6].ark > few_shot()["jsrt_clavicle", 12].ark
    assert [number for number in (6, 12) if few_shot()["jsrt_clavicle", number].note] == [6, 12]
    assert finetuning() == {"full": 15.5, "head": 14.3, "baseline": 12.25}


def test_keys_are_those_of_the_default_experiment():
    datasets = load(PROJECT / "params.yaml").datasets
    assert {*transfer(), *(key for key, _ in few_shot()), *(key for key, *_ in organs())} <= set(datasets)
    assert {one.dataset for one in claims() if one.dataset} <= set(datasets)
