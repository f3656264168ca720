"""Assignments and cross-entropy to prototypes against formulae that hold the whole matrices."""

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax, normalize

from fxcore.cxrlt.prototypes import cross_entropy, sinkhorn


def _points(number, channels, seed):
    torch.manual_seed(seed)
    return normalize(torch.randn(number, channels), dim=1)


def _balanced(logits, temperature, iterations):
    """Sinkhorn-Knopp on the whole matrix in NumPy, float64: all prototypes as much, then each row 1."""
    found = np.exp(logits.double().numpy() / temperature)
    rows, prototypes = found.shape
    for _ in range(iterations):
        found /= found.sum(axis=0, keepdims=True) * prototypes
        found /= found.sum(axis=1, keepdims=True) * rows
    return found * rows


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_assignments_are_those_of_the_whole_matrix_however_it_is_cut(chunk):
    rows, directions = _points(12, 6, 0), _points(50, 6, 1) * 1.3
    found = sinkhorn(rows, directions, 0.05, 3, chunk)
    expected = _balanced(rows @ directions.T, 0.05, 3)
    np.testing.assert_allclose(found.chunk(0, 50).numpy(), expected, rtol=2e-4, atol=1e-7)


def test_rows_sum_to_one_and_many_iterations_balance_the_prototypes():
    found = sinkhorn(_points(30, 8, 2), _points(10, 8, 3), 0.2, 60, 4).chunk(0, 10)
    np.testing.assert_allclose(found.sum(dim=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.sum(dim=0), 3, rtol=1e-3)  # 30 rows over 10 prototypes


def test_a_cold_teacher_does_not_overflow():
    found = sinkhorn(_points(4, 3, 4), _points(9, 3, 5) * 5, 0.02, 3, 4).chunk(0, 9)
    assert torch.isfinite(found).all()
    # Exponents reach some hundreds, where a float is exact to 3e-5, which is a relative error of the sums.
    np.testing.assert_allclose(found.sum(dim=1), 1, rtol=1e-4)


@pytest.fixture
def case():
    """Eight rows of the student, each held against two of five of the teacher's, with weights of which some are zero."""
    torch.manual_seed(6)
    rows, directions = _points(8, 4, 7).requires_grad_(), _points(21, 4, 8).requires_grad_()
    targets = sinkhorn(_points(5, 4, 9), _points(21, 4, 10), 0.06, 3, 21)
    index, weights = torch.randint(5, (8, 2)), torch.rand(8, 2)
    weights[::3, 1] = 0
    return rows, directions, targets, index, weights


@pytest.mark.parametrize("chunk", [1, 8, 21, 100])
def test_cross_entropy_and_its_gradients_are_those_of_the_plain_formula(case, chunk):
    rows, directions, targets, index, weights = case
    wanted = targets.chunk(0, 21)
    plain = -(log_softmax(rows @ directions.T / 0.1, dim=1)[:, None] * wanted[index]).sum(dim=2)
    expected = (plain * weights).sum()
    expected_gradients = torch.autograd.grad(expected, (rows, directions))
    found = cross_entropy(rows, directions, 0.1, targets, index, weights, chunk)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for mine, its in zip(torch.autograd.grad(2 * found, (rows, directions)), expected_gradients, strict=True):
        torch.testing.assert_close(mine, 2 * its, rtol=1e-4, atol=1e-5)


def test_gradients_are_right_by_differences(case):
    rows, directions, targets, index, weights = case
    value = lambda: float(cross_entropy(rows, directions, 0.1, targets, index, weights, 8))  # noqa: E731
    (gradient,) = torch.autograd.grad(cross_entropy(rows, directions, 0.1, targets, index, weights, 8), rows)
    with torch.no_grad():
        rows[2, 1] += 1e-2
        up = value()
        rows[2, 1] -= 2e-2
        down = value()
    assert float(gradient[2, 1]) == pytest.approx((up - down) / 2e-2, rel=2e-2)
