"""Training: the same bits whatever the stage granularity, frozen means frozen, and states that do not fit are refused."""

import shutil
from dataclasses import astuple

import pandas as pd
import pytest
import torch

from fxcore import paths
from fxcore.errors import InputError
from fxcore.passes import Mode, Task
from fxcore.slices.make import train_slice
from fxcore.training import locking
from fxcore.training.loop import Trainer
from fxcore.training.pretrain import stage_of
from fxcore.training.state import load
from tests.training.conftest import train

PASS_BY_PASS = [
    *("cycle_0-01", "cycle_0-02", "cycle_0-03", "cycle_0-04", "cycle_1"),
    *("cycle_1-01", "cycle_1-02", "cycle_1-03", "cycle_1-04", "cycle_2"),
]


def _history(folder, stages):
    """Numbers of all updates but the one that depends on the machine."""
    whole = pd.concat(pd.read_csv(paths.stage(folder, name).history) for name in stages)
    return whole.drop(columns="images_per_second").reset_index(drop=True)


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"pretrain__stage": "dataset"}, ["cycle_1", "cycle_2"]),
        ({"pretrain__stage": "cycle", "runs__foundation_x__train__stage_cycles": 2}, ["cycle_2"]),
    ],
    ids=["dataset", "two cycles"],
)
def test_the_same_bits_whatever_the_stage(stores, tiny, tmp_path, pass_by_pass, changes, stages):
    last = paths.stage(pass_by_pass, "cycle_2")
    expected = load(last.weights, last.optimizer)
    written = train(train_slice(tiny(**changes), "foundation_x"), stores, tmp_path, stages)[-1]
    found = load(written.weights, written.optimizer)
    assert (found.passes, found.updates) == (expected.passes, expected.updates) == (10, 22)
    assert found.seen == expected.seen
    assert set(found.tensors) == set(expected.tensors)
    for key, value in expected.tensors.items():
        assert torch.equal(value, found.tensors[key]), key
    pd.testing.assert_frame_equal(_history(tmp_path, stages), _history(pass_by_pass, PASS_BY_PASS))


def test_images_seen_are_whole_batches_with_repeats(pass_by_pass):
    # of 12 images in batches of 4: 3 updates a release pass, 1 a lock pass; two cycles
    seen = load(pass_by_pass / "cycle_2.safetensors").seen
    assert seen == {"example_a": {"classification": 2 * 12, "localization": 2 * 16, "segmentation": 2 * 16}}
    assert load(pass_by_pass / "cycle_0-02.safetensors").seen["example_a"] == {
        "classification": 12,
        "localization": 4,
        "segmentation": 0,
    }


def _trainer(tiny, stores, **changes):
    slice_ = train_slice(tiny(**changes), "foundation_x")
    return slice_, Trainer(slice_, stores, horizon=40, device=torch.device("cpu"))


def _snapshot(trainer):
    return {name: value.clone() for name, value in trainer.state("cycle_1").tensors.items()}


def test_over_each_pass_what_is_frozen_stands_still_and_what_is_released_moves(stores, tiny):
    # enough images for several updates in every pass, so that each trained parameter is reached
    slice_, trainer = _trainer(tiny, stores, pretrain__batch_size=2)
    for one in slice_.passes(1):
        before = _snapshot(trainer)
        list(trainer.run(one))
        after = _snapshot(trainer)
        prefixes = tuple(f"{name}." for name in locking.trained(one))
        for name, value in after.items():
            owner = (
                name.removeprefix("student.")
                .removeprefix("optimizer.exp_avg_sq.")
                .removeprefix("optimizer.exp_avg.")
                .removeprefix("optimizer.step.")
            )
            if name.startswith("teacher."):
                continue
            if owner.startswith(prefixes):
                is_table_or_buffer = "relative_position_index" in name or "attn_mask" in name
                assert name not in before or is_table_or_buffer or not torch.equal(value, before[name]), (
                    f"{one.name}: {name} did not move"
                )
            else:
                assert torch.equal(value, before[name]), f"{one.name}: {name} is frozen and moved"


def test_the_teacher_follows_after_every_pass_by_its_momentum(stores, tiny):
    slice_, trainer = _trainer(tiny, stores)
    plan = slice_.passes(1)
    expected = {name: value.clone() for name, value in trainer.student.named_parameters()}
    for one in plan:
        list(trainer.run(one))
        for name, value in trainer.student.named_parameters():
            expected[name].lerp_(value.detach(), 0.2)
    for name, value in trainer.teacher.model.named_parameters():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-5)


def test_terms_of_the_loss_and_their_weights(stores, tiny):
    slice_, trainer = _trainer(tiny, stores)
    rows = [row for one in slice_.passes(1) for row in trainer.run(one)]
    for row in rows:
        locked = row["mode"] == Mode.LOCK
        assert ("consistency" in row) is not locked
        terms = {"bce", "dice", "class", "l1", "giou", "auxiliary", "proposals", "denoising", "consistency"} & set(row)
        assert row["loss"] == pytest.approx(sum(row[term] for term in terms), rel=1e-4)
    # before the first update student and teacher are one network, and dropped paths are all that lies between them
    assert rows[0]["consistency"] < 0.01
    assert {row["task"] for row in rows} == {str(task) for task in Task}


