"""Run lengths, polygons and COCO files of strangers: a mask of the size of its image, or one line; and no memory for what they claim."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fxcore.data import coco, rle, shapes
from fxcore.data.records import Mask, MaskFile, Polygon, Runs
from fxcore.errors import InputError
from tests.hostile.mutations import NUMBERS, WORDS, few, refused, some, written

HEIGHT, WIDTH = 20, 30
WHERE = "masks.csv, row 2"
numbers = st.sampled_from([*NUMBERS, *map(str, (1, 2, 19, 20, 30, 600, 601, 2**31, 2**62, 2**63 - 1, 2**64, 10**30))])
texts = st.text(max_size=20) | st.lists(numbers, max_size=6).map(" ".join)
corners = st.floats(width=64) | st.sampled_from([0, 1e9, -1e9, 1e308, 10**30, 29.5])


def drawn(mask):
    """Decode a mask, which must be of its image's size, where nothing is said."""
    made = []
    said = refused(lambda: made.append(shapes.bitmap(Mask("Lung", mask, WHERE), HEIGHT, WIDTH)), WHERE)
    assert said or (made[0].shape == (HEIGHT, WIDTH) and made[0].dtype == bool)
    return said


@some
@given(texts, st.booleans())
def test_run_lengths_of_numbers(text, relative):
    drawn(Runs(text, relative))
    try:
        box = shapes.box(Runs(text, relative), HEIGHT, WIDTH)
    except ValueError:
        return
    assert all(map(math.isfinite, box))


@some
@given(
    st.text(max_size=30) | st.text("0123456789:;<=>?@PQRo", max_size=60), st.integers(-1, 10**9), st.integers(0, 10**9)
)
@example("o" * 60, HEIGHT, WIDTH)
def test_run_lengths_of_coco(text, height, width):
    assert drawn({"size": [height, width], "counts": text}) or (height, width) == (HEIGHT, WIDTH)
    drawn({"size": [HEIGHT, WIDTH], "counts": text})


def test_runs_whose_sum_comes_round_to_the_right_number_are_refused():
    """Of 64 bits: 2⁶³ + 2⁶³ + 600 is 600."""
    text = "".join(_coco_number(value) for value in (0, *[(1 << 34) - 1] * 4000, 600))
    assert "runs cover" in drawn({"size": [HEIGHT, WIDTH], "counts": text})
    assert "go past any picture" in drawn(Runs(f"{2**62} {2**62} {2**62} {2**62} 1 599", relative=True))


def _coco_number(value):
    groups = []
    while True:
        group, value = value & 0x1F, value >> 5
        if value == 0 and not group & 0x10:
            return "".join([*groups, chr(48 + group)])
        groups.append(chr(48 + (group | 0x20)))


@some
@given(st.lists(st.tuples(corners, corners), max_size=8))
def test_polygons(points):
    said = drawn(Polygon(tuple(points)))
    inside = all(-1 <= x <= WIDTH + 1 and -1 <= y <= HEIGHT + 1 for x, y in points)
    assert (said == "") == (len(points) >= 3 and inside)


def test_a_polygon_of_too_many_corners_is_refused_before_it_is_drawn():
    assert "at most" in drawn(Polygon(tuple((at % 20, at % 17) for at in range(20_000))))


