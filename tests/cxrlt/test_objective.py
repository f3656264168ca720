"""The losses of self-supervision against NumPy, written from the published formulae."""

import numpy as np
import pytest
import torch

from fxcore.cxrlt.objective import Learner, Projector, Seen, cls_pairs, koleo, losses, patch_weights
from fxcore.params.cxrlt import Projection, SelfSupervision, Vit

B, L, PATCHES = 3, 8, 5
HOW = SelfSupervision(projection=Projection(prototypes=13, hidden=16, dino=6, ibot=4, chunk=5))


def _sphere(*shape, seed):
    points = np.random.default_rng(seed).normal(size=shape)
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def _balanced(logits, temperature):
    found = np.exp(logits / temperature)
    for _ in range(3):
        found /= found.sum(axis=0, keepdims=True) * found.shape[1]
        found /= found.sum(axis=1, keepdims=True) * len(found)
    return found * len(found)


def _cross_entropy(wanted, logits):
    return -(wanted * (logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))).sum(axis=-1)


@pytest.fixture(scope="module")
def batch():
    """What student and teacher make of 3 images, in NumPy and as tensors; crops lie crop by crop."""
    masked = np.zeros((2 * B, PATCHES), dtype=bool)
    masked[1, [0, 3]] = masked[4, [1, 2, 4]] = masked[5, 0] = True
    number = int(masked.sum())
    cls = np.random.default_rng(0).normal(size=((2 + L) * B, 7))
    student = (
        cls,
        _sphere((2 + L) * B, 6, seed=1),
        _sphere(number, 4, seed=2),
        _sphere(13, 6, seed=3),
        _sphere(13, 4, seed=4),
    )
    teacher = (
        cls[: 2 * B],
        _sphere(2 * B, 6, seed=5),
        _sphere(number, 4, seed=6),
        _sphere(13, 6, seed=7),
        _sphere(13, 4, seed=8),
    )
    return student, teacher, masked


def _tensors(arrays):
    return Seen(*(torch.from_numpy(one).float() for one in arrays))


@pytest.fixture(scope="module")
def found(batch):
    student, teacher, masked = batch
    return losses(_tensors(student), _tensors(teacher), torch.from_numpy(masked), HOW, 0.05)


def test_dino_is_the_mean_of_eighteen_pairs_of_crops(batch, found):
    student, teacher, _ = batch
    wanted = _balanced(teacher[1] @ teacher[3].T, 0.05).reshape(2, B, -1)
    seen = (student[1] @ student[3].T / 0.1).reshape(2 + L, B, -1)
    pairs = [(one, other) for one in range(2) for other in range(2 + L) if other != one]
    assert len(pairs) == 18
    expected = sum(_cross_entropy(wanted[one], seen[other]).mean() for one, other in pairs) / 18
    assert float(found["dino"]) == pytest.approx(expected, rel=1e-4)


def test_ibot_weighs_crops_alike_and_divides_by_all_global_crops(batch, found):
    student, teacher, masked = batch
    wanted = _balanced(teacher[2] @ teacher[4].T, 0.05)
    each = _cross_entropy(wanted, student[2] @ student[4].T / 0.1)
    crop = np.nonzero(masked)[0]
    expected = sum(each[crop == one].mean() for one in (1, 4, 5)) / (2 * B)
    assert float(found["ibot"]) == pytest.approx(3 * expected, rel=1e-4)


def test_koleo_is_the_log_distance_to_the_nearest_of_each_group_of_global_crops(batch, found):
    cls = batch[0][0]
    expected = 0.0
    for group in (cls[:B], cls[B : 2 * B]):
        rows = group / np.linalg.norm(group, axis=1, keepdims=True)
        apart = np.linalg.norm(rows[:, None] - rows[None], axis=2) + np.where(np.eye(B), np.inf, 0)
        expected += -np.log(apart.min(axis=1) + 1e-8).mean()
    assert float(found["koleo"]) == pytest.approx(0.1 * expected, rel=1e-4)


def test_koleo_of_equal_images_and_of_one_image_is_finite():
    rows = torch.ones(4, 3, requires_grad=True)
    value = koleo(rows)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(rows.grad).all()
    assert float(koleo(torch.ones(1, 3))) == 0


def test_koleo_in_half_precision_is_computed_in_float32():
    rows = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    assert float(koleo(rows.bfloat16())) == pytest.approx(float(koleo(rows.bfloat16().float())), rel=1e-6)


def test_pairs_and_weights_of_one_image_and_one_local_crop():
    index, weights = cls_pairs(1, 1, torch.device("cpu"))
    # rows: global 1 against the teacher's global 2, global 2 against global 1, the local crop against both; 4 pairs
    assert index[:2, 0].tolist() == [1, 0]
    assert index[2].tolist() == [0, 1]
    assert weights.tolist() == [[0.25, 0.0], [0.25, 0.0], [0.25, 0.25]]


def test_weights_of_masked_patches():
    masked = torch.tensor([[True, True, False], [False, False, False], [True, False, False], [True, True, True]])
    # by crop 1/2, -, 1, 1/3; divided by all four crops
    assert patch_weights(masked)[:, 0].tolist() == pytest.approx([1 / 8, 1 / 8, 1 / 4, 1 / 12, 1 / 12, 1 / 12])


def test_a_batch_without_a_masked_patch_has_no_ibot_loss(batch):
    student, teacher, masked = batch
    none = [one[:0] if at == 2 else one for at, one in enumerate(student)]
    value = losses(_tensors(none), _tensors(teacher), torch.from_numpy(masked & False), HOW, 0.05)
    assert float(value["ibot"]) == 0


def test_points_of_a_projector_lie_on_the_sphere_and_its_directions_begin_with_length_one():
    torch.manual_seed(0)
    head = Projector(9, 6, HOW.projection)
    torch.testing.assert_close(head(torch.randn(4, 9)).norm(dim=1), torch.ones(4))
    torch.testing.assert_close(head.directions.norm(dim=1), torch.ones(13))


def test_only_the_student_misses_what_is_masked():
    torch.manual_seed(0)
    learner = Learner(Vit(patch=8, width=16, depth=1, heads=2, registers=1, drop_path=0, layer_scale=1), 16, HOW).eval()
    large, small = torch.rand(2, 1, 16, 16), torch.rand(2, 1, 8, 8)
    masked = torch.tensor([[True, False, False, False], [False] * 4])
    changed = large.clone()
    changed[0, :, :8, :8] = 0
    with torch.no_grad():
        torch.testing.assert_close(learner(large, small, masked), learner(changed, small, masked))
        assert not torch.allclose(learner(large, None, masked)[0], learner(changed, None, masked)[0])
        assert [len(one) for one in learner(large, small, masked)] == [4, 4, 1, 13, 13]
