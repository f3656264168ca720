"""Masks as releases write them, against small ones written out by hand (datasets.md, section 0.3)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as coco_mask

from fxcore.data import rle, shapes
from fxcore.data.records import Mask, MaskFile, Polygon, Runs
from fxcore.errors import InputError

A = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1]], dtype=bool)
B = np.zeros((4, 5), dtype=bool)
B[1:3, 1:3] = True
RELATIVE = {"A": "5 2 1 2 8 2", "B": "5 2 2 2"}
ABSOLUTE = {"A": "3 1 7 2 12 1 15 1 20 1", "B": "7 2 12 2"}
MASKS = {"A": A, "B": B}


def _bitmap(shape, height=4, width=5):
    return shapes.bitmap(Mask("lung", shape, "file.csv, row 2"), height, width)


@pytest.mark.parametrize("name", MASKS)
def test_run_lengths_of_both_kinds(name):
    np.testing.assert_array_equal(_bitmap(Runs(RELATIVE[name], relative=True)), MASKS[name])
    np.testing.assert_array_equal(_bitmap(Runs(ABSOLUTE[name], relative=False)), MASKS[name])
    np.testing.assert_array_equal(_bitmap(rle.encode(MASKS[name])), MASKS[name])


@pytest.mark.parametrize("name", MASKS)
def test_a_wrong_order_or_start_gives_another_mask(name):
    # absolute starts read by columns, and from 0 instead of 1: what a careless reader would do
    by_columns = rle.fill(rle.absolute(ABSOLUTE[name]), 20).reshape(5, 4).T
    from_zero = rle.fill(rle.absolute(ABSOLUTE[name])[:-1] + 1, 20).reshape(4, 5)
    by_rows = rle.fill(rle.relative(RELATIVE[name]), 20).reshape(4, 5)
    for wrong in (by_columns, from_zero, by_rows):
        assert not np.array_equal(wrong, MASKS[name])


@pytest.mark.parametrize(("name", "box"), [("A", (1, 0, 4, 4)), ("B", (1, 1, 2, 2))])
def test_boxes_of_runs_need_no_bitmap(name, box):
    assert shapes.box(Runs(RELATIVE[name], relative=True), 4, 5) == box
    assert shapes.box(Runs(ABSOLUTE[name], relative=False), 4, 5) == box


def test_a_run_over_several_lines_spans_them():
    # pixels 3 to 12 of lines of 4: from line 0 to line 3, whole lines in between
    assert shapes.box(Runs("3 10", relative=True), 4, 5) == (0, 0, 4, 4)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(np.any))
def test_any_mask_comes_back_from_every_code(mask):
    height, width = mask.shape
    starts = [(int(start), int(end - start)) for start, end in _spans(mask.reshape(-1))]
    absolute = " ".join(f"{start + 1} {length}" for start, length in starts)
    text, end = [], 0
    for start, stop in _spans(mask.T.reshape(-1)):
        text += [str(start - end), str(stop - start)]
        end = stop
    for shape in (Runs(absolute, relative=False), Runs(" ".join(text), relative=True)):
        np.testing.assert_array_equal(_bitmap(shape, height, width), mask)
        assert shapes.box(shape, height, width) == tuple(coco_mask.toBbox(rle.encode(mask) | {"size": [height, width]}))


def _spans(line):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return edges.reshape(-1, 2)


def test_a_polygon_covers_pixels_whose_centre_is_inside():
    # corners at (1, 1), (4, 1), (4, 3), (1, 3): columns 1 to 3, rows 1 and 2
    expected = np.zeros((4, 5), dtype=bool)
    expected[1:3, 1:4] = True
    square = Polygon(((1, 1), (4, 1), (4, 3), (1, 3)))
    np.testing.assert_array_equal(_bitmap(square), expected)
    assert shapes.box(square, 4, 5) == (1, 1, 3, 2)


def test_a_polygon_that_crosses_itself_is_even_odd():
    # two triangles that share their tip in the middle: the left and the right of the square stay empty
    hourglass = Polygon(((0, 0), (8, 0), (0, 8), (8, 8)))
    mask = _bitmap(hourglass, 8, 8)
    assert mask[1, 4]
    assert mask[6, 4]
    assert not mask[4, 0]
    assert not mask[4, 7]


def test_a_mask_file_may_be_half_the_size_of_its_image(tmp_path):
    small = np.array([[0, 255], [0, 1]], dtype=np.uint8)
    Image.fromarray(small).save(tmp_path / "mask.gif")
    mask = _bitmap(MaskFile(tmp_path / "mask.gif", scale=2), 4, 4)
    np.testing.assert_array_equal(mask, np.repeat([[0, 0, 1, 1]], 4, axis=0).astype(bool))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Runs("5 2 1", relative=True), "run lengths '5 2 1' are not pairs of start and length"),
        (Runs("5 x", relative=True), "are not pairs"),
        (Runs("", relative=False), "are not pairs"),
        (Runs("5 0", relative=True), "have a run of length 0"),
        (Runs("15 6", relative=True), "a run ends at pixel 21; the image has 20"),
        (Runs("0 2", relative=False), "do not rise from 1 on"),
        (Runs("7 2 8 1", relative=False), "do not rise from 1 on"),
        (Runs("20 2", relative=False), "a run ends at pixel 21; the image has 20"),
        (Polygon(((1, 1), (2, 2))), "a polygon of 2 points; expected three at least"),
        (Polygon(((1, 1), (6.5, 1), (4, 3))), r"a corner at \(6.5, 3\) .* leaves the image of 5 × 4 pixels"),
        (rle.encode(np.ones((5, 4), dtype=bool)), "the mask has 4 × 5 pixels, its image 5 × 4"),
        ({"size": [4, 5], "counts": "1"}, "runs cover 1 pixels; the image has 4 × 5 = 20"),
    ],
)
def test_a_mask_that_cannot_be_says_where_it_is(shape, message):
    with pytest.raises(InputError, match=f"^file.csv, row 2: lung: .*{message}"):
        _bitmap(shape)


def test_a_mask_file_of_another_size_or_kind_is_named(tmp_path):
    Image.fromarray(np.zeros((3, 3), dtype=np.uint8)).save(tmp_path / "mask.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"mask.png has 3 × 3 pixels of the image, which has 5 × 4"):
        _bitmap(MaskFile(tmp_path / "mask.png"))
    with pytest.raises(InputError, match=r"broken.png cannot be decoded"):
        _bitmap(MaskFile(tmp_path / "broken.png"))
