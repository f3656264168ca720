"""Real lung masks of V7: COCO polygons whose areas are stated, and pictures in an archive."""

import zipfile

import numpy as np
from PIL import Image

from fxcore.data import coco, shapes
from fxcore.data.records import Mask, MaskFile


def test_polygons_cover_what_their_file_says(shared):
    listed = coco.read(shared("cxr-real/native/v7labs/covid-only-coco.first150images.json"), ("Lung", "Ignore"))
    assert len(listed) == 150
    annotations = [
        (one.stated, each, mask)
        for one in listed.values()
        for each, mask in zip(one.annotations, one.masks(), strict=True)
    ]
    assert len(annotations) == 304
    for stated, annotation, mask in annotations[::8]:
        area = shapes.bitmap(mask, stated.height, stated.width).sum()
        # the file's area is that between the corners, a pixel's half smaller all around
        assert abs(area - annotation.content["area"]) < 0.02 * annotation.content["area"], annotation.where


def test_pictures_of_masks_are_as_many_as_said(shared, tmp_path):
    covered = []
    with zipfile.ZipFile(shared("cxr-real/native/v7labs/semantic_masks_v7labs_lungs.zip")) as archive:
        for number, name in enumerate(name for name in archive.namelist() if not name.endswith("/")):
            path = tmp_path / f"{number}.png"
            path.write_bytes(archive.read(name))
            with Image.open(path) as picture:
                width, height = picture.size
            covered.append(float(np.mean(shapes.bitmap(Mask("Lung", MaskFile(path), name), height, width))))
    assert len(covered) == 517
    # 82 are of pictures that nobody drew lungs in: nothing but zeros
    assert sum(one == 0 for one in covered) == 82
    assert all(0.01 < one < 0.9 for one in covered if one > 0)
