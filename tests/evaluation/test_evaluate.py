"""Metrics of a run from handmade predictions: branches, the choice, and the gain over the untrained network, paired."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fxcore import tablefile
from fxcore.data import rle
from fxcore.errors import InputError
from fxcore.evaluation.bootstrap import class_mean, interval, replicates
from fxcore.evaluation.evaluate import Scored, evaluate
from fxcore.evaluation.metric import Ratio
from fxcore.files import read_json, write_json
from fxcore.passes import Split, Task
from fxcore.seeding import derive
from fxcore.slices.evaluate import EvaluateSlice

RESAMPLES, CONFIDENCE = 50, 0.9
SLICE = EvaluateSlice(run="r", against=(), store_size=72, resamples=RESAMPLES, confidence=CONFIDENCE)
HOW = {"run": "r", "store_size": 72, "every": 1, "untrained": True, "iou": 0.4, "detections": 100}


@pytest.fixture
def store(stores):
    return stores["example_a"]


def _scores(store, seed):
    """Random probabilities of two classes for every test image."""
    rows = store.rows(Task.CLASSIFICATION, Split.TEST)
    scores = np.random.default_rng(seed).random((len(rows), 2))
    table = pd.DataFrame({"row": np.repeat(rows, 2), "label": np.tile([0, 1], len(rows)), "score": scores.reshape(-1)})
    return table.assign(task="classification"), scores


def _scored(folder, branches, chosen, task="classification", iou=0.4):
    """Write what `score` does; `branches` has a table of predictions for each branch."""
    folder.mkdir(exist_ok=True)
    table = pd.concat(one.assign(branch=branch) for branch, one in branches.items())
    tablefile.write(folder / "predictions.parquet", table.assign(dataset="example_a", split="test"))
    facts = {"params": HOW | {"iou": iou}, "chosen": {"example_a": {task: chosen}}, "seen": {"example_a": {task: 24}}}
    write_json(folder / "choice.json", facts)
    return facts["seen"]


def _read(folder):
    return Scored.read(folder / "predictions.parquet", folder / "choice.json")


def _evaluate(folder, stores, branches, chosen, task="classification", iou=0.4):
    """The cell's metrics."""
    seen = _scored(folder, branches, chosen, task, iou)
    evaluate(SLICE, lambda _: _read(folder), lambda keys: {key: stores[key] for key in keys}, folder / "metrics.json")
    content = json.loads((folder / "metrics.json").read_text())
    assert content["seen"] == seen
    return content["test"]["example_a"][task]


CHOSEN = {"student": 1, "teacher": 2, "choice": "student"}


def test_a_cell_has_every_branch_with_its_cycle_and_the_untrained_one(stores, store, tmp_path):
    tables = {branch: _scores(store, seed) for seed, branch in enumerate(("student", "teacher", "untrained"))}
    cell = _evaluate(tmp_path, stores, {branch: table for branch, (table, _) in tables.items()}, CHOSEN)
    assert set(cell) == {"metric", "choice", "student", "teacher", "untrained", "gain"}
    assert (cell["metric"], cell["choice"]) == ("auc", "student")
    assert {branch: cell[branch]["cycle"] for branch in tables} == {"student": 1, "teacher": 2, "untrained": 0}
    labels, _ = store.targets(store.heads((Task.CLASSIFICATION,)))
    truth = labels[store.rows(Task.CLASSIFICATION, Split.TEST)]
    for branch, (_, scores) in tables.items():
        # one class at least has both kinds of images among the six; the mean is over those that have
        defined = [label for label in (0, 1) if len(set(truth[:, label])) == 2]
        expected = np.mean([roc_auc_score(truth[:, label], scores[:, label]) for label in defined])
        assert cell[branch]["auc"]["value"] == pytest.approx(expected, abs=1e-6)
        assert (cell[branch]["images"], cell[branch]["patients"]) == (6, 6)
    difference = cell["teacher"]["auc"]["value"] - cell["untrained"]["auc"]["value"]
    assert cell["gain"]["value"] == pytest.approx(difference, abs=2e-6)


