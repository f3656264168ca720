"""Validation chooses: the best state of each branch, the later of equals, and never one without a number before one with."""

import math

import pytest

from fxcore.evaluation.score import Candidate, _choices, choose
from fxcore.passes import Task


def _candidate(stage, value, branch="student", task=Task.CLASSIFICATION, dataset="a"):
    return Candidate(stage, branch, dataset, task, value)


@pytest.mark.parametrize(
    ("values", "stage"),
    [([0.5, 0.7, 0.6], 2), ([0.7, 0.7, 0.6], 2), ([math.nan, 0.1, math.nan], 2), ([math.nan, math.nan, math.nan], 3)],
)
def test_the_best_state_and_of_equals_the_later(values, stage):
    (chosen,) = choose(_candidate(number, value) for number, value in enumerate(values, start=1))
    assert chosen.stage == stage


def test_each_dataset_task_and_branch_chooses_for_itself():
    candidates = [
        _candidate(1, 0.9),
        _candidate(2, 0.8),
        _candidate(1, 0.7, branch="teacher"),
        _candidate(2, 0.95, branch="teacher"),
        _candidate(1, 0.2, task=Task.SEGMENTATION),
        _candidate(2, 0.3, task=Task.SEGMENTATION),
        _candidate(1, 0.6, dataset="b"),
    ]
    chosen = {(one.dataset, one.task, one.branch): one.stage for one in choose(candidates)}
    assert chosen == {
        ("a", Task.CLASSIFICATION, "student"): 1,
        ("a", Task.CLASSIFICATION, "teacher"): 2,
        ("a", Task.SEGMENTATION, "student"): 2,
        ("b", Task.CLASSIFICATION, "student"): 1,
    }


def test_the_choice_is_the_branch_that_did_best():
    candidates = [_candidate(1, 0.9), _candidate(2, 0.8), _candidate(1, 0.7, "teacher"), _candidate(2, 0.95, "teacher")]
    found = _choices(0.4, candidates, choose(candidates))
    assert found["chosen"] == {"a": {"classification": {"student": 1, "teacher": 2, "choice": "teacher"}}}
    assert len(found["candidates"]) == 4
    assert found["metric"]["localization"] == "map40"


def test_a_value_that_is_no_number_is_null_in_the_file():
    candidates = [_candidate(1, math.nan)]
    assert _choices(0.4, candidates, candidates)["candidates"][0]["value"] is None
