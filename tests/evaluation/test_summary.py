"""The two small files that DVC shows: headline numbers in percent, and a row a candidate state."""

import json

from fxcore.evaluation.summary import summary
from fxcore.files import write_json


def _cell(metric, value, choice="teacher"):
    other = {"teacher": "student", "student": "teacher"}[choice]
    return {
        "metric": metric,
        "choice": choice,
        choice: {metric: {"value": value}, "other": {"value": 0.1}},
        other: {metric: {"value": 0.2}},
        "untrained": {metric: {"value": 0.3}},
        "gain": {"value": 0.4},
    }


def _write(path, content):
    write_json(path, content)
    return path


def _candidate(cycle, value, branch="student", task="classification"):
    return {"cycle": cycle, "branch": branch, "dataset": "a", "task": task, "value": value}


def test_test_metrics_are_of_the_chosen_branch_in_percent(tmp_path):
    joint = {"a": {"classification": _cell("auc", 0.912345), "segmentation": _cell("dice", 0.5, "student")}}
    metrics = {
        "joint": _write(tmp_path / "joint.json", {"test": joint | {"b": {"localization": _cell("map40", None)}}}),
        "alone": _write(tmp_path / "alone.json", {"test": {"a": {"classification": _cell("auc", 1)}}}),
    }
    summary(metrics, {}, None, {}, tmp_path / "summary.json", tmp_path / "validation.csv")
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "joint": {"a": {"classification": 91.23, "segmentation": 50.0}, "b": {"localization": None}},
        "alone": {"a": {"classification": 100.0}},
    }
    assert (tmp_path / "validation.csv").read_text() == "run,cycle,branch,dataset,task,value\n"


def test_every_candidate_has_a_row_in_the_order_of_runs_and_states(tmp_path):
    first = [_candidate(1, 0.25), _candidate(1, None, "teacher"), _candidate(2, 0.75004, task="segmentation")]
    choices = {
        "joint": _write(tmp_path / "joint.json", {"candidates": first}),
        "alone": _write(tmp_path / "alone.json", {"candidates": [_candidate(3, 1.0) | {"more": "ignored"}]}),
    }
    summary({}, choices, None, {}, tmp_path / "summary.json", tmp_path / "validation.csv")
    assert (tmp_path / "validation.csv").read_text().splitlines() == [
        "run,cycle,branch,dataset,task,value",
        "joint,1,student,a,classification,25.0",
        "joint,1,teacher,a,classification,",
        "joint,2,student,a,segmentation,75.0",
        "alone,3,student,a,classification,100.0",
    ]
    assert json.loads((tmp_path / "summary.json").read_text()) == {}


def test_trainings_on_few_images_are_in_the_summary_by_run_and_number(tmp_path):
    few = {"runs": {"transfer": {"samples": {"3": {"value": 0.51234}, "6": {"value": None}}}}}
    _write(tmp_path / "few_shot.json", few)
    summary({}, {}, tmp_path / "few_shot.json", {}, tmp_path / "summary.json", tmp_path / "validation.csv")
    assert json.loads((tmp_path / "summary.json").read_text()) == {"few_shot": {"transfer": {"3": 51.23, "6": None}}}


def test_heads_are_in_the_summary_by_their_study_averages_in_percent(tmp_path):
    cells = {"none": {"map": {"value": 0.1}}, "average": {"map": {"value": 0.125}}}
    content = {"results": {"dev": {"task1": cells}, "gold": {"task2": {"average": {"map": {"value": None}}}}}}
    _write(tmp_path / "head.json", content)
    summary({}, {}, None, {"linear": tmp_path / "head.json"}, tmp_path / "summary.json", tmp_path / "validation.csv")
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found == {"cxrlt": {"linear": {"dev": {"task1": 12.5}, "gold": {"task2": None}}}}