def test_equal_predictions_gain_nothing_and_without_doubt(stores, store, tmp_path):
    same, other = _scores(store, 3)[0], _scores(store, 4)[0]
    cell = _evaluate(tmp_path, stores, {"student": other, "teacher": same, "untrained": same}, CHOSEN)
    zero = {"value": 0.0, "low": 0.0, "high": 0.0}
    assert cell["gain"] == zero | {"classes": dict.fromkeys(cell["gain"]["classes"], zero)}
    assert cell["teacher"]["auc"]["low"] < cell["teacher"]["auc"]["high"]


def test_without_a_teacher_the_gain_is_the_students(stores, store, tmp_path):
    student, untrained = _scores(store, 5)[0], _scores(store, 6)[0]
    cell = _evaluate(
        tmp_path, stores, {"student": student, "untrained": untrained}, {"student": 1, "choice": "student"}
    )
    difference = cell["student"]["auc"]["value"] - cell["untrained"]["auc"]["value"]
    assert "teacher" not in cell
    assert difference != 0
    assert cell["gain"]["value"] == pytest.approx(difference, abs=2e-6)


def _shifted(store, by):
    """The true masks of every test image, moved by some pixels, and the Dice of each image and class."""
    found, scores = [], []
    for row in store.rows(Task.SEGMENTATION, Split.TEST):
        for label, truth in enumerate(store.mask(row)):
            mask = np.roll(truth, by * (int(row) % 4 + 1), axis=1)
            found.append((row, label, rle.encode(mask)["counts"]))
            scores.append(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
    table = pd.DataFrame(found, columns=["row", "label", "counts"]).assign(task="segmentation")
    return table, np.reshape(scores, (-1, 2))


def _expected(of_images):
    """A mean over the six images, each of a patient of its own, with its interval."""
    seed = derive("bootstrap", "example_a", Task.SEGMENTATION)
    statistic = Ratio(of_images[:, None], np.ones((6, 1)))
    return interval(class_mean(replicates({"": statistic}, np.arange(6), RESAMPLES, seed)[""]), CONFIDENCE)


def _classes(store, task):
    return store.heads((task,)).classes(task)


def _numbers(found):
    return found["value"], found["low"], found["high"]


def test_the_gain_is_paired_by_image(stores, store, tmp_path):
    (teacher, ours), (untrained, floor) = _shifted(store, 2), _shifted(store, 5)
    tables = {"student": teacher, "teacher": teacher, "untrained": untrained}
    cell = _evaluate(tmp_path, stores, tables, CHOSEN, "segmentation")
    assert cell["metric"] == "dice"
    difference = (ours - floor).mean(axis=1)
    assert _numbers(cell["gain"]) == pytest.approx(_expected(difference), abs=1e-6)
    for label, own in zip(_classes(store, Task.SEGMENTATION), (ours - floor).T, strict=True):
        assert _numbers(cell["gain"]["classes"][label]) == pytest.approx(_expected(own), abs=1e-6)
    unpaired = cell["teacher"]["dice"]["high"] - cell["untrained"]["dice"]["low"]
    assert cell["gain"]["high"] < unpaired


def _boxes(store, exact):
    rows = store.rows(Task.LOCALIZATION, Split.TEST)
    found = [
        (row, label, 0.9, *(box if exact else (0.0, 0.0, 1.0, 1.0)))
        for row in rows
        for label, box in zip(*store.boxes(row), strict=True)
    ]
    columns = ["row", "label", "score", "left", "top", "width", "height"]
    return pd.DataFrame(found, columns=columns).assign(task="localization")


@pytest.mark.parametrize(("iou", "metric"), [(0.4, "map40"), (0.5, "map50")])
def test_the_metric_is_the_one_that_the_choice_was_made_by(stores, store, tmp_path, iou, metric):
    exact, wrong = _boxes(store, exact=True), _boxes(store, exact=False)
    tables = {"student": wrong, "teacher": exact, "untrained": wrong}
    cell = _evaluate(tmp_path, stores, tables, CHOSEN, "localization", iou)
    assert cell["metric"] == metric
    assert (cell["teacher"][metric]["value"], cell["untrained"][metric]["value"]) == (1.0, 0.0)
    one = {"value": 1.0, "low": 1.0, "high": 1.0}
    assert cell["gain"] == one | {"classes": {"Right Lung": one, "Left Lung": one}}
    assert cell["teacher"][metric] == cell["gain"] | {"undefined": {}}
    assert cell["untrained"]["ar"]["value"] == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda table: table[table["row"] != table["row"].iloc[0]],
        lambda table: table.iloc[1:],
        lambda table: pd.concat([table, table.iloc[:1]]),
        lambda table: table.assign(row=table["row"] + 1),
        lambda table: table.assign(label=0),
    ],
    ids=["an image less", "a class less", "one twice", "other images", "other classes"],
)
def test_predictions_of_other_images_are_refused(stores, store, tmp_path, wrong):
    some = _scores(store, 0)[0]
    tables = {"student": some, "teacher": wrong(some), "untrained": some}
    with pytest.raises(InputError, match="r: predictions for example_a classification are of other images than the"):
        _evaluate(tmp_path, stores, tables, CHOSEN)
    assert not (tmp_path / "metrics.json").exists()


