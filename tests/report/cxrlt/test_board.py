"""Test sets: our rows first, published rows apart and with their ranks."""

import pytest

from fxcore.errors import InputError
from fxcore.report.cxrlt import cxrlt_test
from tests.report.cxrlt.study import METRICS, SLICE, shown, study


@pytest.fixture
def table(tmp_path):
    return cxrlt_test(study(tmp_path))


def test_ours_then_theirs_for_each_task(table):
    rows = shown(table)
    of = [(one["task"], one["whose"]) for one in rows]
    ours = 3 * 2 + 1  # heads with two aggregations, an ensemble with one
    assert of == [
        *[("Task 1", "ours")] * ours,
        *[("Task 1", "published")] * 8,
        *[("Task 2", "ours")] * ours,
        *[("Task 2", "published")] * 14,
    ]


def test_the_ensemble_on_hand_labelled_images(table):
    mine = next(one for one in shown(table) if (one["task"], one["title"]) == ("Task 2", "Two resolutions"))
    assert mine == {
        "task": "Task 2",
        "whose": "ours",
        "title": "Two resolutions",
        "aggregation": "average",
        "mAP": "54.0 [48.6, 59.4]",
        "mAUC": "80.0 [72.0, 88.0]",
        "mF1": "25.0 [22.5, 27.5]",
        "ECE as on the board": "70.0 [63.0, 77.0]",
        "ranks (mAP, mAUC, mF1, mECE)": "not ranked",
        "images (studies, patients)": "1,200 (1,100, 1,000)",
        "note": "",
    }


def test_the_board_as_it_is_printed(table):
    theirs = next(one for one in shown(table) if one["title"] == "yangz16")
    assert list(theirs.values()) == [
        *("Task 2", "published", "yangz16", "not said", "51.1", "83.6", "26.5", "74.4", "3, 1, 9, 10", "–"),
        "the authors of the slides",
    ]
    anchor = next(one for one in shown(table) if one["title"].startswith("TResNet-L") and one["task"] == "Task 2")
    assert (anchor["mAP"], anchor["mAUC"], anchor["ranks (mAP, mAUC, mF1, mECE)"]) == (
        *("45.43", "not said"),
        "not on the board",
    )
    assert anchor["note"] == "not published: mAUC, mF1, mECE; single image; input size not confirmed"


def test_no_record_has_both_a_measured_and_a_published_number(table):
    assert len({tuple(one) for one in table.records}) == 1
    for one in table.records:
        measured = {name for name in ("map", "mauc", "mf1", "ece_board") if one[name] is not None}
        published = {name for name in one if name.startswith("published") and one[name] is not None}
        assert (bool(measured), bool(published)) == (one["whose"] == "ours", one["whose"] == "published")
        assert (one["head"] is not None) == (one["whose"] == "ours")
    best = next(one for one in table.records if one["title"] == "XYPB" and one["task"] == "task2")
    assert (best["published_map"], best["published_mece_rank"], best["set"]) == (52.6, 6, "gold")


def test_a_head_that_was_not_tested_is_missing(tmp_path):
    dev = {"dev": METRICS["pair"]["dev"]}
    table = cxrlt_test(study(tmp_path, metrics=METRICS | {"pair": dev}))
    assert "pair, task 2, gold, none, mAP: no predictions for the hand-labelled images" in table.missing
    assert len(table.missing) == 2 * 2 * 4  # aggregations, tasks, metrics


def test_without_hand_labels_there_is_one_task(tmp_path):
    assert {one["task"] for one in shown(cxrlt_test(study(tmp_path, SLICE | {"gold": None})))} == {"Task 1"}


def test_the_caption_says_phantom_and_what_the_boards_ece_is(table):
    assert table.caption.startswith("Phantom data")
    assert "does not say how it measures mECE" in table.caption


def test_without_heads_there_is_no_table(tmp_path):
    with pytest.raises(InputError, match=r"cxrlt\.heads is empty"):
        cxrlt_test(study(tmp_path, SLICE | {"heads": {}, "ensembles": {}}))
