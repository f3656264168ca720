"""The printed numbers of CXR-LT: those of the specification, as printed."""

import re
from decimal import Decimal

import pytest

from fxcore.data.adapters.cxr_lt_2024 import FINDINGS
from fxcore.params.registry import registry
from fxcore.report.published import cxrlt, rows
from fxcore.report.published.cxrlt import BOARD, Model, development, images, in_percent, settings

FILES = ("cxrlt_data", "cxrlt_dev", "cxrlt_test", "cxrlt_anchors", "cxrlt_settings")


def _tables(shared, section):
    """The tables of a section of the specification, each a list of rows of cells without the heading."""
    text = shared("spec/cxr-lt.md").read_text()
    body = re.search(rf"^#+ {re.escape(section)}.*?\n(.*?)(?=^#)", text, re.M | re.S)[1]
    found, lines = [], []
    for line in [*body.splitlines(), ""]:
        if line.startswith("|"):
            lines.append([cell.strip().replace("*", "") for cell in line.strip("|").split("|")])
        elif lines:
            found.append(lines[2:])
            lines = []
    return found


def test_development_rows_are_those_of_the_specification(shared):
    single, resolutions, _ = _tables(shared, "8. ")
    theirs = [
        [*name.split("@"), head.replace("ML-Decoder", "ml_decoder"), aggregation.replace("CLS ", ""), *values]
        for name, aggregation, head, *values in single
    ]
    ours = [
        [
            *(row["architecture"], row["resolution"]),
            row["head"] + (", 50 epochs" if row["epochs"] == "50" else ""),
            *(row["aggregation"], row["task1"], row["task2"]),
        ]
        for row in rows("cxrlt_dev")
    ]
    assert ours[:9] == theirs
    assert [[row["task1"], row["task2"]] for row in rows("cxrlt_dev")[9:]] == [values for _, *values in resolutions]
    named = [name.partition("@")[2] or "336+448+512" for name, *_ in resolutions]
    assert [row["resolution"] for row in rows("cxrlt_dev")[9:]] == named


def test_the_board_is_that_of_the_specification(shared):
    board = _tables(shared, "8. ")[2]
    theirs = [
        [user, entries, *(part for cell in cells for part in cell.rstrip(")").split(" ("))]
        for _, user, entries, *cells in board
    ]
    columns = ("system", "entries", *(f"{metric}{end}" for metric in BOARD for end in ("", "_rank")))
    assert [[row[column] for column in columns] for row in rows("cxrlt_test")] == theirs
    assert len(theirs) == 13


@pytest.mark.parametrize("metric", BOARD)
def test_ranks_follow_the_values(metric):
    board = [one for one in cxrlt.tested() if one.ranks]
    order = sorted(board, key=lambda one: one.ranks[metric])
    assert [one.ranks[metric] for one in order] == list(range(1, 14))
    values = [one.values[metric] for one in order]
    assert values == sorted(values, reverse=metric != "mece")


def test_images_are_those_of_the_specification_and_add_up(shared):
    (table,) = _tables(shared, "1.1 ")
    pretraining = [one.images for one in images() if one.use == "pretraining"]
    assert [f"{number:,}" for number in (*pretraining, sum(pretraining))] == [cells[1] for cells in table]
    assert {one.key for one in images() if one.key} <= set(registry())
    labels = {one.part: one.images for one in images() if one.use == "labels"}
    splits = registry()["cxr_lt_2024"].expected.splits
    assert (labels["train"] + labels["holdout"], labels["dev"], labels["test"]) == tuple(splits.values())
    assert pretraining[0] == labels["train"]


def test_anchors_are_in_the_specification(shared):
    text = shared("spec/cxr-lt.md").read_text()
    section = text[text.index("## 13.") : text.index("## 14.")]
    for row in rows("cxrlt_anchors"):
        for column in ("map", "mauc", "mf1"):
            assert row[column] in section, row


def test_crops_and_batches_of_stages_are_those_of_the_specification(shared):
    (table,) = _tables(shared, "2.2 ")
    found = {one.key: one for one in settings()}
    for stage, _, local, per_gpu, gpus, batch, _ in table:
        ours = found[f"{stage}.local"]
        assert local in (ours.repository, f"SEED {ours.slides}, repo yaml {ours.repository}")
        first = found[f"{stage}.batch_size"].repository.partition(" ")[0]
        assert first == batch.partition(" ")[0]
        if per_gpu.isdigit():
            assert int(per_gpu) * int(gpus) == int(first)
    assert found["512.batch_size"].log.startswith("112")


def test_every_line_has_a_source_and_every_key_once():
    for name in FILES:
        assert all("spec" in row["source"] for row in rows(name)), name
    keys = [one.key for one in settings()]
    assert len(keys) == len(set(keys))


def test_rows_are_found_by_what_they_are_of():
    found = development()[Model("ViT-L", "336", "ml_decoder", 10, "average", label_augmentation=False)]
    assert found.tasks == {"task1": Decimal("0.2449"), "task2": Decimal("0.3330")}
    assert [one.resolution for one in development() if one.several] == ["336+448+512"]
    assert len(development()) == 13


def test_percentages_keep_the_printed_digits():
    assert [in_percent(Decimal(share)) for share in ("0.3330", "0.235", "0.5", "0.051")] == [
        "33.30",
        "23.5",
        "50",
        "5.1",
    ]


def test_there_are_forty_classes_in_task_1():
    assert len(FINDINGS) == 40