def test_an_image_may_have_no_boxes_but_boxes_of_other_images_are_refused(stores, store, tmp_path):
    exact = _boxes(store, exact=True)
    tables = {"student": exact, "teacher": exact[exact["row"] != exact["row"].iloc[0]], "untrained": exact}
    assert _evaluate(tmp_path, stores, tables, CHOSEN, "localization")["teacher"]["ar"]["value"] < 1.0
    with pytest.raises(InputError, match="are of other images than the test split"):
        _evaluate(tmp_path, stores, tables | {"teacher": exact.assign(row=0)}, CHOSEN, "localization")


@pytest.mark.parametrize(("name", "content"), [("predictions.parquet", b"nothing"), ("choice.json", b"{}")])
def test_what_cannot_be_read_says_how_to_make_it_again(stores, store, tmp_path, name, content):
    tables = {branch: _scores(store, 1)[0] for branch in ("student", "teacher", "untrained")}
    _evaluate(tmp_path, stores, tables, CHOSEN)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: not readable .* make it again with: snakemake"):
        _read(tmp_path)


def test_the_differences_are_paired_and_from_every_run_that_has_the_cell(stores, store, tmp_path):
    (ours, mine), (theirs, other) = _shifted(store, 2), _shifted(store, 5)
    # the run itself has a teacher, which stands for it; the other has none, so its student does
    _scored(tmp_path / "r", {"student": theirs, "teacher": ours, "untrained": theirs}, CHOSEN, "segmentation")
    _scored(tmp_path / "b", {"student": theirs, "untrained": ours}, {"student": 3, "choice": "student"}, "segmentation")
    _scored(tmp_path / "c", {"student": theirs, "teacher": ours}, CHOSEN, "segmentation")
    _scored(tmp_path / "a", {"student": _scores(store, 0)[0]}, {"student": 3, "choice": "student"})
    slice_ = SLICE.model_copy(update={"against": ("a", "b", "c")})
    evaluate(
        slice_, lambda run: _read(tmp_path / run), lambda keys: {key: stores[key] for key in keys}, tmp_path / "m.json"
    )
    found = json.loads((tmp_path / "m.json").read_text())["test"]["example_a"]["segmentation"]["differences"]
    assert set(found) == {"b", "c"}
    assert _numbers(found["b"]) == pytest.approx(_expected((mine - other).mean(axis=1)), abs=1e-6)
    assert found["b"]["value"] > 0
    for label, own in zip(_classes(store, Task.SEGMENTATION), (mine - other).T, strict=True):
        assert _numbers(found["b"]["classes"][label]) == pytest.approx(_expected(own), abs=1e-6)
    assert found["c"]["value"] == found["c"]["low"] == 0


