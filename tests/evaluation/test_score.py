"""Validation chooses: the best state of each branch, the later of equals, and never one without a number before one with."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from fxcore import paths
from fxcore.evaluation.evaluate import Scored, evaluate
from fxcore.evaluation.score import Candidate, _choices, candidates_of, choose, score
from fxcore.machine import Machine
from fxcore.params.experiment import Params
from fxcore.passes import Task
from fxcore.slices.make import evaluate_slice, keep_slice, score_slice, train_slice
from fxcore.training.history import write_history
from fxcore.training.keep import Kept, keep
from fxcore.training.loop import Trainer
from fxcore.training.pretrain import COLUMNS
from fxcore.training.snapshots import Snapshots


def _candidate(cycle, value, branch="student", task=Task.CLASSIFICATION, dataset="a"):
    return Candidate(cycle, branch, dataset, task, value)


def _choose(candidates):
    """The chosen, each found by its own number."""
    tried = [(one, number) for number, one in enumerate(candidates)]
    among, chosen = choose(tried)
    assert among == [one for one, _ in tried]
    assert all(tried[number][0] == one for one, number in chosen.items())
    return list(chosen)


@pytest.mark.parametrize(
    ("values", "cycle"),
    [([0.5, 0.7, 0.6], 2), ([0.7, 0.7, 0.6], 2), ([math.nan, 0.1, math.nan], 2), ([math.nan, math.nan, math.nan], 3)],
)
def test_the_best_cycle_and_of_equals_the_later(values, cycle):
    (chosen,) = _choose(_candidate(number, value) for number, value in enumerate(values, start=1))
    assert chosen.cycle == cycle


@pytest.mark.parametrize(
    ("every", "cycles", "candidates"),
    [
        (1, [1, 2, 3], [1, 2, 3]),
        (2, [1, 2, 3, 4], [2, 4]),
        (2, [1, 2, 3], [2, 3]),
        (3, [1, 2, 3, 4], [3, 4]),
        (9, [1, 2], [2]),
        (2, [3, 6], [6]),  # a job of three cycles each
    ],
)
def test_every_nth_cycle_and_the_last_stand_for_choice(every, cycles, candidates):
    files = tuple(f"cycle_{cycle}.safetensors" for cycle in reversed(cycles))
    kept = Kept(Path("kept"), {}, (*files, "snapshots/cycle_1.safetensors", "history/cycle_1.csv"))
    assert candidates_of(kept, every) == {cycle: Path(f"kept/cycle_{cycle}.safetensors") for cycle in candidates}


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
    chosen = {(one.dataset, one.task, one.branch): one.cycle for one in _choose(candidates)}
    assert chosen == {
        ("a", Task.CLASSIFICATION, "student"): 1,
        ("a", Task.CLASSIFICATION, "teacher"): 2,
        ("a", Task.SEGMENTATION, "student"): 2,
        ("b", Task.CLASSIFICATION, "student"): 1,
    }


def test_the_choice_is_the_branch_that_did_best():
    candidates = [_candidate(1, 0.9), _candidate(2, 0.8), _candidate(1, 0.7, "teacher"), _candidate(2, 0.95, "teacher")]
    found = _choices(0.4, candidates, _choose(candidates))
    assert found["chosen"] == {"a": {"classification": {"student": 1, "teacher": 2, "choice": "teacher"}}}
    assert len(found["candidates"]) == 4
    assert found["metric"]["localization"] == "map40"


def test_a_value_that_is_no_number_is_null_in_the_file():
    candidates = [_candidate(1, math.nan)]
    assert _choices(0.4, candidates, candidates)["candidates"][0]["value"] is None


def _trainer(params, stores):
    return Trainer(train_slice(params, "foundation_x"), stores, 40, torch.device("cpu"))


def _disturb(model):
    """Another network of the same shape."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


