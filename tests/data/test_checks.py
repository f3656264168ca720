"""What is checked of decoded records, each broken on purpose."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fxcore.data import checks, rle
from fxcore.data.decode import Decoded
from fxcore.data.intake import Intake
from fxcore.data.records import Box, Mask, Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Split

CLASSES = ["No Finding", "Edema", "Support Devices"]
SIDES = ["Right Lung", "Left Lung"]
DATASET = Dataset.model_validate(
    {
        "adapter": "chexpert",
        "classification": {"classes": CLASSES},
        "localization": {"classes": SIDES},
        "segmentation": {"classes": SIDES},
    }
)


def _record(number, **facts):
    name = f"{number}.png"
    made = Record(name, Path(name), f"p{number}", f"mine:{name}", Split.TRAIN, None, None, None, f"file, row {number}")
    return replace(made, **facts)


def _decoded(number, masks=(), **facts):
    made = Decoded(40, 20, tuple(rle.encode(mask)["counts"] for mask in masks), f"{number}", number, 10.0, 90.0)
    return replace(made, **facts)


def _run(records, decoded):
    found = checks.run(Intake(records, {}), decoded, DATASET)
    return {one["number"]: one["detail"] for one in found if one["status"] == "warning"}


def test_a_good_dataset_has_nothing_to_say():
    assert _run([_record(number) for number in range(5)], [_decoded(number) for number in range(5)]) == {}


def test_equal_pictures_are_said_but_of_images_that_are_left_out():
    records = [_record(1), _record(2), _record(3)]
    same = [_decoded(1), _decoded(1), _decoded(3)]
    assert _run(records, same) == {5: "equal pictures: 1.png = 2.png"}
    found = checks.run(Intake(records, {"2.png": "named under exclude"}), same, DATASET)
    assert 5 not in {one["number"] for one in found if one["status"] == "warning"}


def test_pictures_that_are_likely_inverted_are_counted():
    decoded = [_decoded(number, corners=200.0 if number < 2 else 10.0) for number in range(50)]
    found = _run([_record(number, view="PA") for number in range(50)], decoded)
    assert found == {8: "corners are brighter than the chest in 2 of 50: 0.png, 1.png"}
    # one of fifty is 2 %, and laterals are not judged
    assert _run([_record(number, view="LAT" if number else "PA") for number in range(50)], decoded[:1] * 50) == {
        5: "equal pictures: " + " = ".join(f"{number}.png" for number in range(50))
    } | {8: "corners are brighter than the chest in 1 of 1: 0.png"}
    assert 8 not in _run(
        [_record(number) for number in range(50)], [_decoded(0, corners=200.0), *decoded[2:], _decoded(99)]
    )


def test_no_finding_beside_a_finding_is_a_contradiction_and_a_device_is_none():
    codes = [dict(zip(CLASSES, row, strict=True)) for row in ((1, 1, 0), (1, 0, 1), (0, 1, 0), (1, None, None))]
    records = [_record(number, labels=one) for number, one in enumerate(codes)]
    assert _run(records, [_decoded(number) for number in range(4)]) == {
        9: "No Finding together with a finding in 1: 0.png"
    }


def _boxes(*lefts):
    return tuple(Box(SIDES[0], (left, 2.0, 10.0, 10.0), "file, row 1") for left in lefts)


def test_a_box_drawn_twice_is_said():
    # 10 wide and 0.2 apart: 9.8 of 10.2 columns are common, 0.96
    records = [_record(1, boxes=_boxes(5.0, 5.2)), _record(2, boxes=_boxes(5.0, 6.0))]
    assert _run(records, [_decoded(1), _decoded(2)]) == {10: "boxes drawn twice in 1: 1.png"}


def test_a_mask_without_a_pixel_is_said():
    mask = Mask(SIDES[0], rle.encode(np.zeros((20, 40), dtype=bool)), "file, row 1")
    found = _run([_record(1, masks=(mask,))], [_decoded(1, [np.zeros((20, 40), dtype=bool)])])
    assert found == {11: "masks of no pixel in 1: 1.png"}


def _lungs(mirrored):
    right, left = (np.zeros((20, 40), dtype=bool) for _ in SIDES)
    right[5:15, 4:14] = True  # the patient's right, on the left of the picture
    left[5:15, 24:34] = True
    masks = [right, left][:: -1 if mirrored else 1]
    return tuple(Mask(name, rle.encode(mask), "file") for name, mask in zip(SIDES, masks, strict=True)), masks


def test_right_and_left_exchanged_are_refused():
    good, bad = _lungs(mirrored=False), _lungs(mirrored=True)
    twenty = [good] * 19 + [bad]
    records = [_record(number, masks=masks) for number, (masks, _) in enumerate(twenty)]
    decoded = [_decoded(number, bitmaps) for number, (_, bitmaps) in enumerate(twenty)]
    assert _run(records, decoded) == {12: "swapped in 19.png"}  # 95 % are right
    with pytest.raises(InputError, match=r"2 of 20 right structures lie to the right of their left one, as in 0.png"):
        _run(
            [_record(0, masks=bad[0]), *records[1:]],
            [_decoded(0, bad[1]), *decoded[1:]],
        )


def test_boxes_are_judged_by_side_too():
    boxes = (Box("Right Lung", (25.0, 2.0, 10.0, 10.0), "f"), Box("Left Lung", (2.0, 2.0, 10.0, 10.0), "f"))
    with pytest.raises(InputError, match="1 of 1 right structures"):
        _run([_record(1, boxes=boxes)], [_decoded(1)])


def test_a_group_that_the_release_itself_tears_apart_is_said():
    records = [_record(1, group="nih:1"), _record(2, group="nih:1", split=Split.TEST), _record(3)]
    assert _run(records, [_decoded(number) for number in (1, 2, 3)]) == {
        13: "the release has 1 groups in several splits: nih:1"
    }


def test_pictures_that_cannot_be_used_are_counted():
    decoded = [_decoded(1, wrong="cut short"), _decoded(2)]
    assert _run([_record(1), _record(2)], decoded) == {6: "1 pictures cannot be used; 0 images are left out in all"}


def test_a_release_that_names_no_patients_is_said():
    records = [_record(number, patient=None) for number in (1, 2)]
    assert _run(records, [_decoded(1), _decoded(2)]) == {
        13: "no patients are named: images of one patient may be in several splits"
    }


def test_an_empty_mask_has_no_side():
    empty = np.zeros((20, 40), dtype=bool)
    right = _lungs(mirrored=False)[1][0]
    masks = tuple(Mask(name, rle.encode(one), "f") for name, one in zip(SIDES, (right, empty), strict=True))
    assert 12 not in _run([_record(1, masks=masks)], [_decoded(1, (right, empty))])
