"""Run lengths against pycocotools, and text from strangers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from fxcore.data import rle

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def test_the_worked_example_of_the_dataset_sheets():
    # spec/datasets.md 0.3, masks A and B
    a = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1]], dtype=bool)
    b = np.zeros((4, 5), dtype=bool)
    b[1:3, 1:3] = True
    assert rle.encode(a)["counts"] == "521070"
    assert rle.encode(b)["counts"] == "52207"
    assert rle.counts("521070").tolist() == [5, 2, 1, 2, 8, 2]
    assert rle.counts("52207").tolist() == [5, 2, 2, 2, 9]


@given(MASKS)
def test_decoding_undoes_encoding_and_agrees_with_pycocotools(mask):
    encoded = rle.encode(mask)
    np.testing.assert_array_equal(rle.decode(encoded), mask)
    np.testing.assert_array_equal(
        coco_mask.decode({**encoded, "counts": encoded["counts"].encode()}).astype(bool), mask
    )


def test_long_runs_need_several_groups_of_bits():
    mask = np.zeros((3000, 2000), dtype=bool)
    mask[1234:2345, 345:1789] = True
    np.testing.assert_array_equal(rle.decode(rle.encode(mask)), mask)


@given(st.text(alphabet=[chr(code) for code in range(40, 120)], max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_any_text_gives_a_mask_of_the_size_or_a_value_error(text, height, width):
    try:
        mask = rle.decode({"size": [height, width], "counts": text})
    except ValueError:
        return
    assert mask.shape == (height, width)


def test_a_run_past_the_end_is_refused():
    encoded = rle.encode(np.ones((4, 5), dtype=bool))
    with pytest.raises(ValueError, match="runs cover 20 pixels; the image has 4 × 4 = 16"):
        rle.decode({"size": [4, 4], "counts": encoded["counts"]})
