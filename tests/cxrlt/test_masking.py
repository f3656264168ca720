"""Masks of the student's global crops: how many, how much, in rectangles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxcore.cxrlt.masking import masks
from fxcore.params.cxrlt import Masking


@settings(max_examples=60, deadline=None)
@given(crops=st.integers(0, 20), side=st.integers(2, 16), seed=st.integers(0, 2**32))
def test_half_of_the_crops_have_at_most_half_of_their_patches_masked(crops, side, seed):
    found = masks(crops, side, Masking(), np.random.default_rng(seed))
    assert found.shape == (crops, side * side)
    covered = np.sort(found.mean(axis=1))
    assert (covered > 0).sum() <= round(crops / 2)
    assert covered.max(initial=0) <= 0.5


def test_the_masked_parts_spread_evenly_over_the_range():
    """On a grid of 32² the generator reaches its targets nearly, one in each of ten bins from 0.1 to 0.5."""
    found = masks(20, 32, Masking(), np.random.default_rng(5)).mean(axis=1)
    covered = np.sort(found[found > 0])
    assert len(covered) == 10
    least = 0.1 + 0.04 * np.arange(10)
    assert (covered <= least + 0.04).all()
    assert (covered >= least - 0.02).all()  # what is left when a rectangle of the size wanted does not fit


def test_the_same_random_numbers_give_the_same_masks():
    one, other = (masks(6, 9, Masking(), np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_crop_or_every_crop(share):
    found = masks(8, 14, Masking(share=share), np.random.default_rng(1))
    assert (found.any(axis=1)).sum() == 8 * share
