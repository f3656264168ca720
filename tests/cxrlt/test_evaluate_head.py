"""Metrics of heads from saved predictions: sets, tasks, aggregations, ensembles."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from fxcore import tablefile
from fxcore.cxrlt.evaluate_head import evaluate_head
from fxcore.errors import InputError
from fxcore.slices.cxrlt import EvaluateHeadSlice
from tests.cxrlt.conftest import CLASSES, written

PREVALENCE = {"Effusion": 0.5, "Mass": 0.05, "Normal": 0.004}


def _slice(heads=("mine",), **changes):
    content = {
        "name": "mine",
        "store_size": 32,
        "labels": "labelled",
        "gold": "gold",
        "heads": heads,
        "ensemble": len(heads) > 1,
        "frequency": {},
        "resamples": 50,
        "confidence": 0.9,
    }
    return EvaluateHeadSlice.model_validate(content | changes)


def _predicted(stores, folder, name, seed):
    """Random probabilities for all three sets, in random order of rows; the table, and its file."""
    random = np.random.default_rng(seed)
    parts = []
    for key in ("labelled", "gold"):
        table = stores[key].table
        rows = np.flatnonzero(table["split"] != "train")
        parts.append(
            pd.DataFrame(
                {
                    "dataset": key,
                    "row": np.repeat(rows, 3),
                    "label": np.tile(CLASSES, len(rows)),
                    "score": random.random(3 * len(rows)),
                }
            )
        )
    table = pd.concat(parts).sample(frac=1, random_state=seed).reset_index(drop=True)
    path = folder / f"{name}.parquet"
    tablefile.write(path, table)
    written(path.with_suffix(".json"), {"rate": 1e-3, "prevalence": PREVALENCE})
    return table, path


def _measured(slice_, paths, stores, folder):
    evaluate_head(slice_, paths, stores, folder / "metrics.json")
    return json.loads((folder / "metrics.json").read_text())


def _ap(store, table, rows, label):
    """scikit-learn's, for the rows of a set."""
    at = store.classes.index(label)
    scores = table[table["label"] == label].set_index("row")["score"]
    return average_precision_score(store.labels[rows, at], scores.loc[rows])


@pytest.fixture
def case(labelled, gold, tmp_path):
    stores = {"labelled": labelled, "gold": gold}
    table, path = _predicted(stores, tmp_path, "mine", 1)
    return stores, table, path


def test_each_set_and_task_has_its_images_and_classes_by_name(case, tmp_path):
    stores, table, path = case
    found = _measured(_slice(), {"mine": path}, stores, tmp_path)
    results = found["results"]
    assert {name: sorted(tasks) for name, tasks in results.items()} == {
        "dev": ["task1", "task2"],
        "test": ["task1", "task2"],
        "gold": ["task2"],
    }
    own = table[table["dataset"] == "labelled"]
    rows = np.flatnonzero(stores["labelled"].table["split"] == "test")
    cell = results["test"]["task1"]["none"]
    expected = {name: _ap(stores["labelled"], own, rows, name) for name in CLASSES}
    assert {name: one["value"] for name, one in cell["map"]["classes"].items()} == pytest.approx(expected, abs=1e-6)
    assert cell["map"]["value"] == pytest.approx(np.mean(list(expected.values())), abs=1e-6)
    assert (cell["images"], cell["studies"], cell["patients"]) == (16, 8, 4)
    two = results["test"]["task2"]["none"]["map"]["classes"]
    assert {name: one["value"] for name, one in two.items()} == pytest.approx(
        {name: expected[name] for name in ("Normal", "Effusion")}, abs=1e-6
    )
    assert found["frequency"] == {"Effusion": "head", "Mass": "medium", "Normal": "tail"}
    groups = cell["groups"]
    assert [groups[name]["classes"] for name in ("head", "medium", "tail")] == [1, 1, 1]
    assert groups["tail"]["value"] == pytest.approx(expected["Normal"], abs=1e-6)


