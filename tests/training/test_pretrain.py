"""Training: the same bits whatever the stage granularity, frozen means frozen, and states that do not fit are refused."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from fxcore.data.normalize import normalize
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.passes import Mode, Task
from fxcore.phantom.phantom import write
from fxcore.slices.make import phantom_slice, store_slice, train_slice
from fxcore.slices.train import run_passes
from fxcore.training import locking
from fxcore.training.loop import Trainer
from fxcore.training.pretrain import pretrain
from fxcore.training.state import load

HERE = Machine()


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    from fxcore.params.experiment import load as load_params
    from tests.conftest import TINY

    root = tmp_path_factory.mktemp("data")
    tiny = load_params(TINY)
    write(phantom_slice(tiny, "example_a"), root / "native")
    normalize(store_slice(tiny, "example_a"), root / "native", root / "store")
    return {"example_a": Store(root / "store")}


def _train(slice_, stores, folder: Path, stages: int) -> Path:
    previous = None
    for number in range(1, stages + 1):
        state = folder / f"{number}.safetensors"
        pretrain(slice_, number, previous, stores, HERE, 0, state, folder / f"{number}.csv")
        previous = state
    return previous


def test_the_same_bits_whatever_the_stage(stores, tiny, tmp_path):
    finals, histories = {}, {}
    for name, stages, how in [
        ("pass", 10, {"stage": "pass"}),
        ("dataset", 2, {"stage": "dataset"}),
        ("run", 1, {"stage": "cycle", "stage_cycles": 2}),
    ]:
        changes = {f"pretrain__{key}": value for key, value in how.items()}
        if name == "run":
            changes |= {f"runs__example_a_localization__{key}": 2 for key in ("cycles", "horizon_cycles")}
        slice_ = train_slice(tiny(**changes), "foundation_x")
        folder = tmp_path / name
        finals[name] = load(_train(slice_, stores, folder, stages))
        histories[name] = (
            pd.concat(pd.read_csv(folder / f"{n}.csv") for n in range(1, stages + 1))
            .drop(columns="images_per_second")
            .reset_index(drop=True)
        )
    assert finals["pass"].passes == 10
    for name in ("dataset", "run"):
        assert (finals[name].passes, finals[name].updates) == (finals["pass"].passes, finals["pass"].updates)
        assert set(finals[name].tensors) == set(finals["pass"].tensors)
        for key, value in finals["pass"].tensors.items():
            assert torch.equal(value, finals[name].tensors[key]), (name, key)
        pd.testing.assert_frame_equal(histories[name], histories["pass"])


def _trainer(tiny, stores, **changes):
    slice_ = train_slice(tiny(**changes), "foundation_x")
    return slice_, Trainer(slice_, stores, horizon=40, device=torch.device("cpu"))


def _snapshot(trainer):
    return {name: value.clone() for name, value in trainer.state({}).tensors.items()}


def test_over_each_pass_what_is_frozen_stands_still_and_what_is_released_moves(stores, tiny):
    # enough images for several updates in every pass, so that each trained parameter is reached
    slice_, trainer = _trainer(tiny, stores, pretrain__batch_size=2)
    for one in run_passes(slice_.visits, slice_.pretrain, 1):
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
    plan = run_passes(slice_.visits, slice_.pretrain, 1)
    expected = {name: value.clone() for name, value in trainer.student.named_parameters()}
    for one in plan:
        list(trainer.run(one))
        for name, value in trainer.student.named_parameters():
            expected[name].lerp_(value.detach(), 0.2)
    for name, value in trainer.teacher.model.named_parameters():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-5)


def test_terms_of_the_loss_and_their_weights(stores, tiny):
    slice_, trainer = _trainer(tiny, stores)
    rows = [row for one in run_passes(slice_.visits, slice_.pretrain, 1) for row in trainer.run(one)]
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
        return next(iter(trainer.run(run_passes(slice_.visits, slice_.pretrain, 1)[0])))["bce"]

    assert first_loss(pretrain__momentum=None) == pytest.approx(2 * first_loss(), rel=1e-6)


def test_localization_gradients_are_clipped_and_the_norm_before_is_recorded(stores, tiny):
    slice_, trainer = _trainer(tiny, stores)
    one = next(one for one in run_passes(slice_.visits, slice_.pretrain, 1) if one.task is Task.LOCALIZATION)
    trainer.passes = one.index
    parameters = locking.apply(trainer.student, one)
    row = trainer._update(one, next(iter(trainer.batches(one))), parameters)
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in parameters if p.grad is not None]))
    assert row["gradient_norm"] > 0.1
    assert float(norm) == pytest.approx(0.1, rel=1e-3)


def test_a_stage_refuses_the_state_of_another(stores, tiny, tmp_path):
    slice_ = train_slice(tiny(pretrain__stage="pass"), "foundation_x")
    first = _train(slice_, stores, tmp_path, 1)
    with pytest.raises(InputError, match="1 passes done; stage 3 of foundation_x begins after 2"):
        pretrain(slice_, 3, first, stores, HERE, 0, tmp_path / "x.safetensors", tmp_path / "x.csv")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_single_mask_is_too_few_to_normalise_over(stores, tiny, tmp_path, monkeypatch):
    slice_ = train_slice(tiny(), "foundation_x")
    few = stores["example_a"]
    monkeypatch.setattr(few, "table", few.table.assign(has_masks=few.table["has_masks"] & (few.table.index == 0)))
    with pytest.raises(InputError, match="example_a has 1 training image annotated for segmentation"):
        pretrain(slice_, 1, None, stores, HERE, 0, tmp_path / "x.safetensors", tmp_path / "x.csv")


def test_a_loss_that_is_no_number_stops_at_once_and_is_placed(stores, tiny):
    slice_, trainer = _trainer(tiny, stores)
    with torch.no_grad():
        trainer.student.classification_heads["example_a"].weight[0, 0] = float("nan")
    with pytest.raises(
        FloatingPointError, match=r"c001-example_a-classification-release, update 1: the loss is nan; images at rows \["
    ):
        list(trainer.run(run_passes(slice_.visits, slice_.pretrain, 1)[0]))