def test_every_class_has_its_interval_and_one_without_a_number_its_reason(stores, store, tmp_path):
    table, scores = _scores(store, 7)
    broken = table.assign(score=table["score"].where(table["label"] == 0))  # NaN for the second class
    cell = _evaluate(tmp_path, stores, {"student": broken, "teacher": table, "untrained": table}, CHOSEN)
    labels, _ = store.targets(store.heads((Task.CLASSIFICATION,)))
    truth = labels[store.rows(Task.CLASSIFICATION, Split.TEST)]
    first, second = _classes(store, Task.CLASSIFICATION)
    for metric in ("auc", "ap", "ece", "brier"):
        found, nothing = cell["student"][metric], {"value": None, "low": None, "high": None}
        assert found["undefined"][second] == "NaN scores in 6 of 6 images"
        assert found["classes"][second] == nothing
        assert _numbers(found) == _numbers(found["classes"][first])
    known = cell["teacher"]["brier"]["classes"]
    for label, own in zip((first, second), np.square(scores - truth).T, strict=True):
        assert known[label]["value"] == pytest.approx(own.mean(), abs=1e-6)
        assert known[label]["low"] < known[label]["value"] < known[label]["high"]


def test_operating_points_are_chosen_on_the_branchs_own_validation_predictions(stores, store, tmp_path):
    labels, _ = store.targets(store.heads((Task.CLASSIFICATION,)))
    tables = []
    for split in (Split.VAL, Split.TEST):
        rows = store.rows(Task.CLASSIFICATION, split)
        # right on validation above 0.7; the test is scored 0.7 throughout, so all of it counts as positive
        scores = np.where(labels[rows] > 0.5, 0.7, 0.2) if split is Split.VAL else np.full((len(rows), 2), 0.7)
        table = pd.DataFrame({"row": np.repeat(rows, 2), "label": np.tile([0, 1], len(rows)), "score": scores.ravel()})
        tables.append(table.assign(task="classification", split=str(split), dataset="example_a", branch="student"))
    _scored(tmp_path, {"student": tables[1]}, {"student": 1, "choice": "student"})
    facts = read_json(tmp_path / "choice.json")
    facts["params"]["untrained"] = False
    write_json(tmp_path / "choice.json", facts)
    opened = lambda keys: {key: stores[key] for key in keys}  # noqa: E731
    tablefile.write(tmp_path / "predictions.parquet", pd.concat(tables))
    evaluate(SLICE, lambda _: _read(tmp_path), opened, tmp_path / "metrics.json")
    cell = json.loads((tmp_path / "metrics.json").read_text())["test"]["example_a"]["classification"]["student"]
    val, test = (labels[store.rows(Task.CLASSIFICATION, split)] for split in (Split.VAL, Split.TEST))
    for place, label in enumerate(_classes(store, Task.CLASSIFICATION)):
        both = len(set(val[:, place])) == 2
        sensitivity, specificity = (cell[name]["classes"][label]["value"] for name in ("sensitivity", "specificity"))
        assert sensitivity == (1.0 if both and test[:, place].any() else None)
        assert specificity == (0.0 if both and not test[:, place].all() else None)
    assert any(len(set(column)) == 2 for column in val.T)


def test_test_images_of_groups_seen_in_training_are_told_apart(tmp_path, store):
    rows = store.rows(Task.CLASSIFICATION, Split.TEST)
    seen = rows[::2]
    leaky = copy.copy(store)
    leaky.table = store.table.copy()
    leaky.table.loc[seen, "group"] = leaky.table["group"][store.rows(Task.CLASSIFICATION, Split.TRAIN)[0]]
    table, scores = _scores(store, 0)
    branches, chosen = {"student": table, "untrained": table}, {"student": 1, "choice": "student"}
    assert "parts" not in _evaluate(tmp_path / "clean", {"example_a": store}, branches, chosen)
    cell = _evaluate(tmp_path / "leaky", {"example_a": leaky}, branches, chosen)
    targets = store.targets(store.heads((Task.CLASSIFICATION,)))[0][rows]
    for name, of in (("seen", np.isin(rows, seen)), ("unseen", ~np.isin(rows, seen))):
        defined = [label for label in range(2) if len(set(targets[of][:, label])) == 2]
        expected = np.mean([roc_auc_score(targets[of][:, label], scores[of][:, label]) for label in defined])
        assert cell["parts"][name]["images"] == of.sum() == 3
        assert cell["parts"][name]["value"] == pytest.approx(expected, abs=1e-6)
    assert len(defined) > 0
