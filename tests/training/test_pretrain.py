"""Training: the same bits whatever the stage granularity, frozen means frozen, and states that do not fit are refused."""

import shutil
from dataclasses import astuple

import pandas as pd
import pytest
import torch
from filelock import FileLock

from fxcore import paths
from fxcore.errors import InputError
from fxcore.passes import Mode, Task
from fxcore.slices.make import train_slice
from fxcore.training import locking
from fxcore.training.loop import Trainer
from fxcore.training.pretrain import MEASURED, stages_to
from fxcore.training.state import load
from tests.training.conftest import train

PASS_BY_PASS = [
    *("cycle_0-01", "cycle_0-02", "cycle_0-03", "cycle_0-04", "cycle_1"),
    *("cycle_1-01", "cycle_1-02", "cycle_1-03", "cycle_1-04", "cycle_2"),
]


def _history(folder, stages):
    """Numbers of all updates but the one that depends on the machine."""
    whole = pd.concat(pd.read_csv(paths.stage(folder, name).history) for name in stages)
    return whole.drop(columns=list(MEASURED)).reset_index(drop=True)


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


def test_a_stage_removes_what_no_later_stage_needs(stores, tiny, tmp_path):
    every = {"pretrain__stage": "dataset", "runs__foundation_x__train__keep_every": 2}
    slice_ = train_slice(tiny(**every), "foundation_x")
    names = ["cycle_1", "cycle_2", "cycle_3", "cycle_4"]
    left = []
    for name in names:
        train(slice_, stores, tmp_path, [name])
        left.append({path.stem for path in tmp_path.glob("*.safetensors")})
        kept = names[: names.index(name) + 1][-2:]  # this stage's, and what it would be made from again
        assert {path.stem for path in (tmp_path / "optimizer").iterdir()} == set(kept)
    one, two, three, four = names
    assert left == [{one}, {one, two}, {two, three}, {two, three, four}]
    for kind in ("snapshots", "history"):
        assert {path.stem for path in (tmp_path / kind).iterdir()} == set(names)


def _files(folder):
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


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
    *earlier, found = stages_to(train_slice(params, "foundation_x"), name)
    assert (found.name, found.number) == (name, number)
    assert [one.index for stage in earlier for one in stage.passes] == list(range(passes[0]))
    assert [one.index for one in found.passes] == passes


@pytest.mark.parametrize("name", ["cycle_0", "cycle_1-05", "cycle_01-1x", "stage_0001", ""])
def test_a_name_of_no_stage_is_said(tiny, name):
    slice_ = train_slice(tiny(pretrain__stage="pass"), "foundation_x")
    expected = f"--stage {name}: foundation_x has no such stage; its first is cycle_0-01"
    with pytest.raises(InputError) as caught:
        stages_to(slice_, name)
    assert str(caught.value) == expected


def test_stages_of_several_cycles_are_named_rightly_where_one_is_unknown(tiny):
    params = tiny(pretrain__stage="cycle", runs__foundation_x__train__stage_cycles=2)
    with pytest.raises(InputError, match="its first is cycle_2"):
        stages_to(train_slice(params, "foundation_x"), "cycle_1")


def test_a_loss_that_is_no_number_stops_at_once_and_is_placed(stores, tiny):
    slice_, trainer = _trainer(tiny, stores)
    with torch.no_grad():
        trainer.student.classification_heads["example_a"].weight[0, 0] = float("nan")
    with pytest.raises(
        FloatingPointError, match=r"c001-example_a-classification-release, update 1: the loss is nan; images at rows \["
    ):
        list(trainer.run(slice_.passes(1)[0]))


def _still(tiny, stores, micro, **changes):
    """A trainer without chance in its network: no drop path, no dropout."""
    arguments = tiny().model.backbone.arguments | {"drop_path_rate": 0.0}
    changes = {"model__backbone__arguments": arguments, "model__segmentation__dropout": 0.0} | changes
    return _trainer(tiny, stores, pretrain__micro_batch=micro, **changes)


def _updated(tiny, stores, micro, task, mode, **changes):
    """Gradients and numbers of one update in micro-batches of some size."""
    slice_, trainer = _still(tiny, stores, micro, **changes)
    one = next(one for one in slice_.passes(1) if (one.task, one.mode) == (task, mode))
    torch.manual_seed(3)
    with torch.no_grad():  # a teacher apart from the student, and box heads that do not end in zeros
        for parameter in (*trainer.student.parameters(), *trainer.teacher.model.parameters()):
            parameter.add_(0.02 * torch.randn_like(parameter))
    parameters = locking.apply(trainer.student, one)
    batch = next(iter(trainer.batches(one)))
    torch.manual_seed(5)
    numbers = trainer._update(one, batch, parameters)
    return numbers, {name: p.grad for name, p in trainer.student.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("micro", [1, 2, 3])
@pytest.mark.parametrize(
    ("task", "mode"),
    [
        (Task.CLASSIFICATION, Mode.RELEASE),
        (Task.LOCALIZATION, Mode.LOCK),
        (Task.LOCALIZATION, Mode.RELEASE),
        (Task.SEGMENTATION, Mode.LOCK),  # what is frozen normalises by running statistics
    ],
)
def test_micro_batches_add_up_to_the_batch(tiny, stores, task, mode, micro):
    whole, expected = _updated(tiny, stores, None, task, mode)
    parts, found = _updated(tiny, stores, micro, task, mode)
    assert parts == pytest.approx(whole, rel=1e-4, abs=1e-6)
    assert set(found) == set(expected)
    scale = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-5 * scale, rtol=1e-3, msg=name)


def test_half_precision_scales_the_loss_and_the_scale_is_part_of_the_state(tiny, stores, tmp_path):
    changes = {"pretrain__precision": "fp16"}
    slice_, trainer = _trainer(tiny, stores, **changes)
    first = slice_.passes(1)[0]
    rows = list(trainer.run(first))
    _, exact = _trainer(tiny, stores)
    assert rows[0]["loss"] == pytest.approx(next(iter(exact.run(first)))["loss"], rel=0.02)
    trainer.scaler.update(1234.0)
    trainer.state("cycle_0-01").save(tmp_path / "w.safetensors", tmp_path / "o.safetensors")
    _, again = _trainer(tiny, stores, **changes)
    again.restore(load(tmp_path / "w.safetensors", tmp_path / "o.safetensors"))
    assert again.scaler.get_scale() == 1234.0
    assert exact.state("cycle_0-01").scaler == {}


def test_two_jobs_do_not_train_one_run(stores, tiny, tmp_path):
    slice_ = train_slice(tiny(), "foundation_x")
    with (
        FileLock(tmp_path / "work.lock"),
        pytest.raises(InputError, match=r"^another job is training foundation_x; wait for that one, or stop it$"),
    ):
        train(slice_, stores, tmp_path, ["cycle_1"])
    assert not (tmp_path / "cycle_1.safetensors").exists()
    train(slice_, stores, tmp_path, ["cycle_1"])
