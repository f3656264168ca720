"""What runs can have other than Foundation X: ramps, a second view, a projector, another optimiser, parts left out."""

import numpy as np
import pytest
import torch

from fxcore.data.loaders import Samples, collate
from fxcore.data.transforms import training
from fxcore.params.training import Augmentation, Ramp
from fxcore.passes import Mode, Task, passes
from fxcore.slices.make import train_slice
from fxcore.training.loop import Trainer
from fxcore.training.schedule import ramped

RUN = "runs__foundation_x__train"


def _trainer(tiny, stores, **changes):
    slice_ = train_slice(tiny(**changes), "foundation_x")
    return slice_, Trainer(slice_, stores, horizon=40, device=torch.device("cpu"))


def _rows(trainer, slice_, task, mode=Mode.RELEASE):
    """Numbers of the first pass of a task and mode, trained out of order."""
    one = next(one for one in slice_.passes(1) if one.task is task and one.mode is mode)
    trainer.passes = one.index
    return list(trainer.run(one))


def test_a_ramp_is_half_a_cosine_from_start_to_end():
    # (1 + cos(π/3)) / 2 = 3/4 of the way from end back to start
    values = [ramped(Ramp(start=0.9, end=1.0), done, 6) for done in (0, 2, 3, 4, 6, 9)]
    assert values == pytest.approx([0.9, 0.925, 0.95, 0.975, 1.0, 1.0])
    assert ramped(0.8, 5, 6) == 0.8


