"""VinDr-RibCXR: phantoms in its format come back, ribs on their side and in order, and one line for each mistake."""

import json

import numpy as np
import pytest
from scipy import ndimage

from fxcore.data import shapes
from fxcore.data.native import Problems
from fxcore.data.records import Mask, Polygon
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.case import framed
from fxcore.phantom.native.vindr_ribcxr import margins, missing
from tests.data.adapters.trip import bitmap, counted, known, mistakes, records, trip

DATASET = known("vindr_ribcxr")
RIBS = DATASET.segmentation.classes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("vindr_ribcxr", tmp_path_factory.mktemp("vindr_ribcxr"), {"train": 3, "val": 1, "test": 2})


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"test": 2, "train": 4}
    without = sum(case.number % 4 == 1 for case in made.cases)  # one picture in four lacks the lowest rib on one side
    assert 0 < without < 6
    assert (facts["masks"]["L10"], facts["masks"]["R1"]) == (6 - without, 6)
    assert [file.name for file in made.files()] == ["Vindr_RibCXR_train_mask.json", "Vindr_RibCXR_val_mask.json"]


def _largest(mask):
    """The greatest part of a mask: a rib is one ring."""
    parts, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, parts, range(1, count + 1))
    return ndimage.binary_fill_holes(parts == 1 + int(np.argmax(sizes)))


def test_pixels_and_masks_come_back(made):
    read = {int(record.image.rpartition("_")[2]): record for record in made.records()}
    for case in made.cases:
        record = read[case.number]
        border = dict(zip(("left", "top", "right"), margins(case), strict=True))
        picture = record.read(record.file, record.where)
        np.testing.assert_array_equal(picture, framed(case.pixels, **border))
        for rib in RIBS:
            drawn = framed(_largest(case.phantom.organs[rib]).astype(np.uint8), **border) > 0
            expected = drawn & (not missing(case, rib))
            np.testing.assert_array_equal(bitmap(record, rib, *picture.shape), expected)
        assert record.split is (Split.TEST if case.split is Split.TEST else Split.TRAIN)
        assert (record.patient, record.group) == (None, f"vindr_ribcxr:{record.image}")


def test_right_ribs_are_on_the_left_and_1_is_the_uppermost(made):
    for record in made.records():
        at = {mask.label: np.mean(mask.shape.points, axis=0) for mask in record.masks}
        for number in range(1, 11):
            if f"L{number}" in at:
                assert at[f"R{number}"][0] < at[f"L{number}"][0]
        downs = [at[f"R{number}"][1] for number in range(1, 11)]
        assert downs == sorted(downs)


def test_x_and_y_are_not_swapped(made):
    record = made.records()[0]
    mask = record.masks[0]
    swapped = Mask("R1", Polygon(tuple((y, x) for x, y in mask.shape.points)), "")
    high, wide = record.read(record.file, "").shape
    assert high != wide
    assert not np.array_equal(shapes.bitmap(swapped, high, wide), shapes.bitmap(mask, high, wide))


def test_ribs_that_overlap_keep_all_their_pixels(tmp_path):
    folder = _native(tmp_path, R1=_ring(1, 1, 5, 4), R2=_ring(3, 2, 8, 6))
    [record] = records("vindr_ribcxr", DATASET, folder)
    assert (bitmap(record, "R1", 10, 12).sum(), bitmap(record, "R2", 10, 12).sum()) == (12, 20)


def _ring(left, top, right, low):
    return [{"x": x, "y": y} for x, y in ((left, top), (right, top), (right, low), (left, low))]


def _native(folder, change=None, **ribs):
    """One image of training and none of validation; its ribs are None but for those given."""
    content = {"img": {"0": "data/train/img/VinDr_RibCXR_train_900.png"}}
    content |= {rib: {"0": ribs.get(rib, "None")} for rib in RIBS}
    (folder / "data" / "train" / "img").mkdir(parents=True)
    (folder / "data" / "val").mkdir()
    (folder / content["img"]["0"]).touch()
    if change:
        change(content)
    (folder / "data" / "train" / "Vindr_RibCXR_train_mask.json").write_text(json.dumps(content))
    (folder / "data" / "val" / "Vindr_RibCXR_val_mask.json").write_text(json.dumps({name: {} for name in content}))
    return folder


