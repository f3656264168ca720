"""The generated example: exact annotations, the same pixels from the same seed, and classes that exist."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fxcore.data import rle
from fxcore.errors import InputError
from fxcore.phantom.phantom import draw, write
from fxcore.slices.make import phantom_slice


def _picture(seed):
    return draw(np.random.Generator(np.random.PCG64(seed)))


def test_lungs_are_dark_apart_and_the_patients_right_is_on_the_left_of_the_picture():
    for seed in range(8):
        picture = _picture(seed)
        right, left, lungs = (picture.shapes[name] for name in ("Right Lung", "Left Lung", "Lungs"))
        assert not (right & left).any()
        assert np.array_equal(right | left, lungs)
        assert np.nonzero(right)[1].mean() < np.nonzero(left)[1].mean()
        body = picture.pixels[60:140, 60:130]
        assert picture.pixels[lungs].mean() < body.mean()


def test_labels_and_shapes_agree():
    pictures = [_picture(seed) for seed in range(40)]
    opacities = [picture.present["Lung Opacity"] for picture in pictures]
    assert opacities == [int("Lung Opacity" in picture.shapes) for picture in pictures]
    assert 8 < sum(opacities) < 32
    assert 5 < sum(picture.present["Cardiomegaly"] for picture in pictures) < 30


def test_the_same_seed_draws_the_same_picture():
    assert np.array_equal(_picture(3).pixels, _picture(3).pixels)
    assert not np.array_equal(_picture(3).pixels, _picture(4).pixels)


def test_files_are_those_of_the_folder_format(tiny, tmp_path):
    write(phantom_slice(tiny(), "example_a"), tmp_path / "native")
    rows = list(csv.DictReader((tmp_path / "native/index.csv").read_text().splitlines()))
    assert len(rows) == 24
    boxes, masks = (json.loads((tmp_path / f"native/{name}.json").read_text()) for name in ("boxes", "masks"))
    assert len(boxes["images"]) == 24
    assert len(masks["images"]) == 18  # every fourth image has no mask
    with Image.open(tmp_path / "native" / rows[0]["file"]) as picture:
        assert (boxes["images"][0]["width"], boxes["images"][0]["height"]) == picture.size
    for one in boxes["annotations"]:
        shape = rle.decode(one["segmentation"])
        left, top, width, height = one["bbox"]
        assert shape.sum() == one["area"] == shape[top : top + height, left : left + width].sum()


def test_a_class_that_cannot_be_drawn_is_said(tiny, tmp_path):
    params = tiny(datasets__example_a__classification={"classes": ["Hernia"]})
    with pytest.raises(
        InputError, match=r"datasets\.example_a\.classification\.classes: Hernia cannot be drawn; known: Card"
    ):
        write(phantom_slice(params, "example_a"), tmp_path / "native")
    assert not (tmp_path / "native").exists()