@pytest.fixture(scope="module")
def scored(_tiny, stores, tmp_path_factory):
    """Two cycles that no update was made in, the teacher of the second disturbed, and a snapshot of each teacher."""
    folder, params = tmp_path_factory.mktemp("scored"), Params.model_validate(_tiny)
    trainer = _trainer(params, stores)
    first, last = (one for one in trainer.slice.passes(1) if trainer.slice.snaps(one))
    snapshots = Snapshots(trainer.slice)
    snapshots.take(trainer, first)
    _leave(trainer, folder, "cycle_1", Snapshots(trainer.slice))
    _disturb(trainer.teacher.model)
    snapshots.take(trainer, last)
    _leave(trainer, folder, "cycle_2", snapshots)
    keep(keep_slice(params, "foundation_x"), folder / "checkpoints", folder / "kept")
    outputs = (folder / "predictions.parquet", folder / "choice.json")
    score(score_slice(params, "foundation_x"), folder / "kept", lambda _: stores, Machine(), 0, *outputs)
    alone = evaluate_slice(params, "foundation_x").model_copy(update={"against": ()})
    evaluate(alone, lambda _: Scored.read(*outputs), lambda _: stores, folder / "metrics.json")
    return folder


def _leave(trainer, folder, stage, snapshots):
    """What a job leaves after a stage."""
    files, state = paths.stage(folder / "checkpoints", stage), trainer.state(stage)
    state.save(files.weights, files.optimizer)
    snapshots.save(files.snapshots, state.provenance)
    write_history(files.history, [], COLUMNS)


def _choice(scored):
    return json.loads((scored / "choice.json").read_text())


def test_a_snapshot_is_placed_after_its_pass_and_scored_for_every_asked_cell(scored):
    followed = _choice(scored)["snapshots"]
    cells = [["example_a", "classification"], ["example_a", "segmentation"]]
    assert [(one["pass"], one["cycle"], one["after"], one["of"]) for one in followed] == [
        (1, 1, cells[0], cells[0]),
        (1, 1, cells[0], cells[1]),
        (5, 1, cells[1], cells[0]),
        (5, 1, cells[1], cells[1]),
    ]
    # each snapshot is the teacher of one of the two states
    values = {
        (one["cycle"], one["task"]): one["value"] for one in _choice(scored)["candidates"] if one["branch"] == "teacher"
    }
    expected = [values[cycle, task] for cycle in (1, 2) for task in ("classification", "segmentation")]
    assert [one["value"] for one in followed] == expected
    assert expected[:2] != expected[2:]


def test_the_untrained_network_predicts_test_as_a_state_without_updates_does(scored):
    table = pd.read_parquet(scored / "predictions.parquet")
    assert set(table.loc[table["branch"] == "untrained", "split"]) == {"test"}
    test = table[table["split"] == "test"].drop(columns="branch")
    branch = table.loc[test.index, "branch"]
    student, untrained = (test[branch == name].reset_index(drop=True) for name in ("student", "untrained"))
    assert len(untrained) > 0
    order = ["task", "row", "label", "score"]
    pd.testing.assert_frame_equal(
        student.sort_values(order, ignore_index=True), untrained.sort_values(order, ignore_index=True)
    )


def test_the_gain_is_what_the_chosen_teacher_is_better_by_than_the_network_before_training(scored):
    cells = json.loads((scored / "metrics.json").read_text())["test"]["example_a"]
    assert set(cells) == set(Task)
    for cell in cells.values():
        metric = cell["metric"]
        values = {branch: cell[branch][metric]["value"] for branch in ("student", "teacher", "untrained")}
        assert values["student"] == values["untrained"]
        assert cell["gain"]["value"] == pytest.approx(values["teacher"] - values["untrained"], abs=2e-6)
    assert any(cell["gain"]["value"] for cell in cells.values())


def test_images_seen_are_those_of_the_last_state(scored):
    zero = {"example_a": {"classification": 0, "localization": 0, "segmentation": 0}}
    assert _choice(scored)["seen"] == json.loads((scored / "metrics.json").read_text())["seen"] == zero