@few
@given(st.binary(max_size=300))
def test_a_mask_file_of_any_bytes(tmp_path, content):
    path = written(tmp_path / "mask.png", content)
    assert str(path) in drawn(MaskFile(path))


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_box_in_an_image_without_pixels_is_refused(size):
    for relative in (True, False):
        with pytest.raises(ValueError, match="pixels across"):
            rle.box(rle.relative("1 1") if relative else rle.absolute("1 1"), min(size))


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
    "categories": [{"id": 1, "name": "Lung"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [3, 4, 5, 6], "segmentation": [[3, 4, 13, 4, 13, 10]]}
    ],
}
values = st.recursive(
    st.sampled_from(
        [None, True, 0, -1, 1, 2**31, 2**64, 10**400, 1.5, math.nan, math.inf, 1e308, *NUMBERS[:8], *WORDS[:9]]
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["size", "counts", "id"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = (
    [(block, 0, key) for block, (one, *_) in COCO.items() for key in one]
    + [(block, 0) for block in COCO]
    + [(b,) for b in COCO]
)


def read(path):
    """Everything that a COCO file says."""
    for one in coco.read(path, ["Lung"]).values():
        for box in one.boxes():
            assert all(map(math.isfinite, box.xywh))
        for mask in one.masks():
            refused(lambda mask=mask: shapes.bitmap(mask, HEIGHT, WIDTH))


@some
@given(st.sampled_from(FIELDS), values)
def test_any_value_in_a_coco_file(tmp_path, field, value):
    content = json.loads(json.dumps(COCO))
    block = content
    for key in field[:-1]:
        block = block[key]
    block[field[-1]] = value
    path = written(tmp_path / "boxes.json", json.dumps(content).encode())
    refused(lambda: read(path), path)


@few
@given(st.lists(st.lists(corners, max_size=9) | values, max_size=3))
def test_any_polygons_in_a_coco_file(tmp_path, polygons):
    content = COCO | {"annotations": [COCO["annotations"][0] | {"segmentation": polygons}]}
    path = written(tmp_path / "boxes.json", json.dumps(content).encode())
    refused(lambda: read(path), path)


CLAIMS = {
    "a huge image": ({"height": 10**9, "width": 10**9}, {}),
    "a long side": ({"height": 1, "width": 10**9}, {}),
    "a wild polygon": ({}, {"segmentation": [[0, 0, 1e8, 1e8, -1e8, 5]]}),
    "a polygon to and fro": ({}, {"segmentation": [[0, 0, 30, 20] * 50_000]}),
    "a huge mask": ({}, {"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}}),
    "a mask without area": ({}, {"segmentation": {"size": [-20, -30], "counts": [600]}}),
    "a mask of another size": ({}, {"segmentation": {"size": [10**5, 10**5], "counts": "o" * 20}}),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_a_file_claims_takes_no_memory(tmp_path, claim):
    image, annotation = CLAIMS[claim]
    content = COCO | {"images": [COCO["images"][0] | image], "annotations": [COCO["annotations"][0] | annotation]}
    path = written(tmp_path / "boxes.json", json.dumps(content).encode())
    tracemalloc.start()
    try:
        said = refused(
            lambda: [
                shapes.bitmap(one, HEIGHT, WIDTH) for of in coco.read(path, ["Lung"]).values() for one in of.masks()
            ]
        )
        assert str(path) in said
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content", [b"[" * 10**5, b'{"images":' * 10**4, b"", b"\xff\xfe", b"null", b"[]", b"9" * 10**4, b'{"images": NaN}']
)
def test_what_is_no_coco_file_is_one_line(tmp_path, content):
    path = written(tmp_path / "boxes.json", content)
    with pytest.raises(InputError, match=r"boxes\.json: (cannot be read as JSON|expected a COCO file)") as caught:
        coco.read(path, ["Lung"])
    assert str(caught.value).isprintable()


def test_a_box_of_no_number_is_refused_where_the_picture_is_known():
    from fxcore.data.decode import _check_box
    from fxcore.data.records import Box, Record

    record = Record("a", None, None, "g", None, None, None, None, "row 2")
    for at in range(4):
        for bad in (math.nan, math.inf, -math.inf):
            xywh = [1.0, 1.0, 5.0, 5.0]
            xywh[at] = bad
            with pytest.raises(InputError, match=r"row 2: box"):
                _check_box(Box("Lung", tuple(xywh), "row 2"), record, WIDTH, HEIGHT)
    assert np.isfinite([1.0, 1.0, 5.0, 5.0]).all()