def test_the_word_none_is_a_rib_that_is_not_there(tmp_path):
    points = [{"x": 1027.5, "y": 470.25}, {"x": 1100.0, "y": 455.0}, {"x": 1090, "y": 500}]
    [record] = records("vindr_ribcxr", DATASET, _native(tmp_path, L3=points, L4=None))
    assert [(mask.label, mask.shape.points) for mask in record.masks] == [
        ("L3", ((1027.5, 470.25), (1100, 455), (1090, 500)))
    ]


def test_the_folder_may_be_the_one_around_and_some_ribs_are_enough(tmp_path):
    _native(tmp_path / "VinDr-RibCXR", R1=_ring(1, 1, 5, 4), R2=_ring(3, 2, 8, 6))
    some = known("vindr_ribcxr", segmentation={"classes": ["R2"]})
    for folder in (tmp_path, tmp_path / "VinDr-RibCXR" / "data"):
        [record] = records("vindr_ribcxr", some, folder)
        assert [mask.label for mask in record.masks] == ["R2"]
        assert record.file.is_file()


def _second(content):
    content["img"]["1"] = content["img"]["0"]


def _gone(content):
    content["img"]["0"] = "data/train/img/VinDr_RibCXR_train_901.png"


def _stray(content):
    content["R3"]["7"] = "None"


def _unsaid(content):
    del content["R3"]["0"]


@pytest.mark.parametrize(
    ("change", "ribs", "said"),
    [
        (None, {"R1": _ring(1, 1, 5, 4)[:2]}, "row 0: R1 is 2 points; expected three points x, y at least, or 'None'"),
        (None, {"R1": [*_ring(1, 1, 5, 4), {"x": 1}]}, "row 0: R1 is 5 points; expected"),
        (None, {"R1": [*_ring(1, 1, 5, 4), {"x": 1, "y": "2"}]}, "row 0: R1 is 5 points; expected"),
        (None, {"R1": "none"}, "row 0: R1 is 'none'; expected"),
        (_second, {}, "row 1: image VinDr_RibCXR_train_900 is in .*, row 0 already; keep one"),
        (_gone, {}, r"row 0: no image .*VinDr_RibCXR_train_901\.png; put it there or remove the row"),
        (_stray, {}, "row 7: R3 of no image; expected a row of img"),
        (_unsaid, {}, r"row 0: R3 is 'missing'; expected"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, ribs, said):
    folder = _native(tmp_path, change, **ribs)
    with pytest.raises(InputError, match=rf"Vindr_RibCXR_train_mask\.json, {said}"):
        records("vindr_ribcxr", DATASET, folder)
    assert len(mistakes("vindr_ribcxr", DATASET, folder)) == 1


def test_a_wrong_rib_is_left_out_and_the_others_stay(tmp_path):
    folder = _native(tmp_path, R1=_ring(1, 1, 5, 4)[:2], R2=_ring(3, 2, 8, 6))
    [record] = records("vindr_ribcxr", DATASET, folder, Problems(keep_going=True))
    assert [mask.label for mask in record.masks] == ["R2"]


@pytest.mark.parametrize("content", ["[1]", "{", '{"img": {}, "R1": {}}'])
def test_a_file_without_columns(tmp_path, content):
    folder = _native(tmp_path)
    (folder / "data" / "train" / "Vindr_RibCXR_train_mask.json").write_text(content)
    with pytest.raises(InputError, match=r"Vindr_RibCXR_train_mask\.json: (no column|cannot be read as JSON)"):
        records("vindr_ribcxr", DATASET, folder)


def test_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.vindr_ribcxr: .* has no data/train or"):
        records("vindr_ribcxr", DATASET, tmp_path)
    (_native(tmp_path) / "data" / "val" / "Vindr_RibCXR_val_mask.json").unlink()
    with pytest.raises(InputError, match=r"no .*Vindr_RibCXR_val_mask\.json; put it there"):
        records("vindr_ribcxr", DATASET, tmp_path)