def test_the_teachers_momentum_ramps_by_pass(stores, tiny):
    # 5 passes a cycle, 4 cycles to the horizon: after the first pass 0, after the second a tenth of 2π/20 along
    slice_, trainer = _trainer(tiny, stores, **{f"{RUN}__momentum": {"start": 0.0, "end": 1.0}})
    first, second, *_ = slice_.passes(1)
    list(trainer.run(first))
    for ours, theirs in zip(trainer.teacher.model.parameters(), trainer.student.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    before = {name: value.clone() for name, value in trainer.teacher.model.named_parameters()}
    list(trainer.run(second))
    momentum = 1 - 0.5 * (1 + np.cos(np.pi * 1 / 20))
    for name, value in trainer.student.named_parameters():
        expected = momentum * before[name] + (1 - momentum) * value.detach()
        torch.testing.assert_close(dict(trainer.teacher.model.named_parameters())[name], expected)


def test_the_weight_of_consistency_ramps_by_pass(stores, tiny):
    # the run's first pass: weight 0, so the task loss is whole and there is no consistency term
    changes = {f"{RUN}__override": {"pretrain": {"consistency": {"start": 0.0, "end": 0.5}}}}
    slice_, trainer = _trainer(tiny, stores, **changes)
    one, *_ = slice_.passes(1)
    assert all("consistency" not in row for row in trainer.run(one))
    last = slice_.passes(3)[-1]
    assert trainer._weight(last) == pytest.approx(0.5 - 0.5 * 0.5 * (1 + np.cos(np.pi * 14 / 20)))


def _samples(store, task, views, augment):
    heads = store.heads((Task.CLASSIFICATION, Task.SEGMENTATION))
    return Samples(store, task, heads, training(task, 64, augment, mirror=False), views)


def test_two_views_differ_as_their_augmentation_does_and_the_first_is_that_of_one_view(stores):
    store, augment = stores["example_a"], Augmentation(crop=0.5, rotate=10)
    one, two = (_samples(store, Task.CLASSIFICATION, views, augment) for views in (1, 2))
    alone, both = collate([one[3, 5], one[4, 6]]), collate([two[3, 5], two[4, 6]])
    assert alone.second is None
    assert torch.equal(alone.images, both.images)
    assert both.second.shape == both.images.shape
    assert not torch.equal(both.second, both.images)
    plain = collate([_samples(store, Task.CLASSIFICATION, 2, Augmentation())[3, 5]])
    assert torch.equal(plain.second, plain.images)


def test_maps_are_compared_by_position_so_segmentation_has_one_view(stores):
    batch = collate([_samples(stores["example_a"], Task.SEGMENTATION, 2, Augmentation(rotate=10))[0, 1]])
    assert batch.second is None


def test_the_teacher_sees_the_second_view(stores, tiny):
    # without drop path the student at its start is the teacher: on the same view they agree, on another they do not
    model = {"backbone": {"arguments": {"drop_path_rate": 0.0}}}
    augment = {"classification": {"crop": 0.5, "rotate": 10}}
    found = {}
    for views in (1, 2):
        override = {"model": model, "pretrain": {"views": views, "augment": augment}}
        slice_, trainer = _trainer(tiny, stores, **{f"{RUN}__override": override})
        found[views] = _rows(trainer, slice_, Task.CLASSIFICATION)[0]
    assert found[1]["bce"] == found[2]["bce"]
    assert found[1]["consistency"] < 1e-9
    assert found[2]["consistency"] > 1e-4


def test_consistency_without_gradient_only_weighs_the_task_loss(stores, tiny):
    # the gradient is then that of the weighted task loss alone, as without any consistency term: rates scale it the same
    norms = {}
    for name, detached in (("with", []), ("without", ["localization"])):
        override = {"pretrain": {"detached": detached, "clip": {}}}
        slice_, trainer = _trainer(tiny, stores, **{f"{RUN}__override": override})
        trainer.teacher.model.localization_encoder.apply(_disturbed)
        norms[name] = _rows(trainer, slice_, Task.LOCALIZATION)[0]
    assert norms["with"]["consistency"] == norms["without"]["consistency"] > 0
    slice_, trainer = _trainer(tiny, stores, **{f"{RUN}__override": {"pretrain": {"consistency": 0.0, "clip": {}}}})
    alone = _rows(trainer, slice_, Task.LOCALIZATION)[0]
    assert norms["without"]["gradient_norm"] == pytest.approx(0.5 * alone["gradient_norm"], rel=1e-4)
    assert norms["with"]["gradient_norm"] != pytest.approx(0.5 * alone["gradient_norm"], rel=1e-4)


def _disturbed(module):
    for parameter in module.parameters(recurse=False):
        parameter.data.add_(0.05)


def test_one_long_visit_trains_a_dataset_to_its_end_before_the_next():
    order = [("a", frozenset({Task.CLASSIFICATION})), ("b", frozenset({Task.CLASSIFICATION, Task.SEGMENTATION}))]
    found = [(one.dataset, one.task, one.mode) for one in passes(order, 1, repeats=2)]
    cls, seg = Task.CLASSIFICATION, Task.SEGMENTATION
    of_b = [("b", cls, Mode.RELEASE), ("b", seg, Mode.LOCK), ("b", seg, Mode.RELEASE)]
    assert found == [("a", cls, Mode.RELEASE)] * 2 + of_b * 2
    assert [one.index for one in passes(order, 1, repeats=2)] == list(range(8))


ARK = {
    "visits": {"example_a": ["classification"]},
    "lock": [],
    "snapshots": None,
    "cycles": 2,
    "horizon_cycles": 4,
    "momentum": {"start": 0.9, "end": 1.0},
    "override": {
        "model": {"projector": {"width": 24, "hidden": True}},
        "pretrain": {"optimizer": "sgd", "views": 2, "consistency": {"start": 0.0, "end": 0.5}},
    },
}


def test_the_projector_is_trained_with_the_backbone_and_stands_before_the_head(stores, tiny):
    slice_, trainer = _trainer(tiny, stores, **{RUN: ARK})
    student = trainer.student
    assert [tuple(layer.weight.shape) for layer in (student.projector[0], student.projector[2])] == [
        (24, 128),
        (24, 24),
    ]
    assert student.classification_heads["example_a"].in_features == 24
    before = student.projector[0].weight.detach().clone()
    list(trainer.run(slice_.passes(1)[0]))
    assert not torch.equal(before, student.projector[0].weight)
    found = student.eval().classify(torch.zeros(1, 1, 64, 64), "example_a")
    torch.testing.assert_close(found.logits, student.classification_heads["example_a"](found.features))


def test_sgd_has_a_momentum_of_nine_tenths_that_a_state_carries(stores, tiny):
    slice_, trainer = _trainer(tiny, stores, **{RUN: ARK})
    first, second = slice_.passes(2)
    list(trainer.run(first))
    state = trainer.state("cycle_1")
    _, other = _trainer(tiny, stores, **{RUN: ARK})
    other.restore(state)
    assert "optimizer.momentum_buffer.projector.0.weight" in state.tensors
    for one in (trainer, other):
        list(one.run(second))
        assert one.optimizer.param_groups[0]["momentum"] == 0.9
    for name, value in trainer.state("cycle_2").tensors.items():
        assert torch.equal(value, other.state("cycle_2").tensors[name]), name
