"""Phantom datasets in the folder format: exact annotations, labels that agree with them, the same files every time."""

import csv
import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from fxcore.data import rle
from fxcore.data.adapters import folder
from fxcore.data.native import Native, Problems
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.phantom.phantom import write
from fxcore.slices.data import PhantomSlice
from fxcore.slices.make import phantom_slice

CLASSES = ["Effusion", "Mass", "Cardiomegaly", "Fracture"]
COUNTS = {"train": 40, "val": 6, "test": 6}


def _dataset(blank="blank_zero", **changes):
    boxes, masks = ({"file": f"{name}.json", "classes": CLASSES} for name in ("boxes", "masks"))
    block = {
        "source": "phantom",
        "phantom": COUNTS,
        "columns": {"patient": "patient"},
        "classification": {"classes": [*CLASSES, "No Finding"], "blank": blank},
        "localization": boxes,
        "segmentation": masks,
    }
    return Dataset.model_validate(block | changes)


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """A dataset whose blanks mean absence, as written by a report parser."""
    root = tmp_path_factory.mktemp("parsed") / "native"
    write(PhantomSlice(key="parsed", dataset=_dataset()), root)
    return root


@pytest.fixture(scope="module")
def tiny_files(_tiny, tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny") / "native"
    dataset = Dataset.model_validate(_tiny["datasets"]["example_a"])
    write(PhantomSlice(key="example_a", dataset=dataset), root)
    return root


def _rows(root):
    return list(csv.DictReader((root / "index.csv").read_text().splitlines()))


def _coco(root, name):
    return json.loads((root / f"{name}.json").read_text())


def _marked(root, name):
    """Class names marked on each image, by file name."""
    content = _coco(root, name)
    names = {one["id"]: one["name"] for one in content["categories"]}
    found = {one["file_name"]: set() for one in content["images"]}
    files = {one["id"]: one["file_name"] for one in content["images"]}
    for one in content["annotations"]:
        found[files[one["image_id"]]].add(names[one["category_id"]])
    return found


def test_every_image_is_annotated_for_every_task(parsed):
    rows = _rows(parsed)
    assert Counter(row["split"] for row in rows) == COUNTS
    files = [row["file"] for row in rows]
    assert len(set(files)) == len({row["patient"] for row in rows}) == 52
    for name in ("boxes", "masks"):
        assert [one["file_name"] for one in _coco(parsed, name)["images"]] == files
    with Image.open(parsed / files[0]) as picture:
        first = _coco(parsed, "boxes")["images"][0]
        assert (first["width"], first["height"]) == picture.size
        assert picture.mode == "L"


@pytest.mark.parametrize("name", ["boxes", "masks"])
def test_boxes_and_areas_are_exactly_those_of_the_masks(parsed, name):
    annotations = _coco(parsed, name)["annotations"]
    assert len(annotations) > 40
    assert [one["id"] for one in annotations] == list(range(1, len(annotations) + 1))
    for one in annotations:
        mask = rle.decode(one["segmentation"])
        left, top, width, height = one["bbox"]
        inside = mask[top : top + height, left : left + width]
        assert mask.sum() == inside.sum() == one["area"] > 0
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_labels_agree_with_what_is_marked(parsed):
    boxes, masks = _marked(parsed, "boxes"), _marked(parsed, "masks")
    assert boxes == masks
    for row in _rows(parsed):
        for name in CLASSES:
            assert (row[name] in ("1", "-1")) == (name in boxes[row["file"]]), (row["file"], name)
        if row["No Finding"] in ("1", "-1"):
            assert not boxes[row["file"]]


def test_each_instance_of_a_finding_has_a_box_of_its_own(parsed):
    content = _coco(parsed, "boxes")
    fracture = next(one["id"] for one in content["categories"] if one["name"] == "Fracture")
    counts = Counter(one["image_id"] for one in content["annotations"] if one["category_id"] == fracture)
    assert max(counts.values()) > 1


def _codes(root, split):
    return Counter(row[name] for row in _rows(root) if row["split"] == split for name in CLASSES)


def test_where_blanks_mean_absence_absent_classes_are_mostly_blank_and_training_labels_hedged(parsed):
    train = _codes(parsed, "train")
    assert set(train) == {"1", "0", "", "-1"}
    # seven in ten absent classes are blank, one in ten present ones uncertain; within three standard deviations
    absent, present = train["0"] + train[""], train["1"] + train["-1"]
    assert abs(train[""] / absent - 0.7) < 3 * np.sqrt(0.7 * 0.3 / absent)
    assert abs(train["-1"] / present - 0.1) < 3 * np.sqrt(0.1 * 0.9 / present)
    for split in ("val", "test"):
        assert set(_codes(parsed, split)) == {"1", "0", ""}


def test_elsewhere_every_label_is_stated(tmp_path):
    counts = dict.fromkeys(COUNTS, 6)  # the first three of a split have no findings
    dataset = _dataset("blank_ignore", localization=None, segmentation=None, phantom=counts)
    write(PhantomSlice(key="read", dataset=dataset), tmp_path / "native")
    for split in COUNTS:
        assert set(_codes(tmp_path / "native", split)) == {"1", "0"}
    assert sorted(path.name for path in (tmp_path / "native").iterdir()) == [
        "expected.json",
        "images",
        "index.csv",
        "shared.json",
    ]
    assert json.loads((tmp_path / "native" / "shared.json").read_text()) == {}


def test_organs_are_marked_on_every_image_and_joined_as_asked(tiny_files):
    boxes, masks = (_coco(tiny_files, name) for name in ("boxes", "masks"))
    assert len(boxes["annotations"]) == len(masks["annotations"]) == 24 * 2
    for image in (one["id"] for one in boxes["images"]):
        right, left = (rle.decode(one["segmentation"]) for one in boxes["annotations"] if one["image_id"] == image)
        lungs, heart = (rle.decode(one["segmentation"]) for one in masks["annotations"] if one["image_id"] == image)
        assert np.array_equal(lungs, right | left)
        assert not (lungs & heart).any()


def test_an_enlarged_heart_is_larger(tiny_files):
    masks, rows = _coco(tiny_files, "masks"), {row["file"]: row for row in _rows(tiny_files)}
    said = {one["id"]: rows[one["file_name"]]["Cardiomegaly"] for one in masks["images"]}
    heart = {one["image_id"]: one["area"] for one in masks["annotations"] if one["category_id"] == 2}
    large = [area for image, area in heart.items() if said[image] == "1"]
    normal = [area for image, area in heart.items() if said[image] == "0"]
    assert min(len(large), len(normal)) > 2
    assert np.mean(large) > np.mean(normal)


def test_the_adapter_reads_what_was_written(parsed):
    records = list(folder.records("parsed", _dataset(), Native(parsed, parsed), Problems()))
    assert len(records) == 52
    boxes, masks = ([len(getattr(one, name)) for one in records] for name in ("boxes", "masks"))
    assert boxes == masks
    assert sum(boxes) == len(_coco(parsed, "boxes")["annotations"])
    numbers = [*range(40), *range(300_000, 300_006), *range(600_000, 600_006)]
    assert [one.patient for one in records] == [f"p{number:05d}" for number in numbers]


def _digests(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_files_every_time_and_another_key_is_another_dataset(tiny, tiny_files, tmp_path):
    slice_ = phantom_slice(tiny(), "example_a")
    write(slice_, tmp_path / "again")
    assert _digests(tmp_path / "again") == _digests(tiny_files)
    write(slice_.model_copy(update={"key": "example_b"}), tmp_path / "other")
    name = "images/00000.png"
    assert _digests(tmp_path / "other")[name] != _digests(tiny_files)[name]


@pytest.mark.parametrize("task", ["classification", "localization", "segmentation"])
def test_a_class_that_cannot_be_drawn_is_one_line_and_nothing_is_left(tiny, tmp_path, task):
    params = tiny(**{f"datasets__example_a__{task}__classes": ["Heart", "Scoliosis"]})
    expected = (
        rf"^datasets\.example_a\.{task}\.classes: Scoliosis cannot be drawn; give one of fxcore/phantom/labels\.py"
    )
    with pytest.raises(InputError, match=expected) as caught:
        write(phantom_slice(params, "example_a"), tmp_path / "native")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