def test_averages_are_over_the_study_and_their_gain_is_paired(case, tmp_path):
    stores, table, path = case
    results = _measured(_slice(), {"mine": path}, stores, tmp_path)["results"]
    own = table[table["dataset"] == "labelled"].join(stores["labelled"].table["study"], on="row")
    own["score"] = own.groupby(["study", "label"])["score"].transform("mean")
    rows = np.flatnonzero(stores["labelled"].table["split"] == "val")
    cells = results["dev"]["task1"]
    mean = np.mean([_ap(stores["labelled"], own, rows, name) for name in CLASSES])
    assert cells["average"]["map"]["value"] == pytest.approx(mean, abs=1e-6)
    gain = cells["average"]["gain"]
    assert gain["value"] == pytest.approx(mean - cells["none"]["map"]["value"], abs=2e-6)
    assert gain["low"] <= gain["value"] <= gain["high"]


def test_gold_images_take_the_views_they_lack_from_the_test_set(case, tmp_path):
    """Each gold image is the first of a test study: its average is with that study's second image."""
    stores, table, path = case
    results = _measured(_slice(), {"mine": path}, stores, tmp_path)["results"]
    gold, labelled = stores["gold"], stores["labelled"]
    scores = table.set_index(["dataset", "row", "label"])["score"]
    test = np.flatnonzero(labelled.table["split"] == "test")
    expected = []
    for at, name in enumerate(gold.classes):
        joined = [(scores["gold", row, name] + scores["labelled", test[2 * row + 1], name]) / 2 for row in range(8)]
        expected.append(average_precision_score(gold.labels[:, at], joined))
    assert results["gold"]["task2"]["average"]["map"]["value"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_an_ensemble_is_the_mean_of_study_averages(case, tmp_path):
    stores, table, path = case
    other, beside = _predicted(stores, tmp_path, "other", 2)
    slice_ = _slice(heads=("mine", "other"))
    found = _measured(slice_, {"mine": path, "other": beside}, stores, tmp_path)
    assert list(found["results"]["dev"]["task1"]) == ["average"]
    both = table.merge(other, on=["dataset", "row", "label"])
    both["score"] = (both["score_x"] + both["score_y"]) / 2
    own = both[both["dataset"] == "labelled"].join(stores["labelled"].table["study"], on="row")
    own["score"] = own.groupby(["study", "label"])["score"].transform("mean")
    rows = np.flatnonzero(stores["labelled"].table["split"] == "val")
    mean = np.mean([_ap(stores["labelled"], own, rows, name) for name in CLASSES])
    assert found["results"]["dev"]["task1"]["average"]["map"]["value"] == pytest.approx(mean, abs=1e-6)
    assert found["rate"] == {"mine": 1e-3, "other": 1e-3}


def test_a_class_without_positives_says_why_and_values_lie_in_their_intervals(case, tmp_path):
    stores, _, path = case
    stores["labelled"].labels[:, 1] = 0
    results = _measured(_slice(resamples=200), {"mine": path}, stores, tmp_path)["results"]
    cell = results["test"]["task1"]["none"]
    assert cell["map"]["undefined"] == {"Mass": "no positives"}
    assert cell["groups"]["medium"]["value"] is None
    for name in ("map", "mauc", "mf1", "ece", "ece_confidence", "ece_board"):
        assert cell[name]["low"] <= cell[name]["value"] <= cell[name]["high"], name
        assert cell[name]["low"] >= 0


def test_without_hand_labelled_images_there_is_no_second_task(case, tmp_path):
    stores, table, path = case
    tablefile.write(path, table[table["dataset"] == "labelled"])
    found = _measured(_slice(gold=None), {"mine": path}, {"labelled": stores["labelled"]}, tmp_path)
    assert {name: list(tasks) for name, tasks in found["results"].items()} == {"dev": ["task1"], "test": ["task1"]}


@pytest.mark.parametrize("wrong", ["a row too few", "a class too few", "a row twice"])
def test_predictions_of_other_images_or_classes_stop(case, tmp_path, wrong):
    stores, table, path = case
    bent = {
        "a row too few": lambda: table[table["row"] != table["row"].max()],
        "a class too few": lambda: table[table["label"] != "Mass"],
        "a row twice": lambda: pd.concat([table, table.head(1)]),
    }[wrong]()
    tablefile.write(path, bent)
    with pytest.raises(InputError, match=r"mine: predictions for .* are of other images or classes"):
        _measured(_slice(), {"mine": path}, stores, tmp_path)


def test_predictions_that_cannot_be_read_are_named(case, tmp_path):
    stores, _, path = case
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"mine\.parquet: not readable .* make it again with"):
        _measured(_slice(), {"mine": path}, stores, tmp_path)
