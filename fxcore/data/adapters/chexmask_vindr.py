"""CheXmask 1.0.0 on VinDr-CXR: a table with run lengths of three organs an image; the pictures are those of VinDr-CXR.

The masks are a model's. Only the table at the pictures' own resolution is read; the other has masks of a padded square.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fxcore.data.native import Native, Problems, Row, Unique, check_classes, first, listing, numbers, rows
from fxcore.data.records import Box, Mask, Record, Runs, Stated
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

ORGANS = ("Heart", "Left Lung", "Right Lung")
"""Left is the patient's, on the right of the picture."""
MASKS = {**{name: (name,) for name in ORGANS}, "Lungs": ("Left Lung", "Right Lung")}
"""Columns whose masks make up a class."""
QUALITY = "Dice RCA (Mean)"
LEAST_QUALITY = 0.7
"""The publisher advises to use no mask whose estimated overlap with the truth is less."""
_SIZE = ("Height", "Width")
_TABLE = "OriginalResolution/VinDr-CXR.csv"
_INNER = ("", "1.0.0/", "*/1.0.0/", "*/")


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The table, and the two folders of VinDr-CXR's pictures.

    Raises:
        InputError: one is missing.
    """
    return _table(key, native), *(_pictures(key, native, split) for split in (Split.TRAIN, Split.TEST))


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every image with good masks, in the order of the table; splits are VinDr-CXR's, and no patients are known.

    Raises:
        InputError: a file or column is missing, or the dataset asks for what the release does not say.
    """
    check_classes(key, dataset, {Task.LOCALIZATION: ORGANS, Task.SEGMENTATION: tuple(MASKS)})
    homes = {
        path.stem: (path, split)
        for split in (Split.TRAIN, Split.TEST)
        for path in listing(_pictures(key, native, split), (".dicom",)).values()
    }
    unique = Unique(problems)
    for where, row in rows(_table(key, native), ("image_id", QUALITY, *ORGANS, *_SIZE), problems):
        image, stated = row["image_id"], numbers(row, (QUALITY, *_SIZE), where, problems)
        if stated is None or not unique(image, where):
            continue
        if stated[0] < LEAST_QUALITY:
            problems.leave(f"{QUALITY} below {LEAST_QUALITY}")
            continue
        size = Stated(width=int(stated[2]), height=int(stated[1]), where=where)
        boxes = _boxes(row, size, problems)
        if boxes is None:
            continue
        if image not in homes:
            problems.say(f"{where}: no picture {image}.dicom in {native.pictures}; put it there or remove the row")
            continue
        file, split = homes[image]
        yield Record(
            image=image,
            file=file,
            patient=None,
            group=f"vindr_cxr:{image}",
            split=split,
            labels=None,
            boxes=tuple(boxes[name] for name in dataset.classes(Task.LOCALIZATION)) if dataset.localization else None,
            masks=_masks(row, where, dataset) if dataset.segmentation else None,
            where=where,
            stated=(size,),
            view="PA",
        )


def _table(key: str, native: Native) -> Path:
    return first(native.folder, [f"{inner}{_TABLE}{end}" for inner in _INNER for end in ("", ".gz")], key)


def _pictures(key: str, native: Native, split: Split) -> Path:
    return first(native.pictures, [f"{inner}{split}" for inner in _INNER], key)


def _boxes(row: Row, image: Stated, problems: Problems) -> dict[str, Box] | None:
    """The box around each organ; None if one cannot be decoded: that it is nowhere is not known then."""
    from fxcore.data import shapes  # slow to import, and planning names this module

    found: dict[str, Box] = {}
    for name in ORGANS:
        try:
            left, top, width, height = shapes.box(_runs(row, name), image.height, image.width)
            if top + height > image.height:
                raise ValueError(f"a run ends in line {int(top + height)}; the image has {image.height}")
        except ValueError as error:
            problems.say(f"{image.where}: {name}: {error}; download the file again or remove the row")
            return None
        found[name] = Box(name, (left, top, width, height), image.where)
    return found


def _masks(row: Row, where: str, dataset: Dataset) -> tuple[Mask, ...]:
    classes = dataset.classes(Task.SEGMENTATION)
    return tuple(Mask(label, _runs(row, name), where) for label in classes for name in MASKS[label])


def _runs(row: Row, name: str) -> Runs:
    """Row by row, starts from 1."""
    return Runs(row[name], relative=False)