def test_without_a_teacher_the_task_has_the_whole_loss(stores, tiny):
    def first_loss(**changes):
        slice_, trainer = _trainer(tiny, stores, **changes)
        return next(iter(trainer.run(slice_.passes(1)[0])))["bce"]

    assert first_loss(
        runs__foundation_x__train__momentum=None, runs__foundation_x__train__snapshots=None
    ) == pytest.approx(2 * first_loss(), rel=1e-6)


def test_localization_gradients_are_clipped_and_the_norm_before_is_recorded(stores, tiny):
    slice_, trainer = _trainer(tiny, stores)
    one = next(one for one in slice_.passes(1) if one.task is Task.LOCALIZATION)
    trainer.passes = one.index
    parameters = locking.apply(trainer.student, one)
    row = trainer._update(one, next(iter(trainer.batches(one))), parameters)
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in parameters if p.grad is not None]))
    assert row["gradient_norm"] > 0.1
    assert float(norm) == pytest.approx(0.1, rel=1e-3)


def _files(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def _copied(source, stage, target, name):
    """Another folder with the state of a stage under the name of a stage; its files."""
    for one, two in zip(astuple(paths.stage(source, stage)), astuple(paths.stage(target, name)), strict=True):
        two.parent.mkdir(exist_ok=True)
        shutil.copy(one, two)
    return _files(target)


def test_a_stage_refuses_the_state_of_another(stores, tiny, tmp_path, pass_by_pass):
    slice_ = train_slice(tiny(pretrain__stage="pass"), "foundation_x")
    before = _copied(pass_by_pass, "cycle_0-01", tmp_path, "cycle_0-02")
    with pytest.raises(InputError, match="1 passes done; cycle_0-03 of foundation_x begins after 2"):
        train(slice_, stores, tmp_path, ["cycle_0-03"])
    assert _files(tmp_path) == before


def test_a_stage_refuses_a_state_trained_with_other_parameters(stores, tiny, tmp_path, pass_by_pass):
    slice_ = train_slice(tiny(pretrain__stage="pass", pretrain__consistency=0.25), "foundation_x")
    before = _copied(pass_by_pass, "cycle_0-01", tmp_path, "cycle_0-01")
    with pytest.raises(InputError, match="cycle_0-01 of foundation_x was trained with other pretrain"):
        train(slice_, stores, tmp_path, ["cycle_0-02"])
    assert _files(tmp_path) == before


@pytest.mark.parametrize(
    ("stage", "together", "name", "number", "passes"),
    [
        ("pass", 1, "cycle_0-01", 1, [0]),
        ("pass", 1, "cycle_1", 5, [4]),
        ("pass", 1, "cycle_2-02", 12, [11]),
        ("dataset", 1, "cycle_3", 3, [10, 11, 12, 13, 14]),
        ("cycle", 2, "cycle_4", 2, [*range(10, 20)]),
    ],
)
def test_a_stage_by_its_name(tiny, stage, together, name, number, passes):
    params = tiny(pretrain__stage=stage, runs__foundation_x__train__stage_cycles=together)
    found, before = stage_of(train_slice(params, "foundation_x"), name)
    assert (found.name, found.number) == (name, number)
    assert (before is None) == (number == 1)
    assert before is None or before.passes[-1].index == passes[0] - 1
    assert [one.index for one in found.passes] == passes


@pytest.mark.parametrize("name", ["cycle_0", "cycle_1-05", "cycle_01-1x", "stage_0001", ""])
def test_a_name_of_no_stage_is_said(tiny, name):
    slice_ = train_slice(tiny(pretrain__stage="pass"), "foundation_x")
    expected = f"--stage {name}: foundation_x has no such stage; its first is cycle_0-01"
    with pytest.raises(InputError) as caught:
        stage_of(slice_, name)
    assert str(caught.value) == expected


def test_stages_of_several_cycles_are_named_rightly_where_one_is_unknown(tiny):
    params = tiny(pretrain__stage="cycle", runs__foundation_x__train__stage_cycles=2)
    with pytest.raises(InputError, match="its first is cycle_2"):
        stage_of(train_slice(params, "foundation_x"), "cycle_1")


def test_a_loss_that_is_no_number_stops_at_once_and_is_placed(stores, tiny):
    slice_, trainer = _trainer(tiny, stores)
    with torch.no_grad():
        trainer.student.classification_heads["example_a"].weight[0, 0] = float("nan")
    with pytest.raises(
        FloatingPointError, match=r"c001-example_a-classification-release, update 1: the loss is nan; images at rows \["
    ):
        list(trainer.run(slice_.passes(1)[0]))
