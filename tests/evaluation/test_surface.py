"""The distance of outlines against all pairs of their pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore.evaluation.surface import hd95


def _outline(mask):
    """Pixels with a neighbour outside, by looking at each."""
    height, width = mask.shape
    return np.array(
        [
            (y, x)
            for y, x in zip(*np.nonzero(mask), strict=True)
            if any(
                not (0 <= y + dy < height and 0 <= x + dx < width and mask[y + dy, x + dx])
                for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))
            )
        ]
    )


def _by_all_pairs(found, truth, spacing):
    ours, theirs = (_outline(mask) * np.array(spacing) for mask in (found, truth))
    distances = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    return np.percentile(np.concatenate([distances.min(axis=1), distances.min(axis=0)]), 95)


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.floats(0.02, 0.98),
    st.sampled_from([(1.0, 1.0), (2.5, 0.5), (4.0, 3.0)]),
)
def test_it_is_what_all_pairs_of_outline_pixels_give(seed, shape, density, spacing):
    random = np.random.default_rng(seed)
    found, truth = (random.random(shape) < density for _ in range(2))
    if found.any() and truth.any():
        assert hd95(found, truth, spacing) == pytest.approx(_by_all_pairs(found, truth, spacing))
    else:
        assert np.isnan(hd95(found, truth, spacing))


def test_squares_that_touch_no_border_by_hand():
    found, truth = np.zeros((20, 20), dtype=bool), np.zeros((20, 20), dtype=bool)
    found[5:8, 5:8], truth[5:8, 9:12] = True, True  # moved by 4 pixels of width 2
    # of the 8 outline pixels of each, the three nearest are 2 · 2 apart, the middle two 3 · 2, the farthest three 4 · 2
    assert hd95(found, truth, (1.0, 2.0)) == pytest.approx(8.0)
    assert hd95(found, found, (1.0, 2.0)) == 0.0
