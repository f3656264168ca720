"""The tables about splits from handmade counts: what leaks, which run may, and what a split does to a number."""

import io

import pandas as pd

from fxcore import paths, tablefile
from fxcore.files import read_json, write_json
from fxcore.report.leakage import leakage
from fxcore.report.leakage_map import leakage as drawn
from fxcore.report.splits import splits
from fxcore.slices.make import table_slice

PHANTOM = {"source": "phantom", "phantom": {"train": 1, "val": 1, "test": 1}}
VISITS = {"nih14": ["classification"], "rsna_pneumonia": ["classification"]}
LENGTH = {"cycles": 1, "horizon_cycles": 1}
REASON = "shows what it does"
PARTS = {
    "seen": {"images": 5, "value": 0.75, "low": 0.5, "high": 1.0},
    "unseen": {"images": 15, "value": 0.5, "low": 0.25, "high": 0.75},
}
LISTS = """policy,held_dataset,held_split,other_dataset,other_split,images,patients,groups,affected,of
official,nih14,test,rsna_pneumonia,train,3,4,5,6,24
official,nih14,val,rsna_pneumonia,train,1,1,1,1,8
leak_free,nih14,train,rsna_pneumonia,train,7,7,7,7,100
published,rsna_pneumonia,test,rsna_pneumonia,train,0,2,2,5,20
as split here,rsna_pneumonia,test,rsna_pneumonia,train,0,1,1,2,20
as split here,rsna_pneumonia,test,nih14,train,1,1,1,1,20
"""


def _results(tiny, handmade, affected=0, parts=PARTS):
    runs = {
        "joint": {"title": "Joint", "role": "joint", "train": {"visits": VISITS, **LENGTH}},
        "leaky": {
            "title": "Leaky",
            "role": "split",
            "of": "joint",
            "train": {"visits": {"rsna_pneumonia": ["classification"]}, **LENGTH},
        },
    }
    params = tiny(
        datasets=dict.fromkeys(VISITS, PHANTOM), runs=runs, report={}, splits={"allow_leakage": {"leaky": REASON}}
    )
    auc = {"value": 0.625, "low": 0.5, "high": 0.75}
    cell = {"metric": "auc", "student": {"images": 20, "auc": auc}}
    metrics = {
        "joint": {key: {"classification": cell} for key in VISITS},
        "leaky": {"rsna_pneumonia": {"classification": cell | {"parts": parts}}},
    }
    counts = {key: {"annotated": {"classification": {"train": 100, "val": 8, "test": 20}}} for key in VISITS}
    results = handmade(params, metrics=metrics, counts=counts, of=table_slice)
    tablefile.write(paths.leakage(results.root, "lists"), pd.read_csv(io.StringIO(LISTS)))
    rows = f"run,affected,of,allowed\njoint,0,40,\nleaky,{affected},20,{REASON}\n"
    runs_of = pd.read_csv(io.StringIO(rows), keep_default_na=False)
    tablefile.write(paths.leakage(results.root, "runs"), runs_of)
    return results


def test_lines_are_pairs_of_which_one_trains_and_the_csv_has_all(tiny, handmade):
    table = leakage(_results(tiny, handmade))
    assert table.header[:3] == ("held out", "split", "trains")
    assert table.rows == [
        (*("NIH ChestX-ray14", "test", "RSNA Pneumonia"), "3 images, 4 patients, 5 groups; 6 of 24 (25 %)", *"–––"),
        (*("NIH ChestX-ray14", "val", "RSNA Pneumonia"), "1 images, 1 patients, 1 groups; 1 of 8 (12 %)", *"–––"),
        (*("RSNA Pneumonia", "test", "NIH ChestX-ray14"), *"–––", "1 images, 1 patients, 1 groups; 1 of 20 (5 %)"),
        (
            *("RSNA Pneumonia", "test", "RSNA Pneumonia", "–", "0 images, 2 patients, 2 groups; 5 of 20 (25 %)", "–"),
            "0 images, 1 patients, 1 groups; 2 of 20 (10 %)",
        ),
    ]
    assert table.header[3:] == ("official", "published", "leak_free", "as split here")
    assert len(table.records) == 6
    assert "None of 2 runs tests a group that it, or the run it starts from, trains on." in table.caption


def test_what_is_allowed_is_said_with_its_reason(tiny, handmade):
    caption = leakage(_results(tiny, handmade, affected=5)).caption
    assert f"leaky tests 5 of 20 images of groups that it trains on, as allowed: {REASON}. No other tests" in caption


def test_the_map_has_a_panel_a_policy_and_none_of_the_lists_as_split(tiny, handmade):
    figure = drawn(_results(tiny, handmade))
    assert [label.get_text() for label in figure.figure.axes[0].get_xticklabels()] == ["RSNA Pneumonia"]
    assert [axis.get_title() for axis in figure.figure.axes] == [
        f"{policy}: % of what is tested" for policy in ("official", "published", "leak_free")
    ]
    assert [text.get_text() for text in figure.figure.axes[0].texts] == ["25"]


def test_a_split_is_beside_the_run_of_the_same_data_and_tells_seen_patients_apart(tiny, handmade):
    table = splits(_results(tiny, handmade, affected=5))
    leaky = next(row for row in table.rows if row[0] == "leaky")
    assert leaky[3:7] == ("leak_free", "100", "20", "5 (25 %)")
    assert leaky[7:] == ("AUC", "62.5 [50.0, 75.0]", "75.0 [50.0, 100.0]", "50.0 [25.0, 75.0]", "")
    joint = [row for row in table.rows if row[0] == "joint"]
    note = "no AUC of groups seen in training: no such image; no AUC of other groups: all are"
    assert [row[9:] for row in joint] == [("no such image", "all are", note)] * 2
    assert [one["metric"] for one in table.records] == ["auc"] * 3
    assert f"Leakage is allowed of Leaky ({REASON})." in table.caption


def test_a_part_of_images_without_a_number_is_lacking_and_one_without_images_is_not(tiny, handmade):
    undefined = {"value": None, "low": None, "high": None}
    table = splits(_results(tiny, handmade, parts=PARTS | {"unseen": {"images": 15, **undefined}}))
    assert table.missing == ["leaky, rsna_pneumonia classification, AUC of other groups: undefined in test"]
    leaky = next(row for row in table.rows if row[0] == "leaky")
    assert leaky[9:] == ("75.0 [50.0, 100.0]", "undefined", "no AUC of other groups: undefined in test")
    seen = {"seen": PARTS["seen"] | {"images": 20}, "unseen": {"images": 0, **undefined}}
    assert splits(_results(tiny, handmade, parts=seen)).missing == []


def test_a_split_without_any_number_is_lacking(tiny, handmade):
    results = _results(tiny, handmade)
    path = paths.metrics(results.root, "joint")
    found = read_json(path)
    reasons = {"Pneumonia": "no positives"}
    found["test"]["rsna_pneumonia"]["classification"]["student"]["auc"] = {"value": None, "undefined": reasons}
    write_json(path, found)
    table = splits(results)
    assert table.missing == ["joint, rsna_pneumonia classification, AUC: no positives in test: Pneumonia"]
    assert next(row for row in table.rows if row[:2] == ("joint", "RSNA Pneumonia"))[8] == "undefined"
