"""Uncertain and missing labels as targets."""

import numpy as np
import pytest

from fxcore.data import codes
from fxcore.params.datasets import Labels

CODES = np.array([[1, 0, -1, np.nan]], dtype=np.float32)
CLASSES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("uncertain", "blank", "target", "known"),
    [
        ("u_ones", "blank_zero", [1, 0, 1, 0], [1, 1, 1, 1]),
        ("u_zeros", "blank_ignore", [1, 0, 0, 0], [1, 1, 1, 0]),
        ("u_ignore", "blank_zero", [1, 0, 0, 0], [1, 1, 0, 1]),
    ],
)
def test_codes_become_targets(uncertain, blank, target, known):
    policy = Labels(classes=CLASSES, uncertain=uncertain, blank=blank)
    found, of_known = codes.targets(CODES, policy, ["x"])
    assert found[0].tolist() == target
    assert of_known[0].tolist() == known


def test_smoothed_targets_depend_on_image_class_and_seed_alone():
    policy = Labels(classes=CLASSES, uncertain="u_lsr_ones", smoothing=(0.55, 0.85))
    names = [f"image {number}" for number in range(400)]
    raw = np.full((400, 4), -1, dtype=np.float32)
    np.random.seed(1)
    first, known = codes.targets(raw, policy, names)
    np.random.seed(2)
    again, _ = codes.targets(raw[::-1], policy, names[::-1])
    np.testing.assert_array_equal(first, again[::-1])
    assert known.all()
    # uniform on 0.55 to 0.85: mean 0.70, standard error of 1600 draws 0.087 / 40
    assert 0.55 <= first.min() < 0.56 < 0.84 < first.max() <= 0.85
    assert abs(first.mean() - 0.70) < 4 * 0.0866 / 40
    assert len(np.unique(first)) > 1500
    other, _ = codes.targets(raw, policy.model_copy(update={"smoothing_seed": 1}), names)
    assert not np.array_equal(first, other)
    assert codes.targets(CODES, policy, ["x"])[0][0].tolist()[:2] == [1, 0]
