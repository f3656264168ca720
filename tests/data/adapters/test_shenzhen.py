"""NIH Shenzhen: phantoms in its format come back, and one line for each mistake."""

import numpy as np
import pytest
from PIL import Image

from fxcore.errors import InputError
from fxcore.phantom.case import framed
from tests.data.adapters.trip import counted, known, mistakes, records, trip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("shenzhen", tmp_path_factory.mktemp("shenzhen"))


def test_what_is_read_counts_what_was_written(made):
    assert counted(made.records()) == made.expected.facts()
    assert set(made.expected.facts()["labels"]["TB"]) == {"present", "absent"}


def test_pixels_and_labels_come_back(made):
    read = {record.image: record for record in made.records()}
    for case in made.cases:
        record = read[f"CHNCXR_{case.number + 1:04d}_{int(case.has('TB'))}"]
        picture = record.read(record.file, record.where)
        expected = framed(case.pixels, left=case.number % 5, bottom=3 + case.number % 7)
        np.testing.assert_array_equal(picture, expected)
        assert picture.shape[0] > picture.shape[1]
        assert record.group == f"shenzhen:{record.image}"
        assert (record.patient, record.split, record.boxes, record.masks) == (None, None, None, None)


def test_pictures_are_grey_stored_as_rgb(made):
    with Image.open(made.records()[0].file) as picture:
        assert picture.mode == "RGB"


def test_the_folder_may_be_the_inner_one(made):
    inner = records("shenzhen", made.dataset, made.folder / "ChinaSet_AllFiles")
    assert [one.image for one in inner] == [one.image for one in made.records()]
    assert made.files() == (made.folder / "ChinaSet_AllFiles" / "CXR_png",)


def _empty(folder, *names):
    (folder / "CXR_png").mkdir(parents=True)
    for name in names:
        (folder / "CXR_png" / name).touch()
    return folder


def test_the_last_digit_is_the_label_and_the_order_is_by_name(tmp_path):
    folder = _empty(tmp_path, "CHNCXR_9002_1.png", "CHNCXR_9001_0.png", "Thumbs.db", "._CHNCXR_9001_0.png")
    read = records("shenzhen", known("shenzhen"), folder)
    assert [(one.image, one.labels) for one in read] == [
        ("CHNCXR_9001_0", {"TB": 0}),
        ("CHNCXR_9002_1", {"TB": 1}),
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CHNCXR_9001_2.png", "is no picture of the release; expected CHNCXR_ and a number, _0 or _1; remove it"),
        ("copy of CHNCXR_9001_0.png", "is no picture of the release"),
        ("CHNCXR_9001_1.png", "case 9001 is in .*CHNCXR_9001_0.png already; keep one"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, name, said):
    folder = _empty(tmp_path, "CHNCXR_9001_0.png", name)
    with pytest.raises(InputError, match=rf"{name}: {said}"):
        records("shenzhen", known("shenzhen"), folder)
    assert len(mistakes("shenzhen", known("shenzhen"), folder)) == 1


def test_what_is_missing_and_what_the_release_does_not_say(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.shenzhen: .* has no CXR_png"):
        records("shenzhen", known("shenzhen"), tmp_path)
    masks = known("shenzhen", segmentation={"classes": ["Lung"]})
    with pytest.raises(
        InputError, match=r"datasets\.shenzhen\.segmentation\.classes: Lung is no class of this release"
    ):
        records("shenzhen", masks, _empty(tmp_path))
