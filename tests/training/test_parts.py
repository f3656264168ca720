"""Teacher, consistency, losses and schedule against closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fxcore.models.foundation import ClassificationTrunk, LocalizationTrunk, SegmentationTrunk
from fxcore.models.localization.encoder import Memory
from fxcore.passes import Granularity, Task, passes, stages
from fxcore.training.consistency import consistency
from fxcore.training.objectives import classification_loss, dice_loss
from fxcore.training.schedule import factor, updates_of
from fxcore.training.teacher import Teacher


def test_following_a_still_student_is_the_closed_form():
    student = nn.Linear(2, 1)
    teacher = Teacher(student)
    start = teacher.model.weight.clone()
    with torch.no_grad():
        student.weight.fill_(1.0)
    for _ in range(5):
        teacher.follow(student, 0.8)
    torch.testing.assert_close(teacher.model.weight, 1.0 + 0.8**5 * (start - 1.0))


def test_batchnorm_statistics_follow_too():
    student = nn.BatchNorm1d(3)
    teacher = Teacher(student)
    student(torch.randn(16, 3) + 4.0)
    teacher.follow(student, 0.8)
    torch.testing.assert_close(teacher.model.running_mean, student.running_mean)


def test_the_teacher_takes_no_gradient_and_stays_in_evaluation_mode():
    teacher = Teacher(nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())
    assert not teacher.model.training


def test_consistency_of_classification_is_the_mean_squared_distance():
    ours, theirs = torch.zeros(2, 3, requires_grad=True), torch.full((2, 3), 2.0, requires_grad=True)
    loss = consistency(ClassificationTrunk(ours), ClassificationTrunk(theirs))
    loss.backward()
    assert loss.item() == 4.0
    assert theirs.grad is None
    torch.testing.assert_close(ours.grad, torch.full((2, 3), 2 * -2.0 / 6))


def test_consistency_of_localization_is_the_mean_of_maps_and_tokens():
    def trunk(maps, tokens):
        return LocalizationTrunk(
            tuple(torch.full((1, 2, side, side), value) for side, value in zip((4, 2), maps, strict=True)),
            Memory(torch.full((1, 5, 2), tokens), ((1, 5),), torch.zeros(1)),
        )

    # maps differ by 1 and 3: (1 + 9) / 2 = 5; tokens by 2: 4
    assert float(consistency(trunk((0.0, 0.0), 0.0), trunk((1.0, 3.0), 2.0))) == (5 + 4) / 2


def test_consistency_of_segmentation_does_not_see_the_scale_of_the_raw_map():
    torch.manual_seed(0)
    deepest, fused = torch.randn(2, 16, 3, 3), torch.randn(2, 4, 6, 6)
    loss = consistency(SegmentationTrunk(deepest, fused), SegmentationTrunk(7 * deepest + 3, fused + 1))
    assert float(loss) == pytest.approx((0 + 1) / 2, abs=1e-3)


def test_unknown_labels_enter_neither_sum_nor_mean():
    logits, labels = torch.tensor([[0.0, 5.0], [2.0, -9.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    known = torch.tensor([[True, False], [True, False]])
    expected = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert float(classification_loss(logits, labels, known)) == pytest.approx(expected, rel=1e-6)
    assert float(classification_loss(logits, labels, torch.zeros_like(known))) == 0


def test_dice_is_averaged_over_images_and_classes():
    masks = torch.zeros(1, 2, 4, 4)
    masks[0, 0, :2] = 1
    logits = torch.where(masks > 0, 50.0, -50.0)
    logits[0, 1] = 50.0  # the second class is empty and wrongly filled: (0 + 1) / (16 + 0 + 1)
    assert float(dice_loss(logits, masks, smooth=1.0)) == pytest.approx((0 + (1 - 1 / 17)) / 2, rel=1e-5)


@given(st.integers(0, 500), st.integers(0, 50), st.integers(51, 400))
def test_the_rate_rises_then_falls_along_a_cosine(update, warmup, horizon):
    found = factor(update, warmup, horizon)
    if update < warmup:
        assert found == pytest.approx((update + 1) / warmup)
    elif update >= horizon:
        assert found == pytest.approx(0, abs=1e-12)
    else:
        assert found == pytest.approx(math.cos(math.pi / 2 * (update - warmup) / (horizon - warmup)) ** 2)


def test_updates_of_a_cycle_by_hand():
    plan = passes([("a", frozenset(Task))], 1)
    images = {("a", Task.CLASSIFICATION): 50, ("a", Task.LOCALIZATION): 31, ("a", Task.SEGMENTATION): 3}
    # 12 whole batches; 7 and half of them; one small batch, twice
    assert updates_of(plan, images, 4) == 12 + (3 + 7) + (1 + 1)
    assert sum(updates_of(stage.passes, images, 4) for stage in stages(plan, Granularity.PASS)) == 12 + 10 + 2
