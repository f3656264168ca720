"""The heads of an ensemble, then the ensemble; the slides' four rows beside or after them."""

import pytest

from fxcore.errors import InputError
from fxcore.report.cxrlt import cxrlt_ensemble
from tests.report.cxrlt.study import METRICS, SLICE, found, head, shown, study

AT = {f"mld{size}": head(resolution=size) for size in (512, 336, 448)}
THREE = SLICE | {"heads": AT, "ensembles": {"three": {"title": "Three", "heads": list(AT)}}}
FOUND = {**{name: found(0.2, 0.25) for name in AT}, "three": found(0.3, 0.3, ensemble=True)}


def test_members_then_the_ensemble_then_the_slides(tmp_path):
    rows = shown(cxrlt_ensemble(study(tmp_path)))
    assert [(one["ensemble"], one["name"], one["resolution"], one["Task 1, mAP"]) for one in rows] == [
        ("Two resolutions", "tiny", "32", "11.0 [9.9, 12.1]"),
        ("Two resolutions", "mld", "336", "32.0 [28.8, 35.2]"),
        ("Two resolutions", "two", "of its heads", "34.0 [30.6, 37.4]"),
        ("the slides", "–", "448", "no such head"),
        ("the slides", "–", "512", "no such head"),
        ("the slides", "–", "336+448+512", "no such head"),
    ]
    assert [one["published Task 2, mAP"] for one in rows] == [
        *("not in the slides", "32.3", "not in the slides", "32.3", "34.2", "35.4"),
    ]


def test_three_resolutions_are_held_against_the_slides_in_any_order(tmp_path):
    table = cxrlt_ensemble(study(tmp_path, THREE, FOUND))
    assert shown(table)[-1] == {
        "ensemble": "Three",
        "name": "three",
        "architecture": "of its heads",
        "resolution": "of its heads",
        "head": "ensemble",
        "label augmentation": "of its heads",
        "Task 1, mAP": "30.0 [27.0, 33.0]",
        "Task 2, mAP": "40.0 [36.0, 44.0]",
        "published Task 1, mAP": "27.1",
        "published Task 2, mAP": "35.4",
        "published label augmentation": "yes",
        "images (studies, patients)": "1,200 (1,100, 1,000)",
        "note": "published: which label augmentation is not said, nor which aggregation",
    }
    assert [one["published Task 1, mAP"] for one in shown(table)] == ["25.9", "23.5", "23.6", "27.1"]
    mine = table.records[-1]
    assert (mine["ensemble"], mine["head"], mine["metrics"]) == ("three", "three", "cxrlt/three.json")
    assert (mine["task1_map"], mine["task2_map_high"], mine["published_task1_map"]) == (30, 44, 27.1)


def test_without_hand_labels_there_is_one_task(tmp_path):
    table = cxrlt_ensemble(study(tmp_path, SLICE | {"gold": None}))
    assert [name for name in table.header if "mAP" in name] == ["Task 1, mAP", "published Task 1, mAP"]
    assert not [name for name in table.records[0] if "task2" in name]


def test_a_head_without_predictions_is_named_once_a_task(tmp_path):
    table = cxrlt_ensemble(study(tmp_path, metrics=METRICS | {"tiny": {}}))
    assert table.missing == [
        f"tiny, task {task}, dev, average, Task {task}, mAP: no predictions for the development set" for task in (1, 2)
    ]


def test_records_have_one_shape_and_say_phantom(tmp_path):
    table = cxrlt_ensemble(study(tmp_path))
    assert len({tuple(one) for one in table.records}) == 1
    assert all((one["head"] is None) == (one["task1_map"] is None) for one in table.records)
    assert table.caption.startswith("Phantom data")


def test_without_ensembles_there_is_no_table(tmp_path):
    with pytest.raises(InputError, match=r"cxrlt\.ensembles is empty"):
        cxrlt_ensemble(study(tmp_path, SLICE | {"ensembles": {}}))
