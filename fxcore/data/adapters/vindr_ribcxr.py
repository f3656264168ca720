"""VinDr-RibCXR (2021): a JSON of columns for training and one for validation, which is what the field tests on; a polygon a rib.

The images are of VinDr-CXR, but nobody knows which, nor of whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fxcore.data import jsonfile
from fxcore.data.native import Native, Problems, Unique, check_classes, first, needed
from fxcore.data.records import Mask, Polygon, Record
from fxcore.errors import InputError
from fxcore.files import is_there
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

RIBS = tuple(f"{side}{number}" for side in "RL" for number in range(1, 11))
"""R is the patient's right; 1 is the uppermost."""
PARTS = {"train": Split.TRAIN, "val": Split.TEST}
NOT_THERE = ("None", None)
"""How a missing rib is written: as a word."""
_IMAGES = "img"


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The two JSON files. Their names begin with `Vindr`, those of the pictures with `VinDr`.

    Raises:
        InputError: one is missing.
    """
    data = first(native.folder, ("data/train", "*/data/train", "train"), key).parent
    return tuple(needed(data / part / f"Vindr_RibCXR_{part}_mask.json", key) for part in PARTS)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every image of the two files, in their order; ribs overlap, so each has a mask of its own.

    Raises:
        InputError: a file is missing or not of columns, or the dataset asks for what the release does not say.
    """
    check_classes(key, dataset, {Task.SEGMENTATION: RIBS})
    unique = Unique(problems)
    for path, split in zip(files(key, dataset, native), PARTS.values(), strict=True):
        columns = _columns(path)
        _check_rows(path, columns, problems)
        for number, name in columns[_IMAGES].items():
            # Named from the folder that holds `data`.
            file = path.parents[2] / str(name)
            where = f"{path}, row {number}"
            if not is_there(file):
                problems.say(f"{where}: no image {file}; put it there or remove the row")
            elif unique(file.stem, where):
                masks = [
                    mask
                    for rib in dataset.classes(Task.SEGMENTATION)
                    for mask in _mask(rib, number, columns, where, problems)
                ]
                yield Record(
                    image=file.stem,
                    file=file,
                    patient=None,
                    group=f"{dataset.adapter}:{file.stem}",
                    split=split,
                    labels=None,
                    boxes=None,
                    masks=tuple(masks),
                    where=where,
                )


def _columns(path: Path) -> Mapping[str, Mapping[str, Any]]:
    content = jsonfile.load(path)
    columns = content if isinstance(content, dict) else {}
    if missing := [name for name in (_IMAGES, *RIBS) if not isinstance(columns.get(name), dict)]:
        raise InputError(f"{path}: no column {missing[0]}, by row; expected {_IMAGES}, R1 to R10 and L1 to L10")
    return columns


def _check_rows(path: Path, columns: Mapping[str, Mapping[str, Any]], problems: Problems) -> None:
    for rib in RIBS:
        for number in columns[rib]:
            if number not in columns[_IMAGES]:
                problems.say(f"{path}, row {number}: {rib} of no image; expected a row of {_IMAGES}")


def _mask(
    rib: str, number: str, columns: Mapping[str, Mapping[str, Any]], where: str, problems: Problems
) -> Iterator[Mask]:
    """The ring of a rib, filled; none where the rib is not there."""
    ring = columns[rib].get(number, "missing")
    if ring in NOT_THERE:
        return
    points = [_point(one) for one in ring] if isinstance(ring, list) else []
    corners = [point for point in points if point is not None]
    if len(corners) < 3 or len(corners) < len(points):
        short = f"{len(ring)} points" if isinstance(ring, list) else repr(ring)
        problems.say(f"{where}: {rib} is {short}; expected three points x, y at least, or 'None'")
    else:
        yield Mask(rib, Polygon(tuple(corners)), where)


def _point(value: Any) -> tuple[float, float] | None:
    match value:
        case {"x": x, "y": y} if jsonfile.is_number(x) and jsonfile.is_number(y):
            return float(x), float(y)
    return None
