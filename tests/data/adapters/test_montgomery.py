"""NIH Montgomery: phantoms in its format come back, lungs on the right side, and one line for each mistake."""

import numpy as np
import pytest
from PIL import Image

from fxcore.data.native import Problems
from fxcore.errors import InputError
from fxcore.phantom.case import framed
from tests.data.adapters.trip import bitmap, counted, known, mistakes, records, trip

SIDES = known("montgomery", segmentation={"classes": ["Left Lung", "Right Lung"]})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("montgomery", tmp_path_factory.mktemp("montgomery"))


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["masks"] == {"Lung": 10}
    assert facts["annotated"] == {"classification": 10, "segmentation": 10}


def _framed(case, picture):
    return framed(picture, left=9, right=8) if case.number % 2 else framed(picture, top=6, bottom=11)


def test_pixels_and_masks_come_back(made):
    read = {record.image: record for record in made.records()}
    for case in made.cases:
        record = read[f"MCUCXR_{case.number + 1:04d}_{int(case.has('TB'))}"]
        picture = record.read(record.file, record.where)
        np.testing.assert_array_equal(picture, _framed(case, case.pixels))
        [lungs] = case.shapes("Lung")
        np.testing.assert_array_equal(bitmap(record, "Lung", *picture.shape), _framed(case, lungs))
        assert record.group == f"montgomery:{record.image}"
    assert {one.read(one.file, one.where).shape for one in made.records()} == {(160, 177), (177, 160)}


def test_left_is_the_patients_left_and_a_swap_is_found(made):
    read = {record.image: record for record in records("montgomery", SIDES, made.folder)}
    for case in made.cases:
        record = read[f"MCUCXR_{case.number + 1:04d}_{int(case.has('TB'))}"]
        high, wide = _framed(case, case.pixels).shape
        left, right = (bitmap(record, f"{side} Lung", high, wide) for side in ("Left", "Right"))
        np.testing.assert_array_equal(left, _framed(case, case.phantom.organs["Left Lung"]))
        assert np.nonzero(right)[1].mean() < np.nonzero(left)[1].mean()
        assert not np.array_equal(right, _framed(case, case.phantom.organs["Left Lung"]))


def test_the_folder_may_be_the_inner_one(made):
    inner = records("montgomery", made.dataset, made.folder / "MontgomerySet")
    assert [one.image for one in inner] == [one.image for one in made.records()]
    root = made.folder / "MontgomerySet"
    assert made.files() == (root / "CXR_png", root / "ManualMask" / "leftMask", root / "ManualMask" / "rightMask")


def _native(folder, pictures=("MCUCXR_9001_0.png",), left=("MCUCXR_9001_0.png",), right=("MCUCXR_9001_0.png",)):
    for name, files in (("CXR_png", pictures), ("ManualMask/leftMask", left), ("ManualMask/rightMask", right)):
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).touch()
    return folder


def test_only_what_the_dataset_asks_for(tmp_path):
    folder = _native(tmp_path)
    [labels] = records("montgomery", known("montgomery", segmentation=None), folder)
    assert (labels.labels, labels.masks) == ({"TB": 0}, None)
    [masks] = records("montgomery", known("montgomery", classification=None), folder)
    assert (masks.labels, [mask.label for mask in masks.masks]) == (None, ["Lung", "Lung"])
    (folder / "ManualMask" / "rightMask" / "MCUCXR_9001_0.png").unlink()
    left = known("montgomery", segmentation={"classes": ["Left Lung"]})
    assert len(records("montgomery", left, folder)[0].masks) == 1


def test_any_value_above_zero_is_mask_and_touching_lungs_add_up(tmp_path):
    folder = _native(tmp_path)
    for name, columns in (("leftMask", slice(2, 4)), ("rightMask", slice(0, 2))):
        values = np.zeros((3, 5), dtype=np.uint8)
        values[1, columns] = 1
        Image.fromarray(values).save(folder / "ManualMask" / name / "MCUCXR_9001_0.png")
    [record] = records("montgomery", known("montgomery"), folder)
    assert bitmap(record, "Lung", 3, 5).astype(int).tolist() == [[0] * 5, [1, 1, 1, 1, 0], [0] * 5]


@pytest.mark.parametrize(
    ("files", "file", "said"),
    [
        ({"pictures": ("MCUCXR_9001.png",), "left": (), "right": ()}, "MCUCXR_9001.png", "is no picture of the rel"),
        ({"left": ()}, "CXR_png/MCUCXR_9001_0.png", "has no mask in leftMask; put it there or remove"),
        (
            {"right": ("MCUCXR_9001_0.png", "MCUCXR_9002_1.png")},
            "rightMask/MCUCXR_9002_1.png",
            "is the mask of no picture; put .*CXR_png/MCUCXR_9002_1.png there or remove the mask",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path, files, file, said):
    folder = _native(tmp_path, **files)
    with pytest.raises(InputError, match=rf"{file}: {said}"):
        records("montgomery", known("montgomery"), folder)
    assert len(mistakes("montgomery", known("montgomery"), folder)) == 1


def test_an_image_whose_mask_is_missing_keeps_its_label(tmp_path):
    folder = _native(tmp_path, left=())
    [record] = records("montgomery", known("montgomery"), folder, Problems(keep_going=True))
    assert (record.labels, record.masks) == ({"TB": 0}, None)


def test_what_is_missing(tmp_path):
    (tmp_path / "CXR_png").mkdir()
    with pytest.raises(InputError, match=r"datasets\.montgomery: no .*ManualMask/leftMask"):
        records("montgomery", known("montgomery"), tmp_path)
