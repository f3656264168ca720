"""Heads on the development set: a row a head and aggregation, and the slides' numbers where they have such a row."""

import pytest

from fxcore.errors import InputError
from fxcore.report.cxrlt import cxrlt_task1, cxrlt_task2
from tests.report.cxrlt.study import METRICS, SLICE, both, cell, head, metric, shown, study
from tests.report.study import number


@pytest.fixture
def table(tmp_path):
    return cxrlt_task1(study(tmp_path))


def test_a_row_a_head_and_aggregation_with_the_slides_number_in_a_cell_of_its_own(table):
    assert shown(table)[1] == {
        "name": "mld",
        "architecture": "ViT-L",
        "resolution": "336",
        "head": "ML-Decoder",
        "epochs": "10, stopped after 2",
        "aggregation": "average",
        "label augmentation": "none",
        "mAP": "32.0 [28.8, 35.2]",
        "Δ average": "+2.0 [-1.0, +3.0]",
        "mAUC": "80.0 [72.0, 88.0]",
        "mF1": "25.0 [22.5, 27.5]",
        "ECE": "5.0 [4.5, 5.5]",
        "mAP, frequent (head) classes": "32.0 (1)",
        "mAP, medium classes": "32.0 (2)",
        "mAP, rare (tail) classes": "32.0 (1)",
        "published mAP": "24.49",
        "images (studies, patients)": "1,200 (1,100, 1,000)",
        "note": "",
    }


def test_aggregations_and_published_rows_are_matched(table):
    ours = shown(table)[:6]
    assert [(one["name"], one["aggregation"], one["label augmentation"], one["published mAP"]) for one in ours] == [
        ("mld", "none", "none", "23.11"),
        ("mld", "average", "none", "24.49"),
        ("pair", "CLS concat", "none", "19.43"),
        ("pair", "CLS concat, average", "none", "not in the slides"),
        ("tiny", "none", "CheXpert", "not in the slides"),
        ("tiny", "average", "CheXpert", "not in the slides"),
    ]
    assert [one["Δ average"] for one in ours[:2]] == ["reference", "+2.0 [-1.0, +3.0]"]


def test_rows_of_the_slides_without_a_head_follow(table):
    theirs = shown(table)[6:]
    assert len(theirs) == 12 - 3  # one of 13 is an ensemble
    assert {one["mAP"] for one in theirs} == {one["ECE"] for one in theirs} == {"no such head"}
    one = next(one for one in theirs if one["epochs"] == "50")
    assert (one["architecture"], one["resolution"], one["published mAP"]) == ("ViT-B", "336", "18.42")
    augmented = [one["published mAP"] for one in theirs if one["label augmentation"] == "yes"]
    assert augmented == ["23.5", "23.6", "25.9"]


def test_records_name_the_head_and_its_file_and_never_mix(table):
    mine = table.records[1]
    assert (mine["head"], mine["metrics"]) == ("mld", "cxrlt/mld.json")
    assert (mine["map"], mine["map_low"], mine["published_map"], mine["gain"], mine["stop"]) == (32, 28.8, 24.49, 2, 2)
    assert (mine["map_medium"], mine["classes_medium"]) == (32, 2)
    assert table.records[0]["note"] == "no Δ average: this is what the average is held against"
    theirs = table.records[6:]
    assert all(one["head"] is one["map"] is one["mauc"] is None and one["published_map"] for one in theirs)
    assert theirs[0]["note"] == "no number of ours: no such head"
    assert len({tuple(one) for one in table.records}) == 1


def test_task_2_has_its_own_numbers(tmp_path):
    table = cxrlt_task2(study(tmp_path))
    one = shown(table)[1]
    assert (one["mAP"], one["published mAP"]) == ("42.0 [37.8, 46.2]", "33.30")
    assert one["mAP, rare (tail) classes"] == "–"
    assert one["note"] == "no mAP, rare (tail) classes: there are no such classes"
    assert "the classes that CXR-LT gold has" in table.caption
    assert table.missing == []


def test_without_a_hand_labelled_dataset_there_is_no_task_2(tmp_path):
    with pytest.raises(InputError, match=r"cxrlt\.gold is null"):
        cxrlt_task2(study(tmp_path, SLICE | {"gold": None}))


def test_classes_without_a_number_are_counted_and_named(tmp_path):
    holed = {"Edema": 0.4, "Mass": 0.2, "Nodule": None, "Fissure": None}
    changes = {
        "map": metric(0.3, holed, Nodule="no positives", Fissure="no positives"),
        "groups": {"head": number(0.4) | {"classes": 1}, "medium": number(0.2) | {"classes": 1}}
        | {"tail": number(None) | {"classes": 0}},
    }
    metrics = METRICS | {"mld": {"dev": {"task1": both(0.3, 0.3, 0.0, **changes)}}}
    table = cxrlt_task1(study(tmp_path, metrics=metrics))
    assert shown(table)[0]["note"] == (
        "no mAP, rare (tail) classes: none of them has a number;"
        " 2 of 4 classes have no positives in the development set (Fissure, Nodule)"
    )
    assert shown(table)[0]["mAP, medium classes"] == "20.0 (1)"
    assert table.missing == [
        f"mld, task 1, dev, {of}, mAP, rare (tail) classes: none of them has a number" for of in ("none", "average")
    ]


def test_what_was_not_predicted_is_missing(tmp_path):
    none = {"none": cell(None, map=metric(None, {"Edema": None}, Edema="no positives"))}
    table = cxrlt_task1(study(tmp_path, metrics=METRICS | {"mld": {"dev": {"task1": none}}}))
    assert shown(table)[0]["mAP"] == "–"
    assert "no mAP: 1 of 1 classes has no positives in the development set (Edema)" in shown(table)[0]["note"]
    assert "mld, task 1, dev, average, mAUC: no predictions for the development set" in table.missing
    assert (shown(table)[1]["mAP"], shown(table)[1]["images (studies, patients)"]) == ("–", "–")


def test_a_head_with_label_augmentation_is_held_against_such_a_row(tmp_path):
    slice_ = SLICE | {"heads": {"mld": head(resolution=512, labels=["chexpert", "own"])}, "ensembles": {}}
    rows = shown(cxrlt_task1(study(tmp_path, slice_)))
    assert [rows[0]["published mAP"], rows[1]["published mAP"]] == ["not in the slides", "25.9"]
    assert rows[1]["label augmentation"] == "CheXpert, Own"
    assert rows[1]["note"] == "published: which label augmentation is not said, nor which aggregation"


def test_heads_on_other_data_are_held_against_no_published_row(tmp_path):
    rows = shown(cxrlt_task1(study(tmp_path, adapter="folder")))
    assert {one["published mAP"] for one in rows[:6]} == {"not in the slides"}
    assert len(rows) == 6 + 12


def test_captions_say_what_the_pictures_are(tmp_path, table):
    assert table.caption.startswith("Phantom data: synthetic pictures, not radiographs. Development set of CXR-LT 2024")
    assert "95 % bootstrap intervals over patients" in table.caption
    assert cxrlt_task1(study(tmp_path / "real", synthetic=False)).caption.startswith("Real radiographs.")


def test_without_heads_there_is_no_table(tmp_path):
    with pytest.raises(InputError, match=r"cxrlt\.heads is empty"):
        cxrlt_task1(study(tmp_path, SLICE | {"heads": {}, "ensembles": {}}))
