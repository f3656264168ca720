"""ChestX-Det (2021): a JSON list for training and one for test, an image each, with three parallel lists of findings.

Names are five-digit numbers that say nothing of the NIH images they are, and no patient is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fxcore.complaint import nearest
from fxcore.data import jsonfile
from fxcore.data.native import Native, Problems, Unique, check_classes, first, listing
from fxcore.data.records import Box, Mask, Polygon, Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

CLASSES = (
    *("Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "Diffuse Nodule", "Effusion", "Emphysema"),
    *("Fibrosis", "Fracture", "Mass", "Nodule", "Pleural Thickening", "Pneumothorax"),
)
PARTS = ("train", "test")
_LISTS = ("syms", "boxes", "polygons")


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The two JSON files, and the folders of the pictures.

    Raises:
        InputError: one is missing.
    """
    return tuple(found(key, native, part) for found in (_list, _pictures) for part in PARTS)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every image of the two lists, in their order; one without findings was looked at.

    Raises:
        InputError: a file is missing or no JSON list, or the dataset asks for what the release does not say.
    """
    check_classes(key, dataset, dict.fromkeys(Task, CLASSES))
    unique = Unique(problems)
    for part in PARTS:
        path = _list(key, native, part)
        pictures = listing(_pictures(key, native, part), (".png",))
        for number, entry in enumerate(_entries(path)):
            where = f"{path}, image {number}"
            if not _parallel(entry):
                problems.say(f"{where}: expected file_name, and {', '.join(_LISTS)} as lists of one length")
                continue
            name = entry["file_name"]
            if not unique(name, where):
                continue
            if name not in pictures:
                problems.say(f"{where}: no image {name} in {_pictures(key, native, part)}; put it there")
                continue
            yield _record(dataset, pictures[name], Split(part), entry, where, problems)


def _list(key: str, native: Native, part: str) -> Path:
    name = f"ChestX_Det_{part}.json"
    return first(native.folder, (name, f"*/{name}"), key)


def _pictures(key: str, native: Native, part: str) -> Path:
    """Whatever the archive unpacked to: `train_data.zip` names its inner folder nowhere."""
    return first(native.folder, (part, f"{part}_data", f"*/{part}", f"*/{part}_data"), key)


def _entries(path: Path) -> list[Any]:
    content = jsonfile.load(path)
    if not isinstance(content, list):
        raise InputError(f"{path}: expected a list, an entry an image; download it again")
    return content


def _parallel(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
        return False
    lists = [entry.get(name) for name in _LISTS]
    return all(isinstance(one, list) for one in lists) and len({len(one) for one in lists if one is not None}) == 1


def _record(
    dataset: Dataset,
    file: Path,
    split: Split,
    entry: Mapping[str, list[Any]],
    where: str,
    problems: Problems,
) -> Record:
    here = f"{where} ({file.name})"
    labels: set[str] = set()
    boxes: list[Box] = []
    masks: list[Mask] = []
    for number, (label, box, polygon) in enumerate(zip(*(entry[name] for name in _LISTS), strict=True)):
        at = f"{here}, finding {number}"
        if label not in CLASSES:
            problems.say(f"{at}: unknown class {label!r}; {nearest(label, CLASSES)}")
            continue
        labels.add(label)
        if label in dataset.classes(Task.LOCALIZATION):
            boxes += _box(label, box, at, problems)
        if label in dataset.classes(Task.SEGMENTATION):
            masks += _mask(label, polygon, at, problems)
    return Record(
        image=file.stem,
        file=file,
        patient=None,
        group=f"{dataset.adapter}:{file.stem}",
        split=split,
        labels={name: 1 if name in labels else 0 for name in dataset.classes(Task.CLASSIFICATION)} or None,
        boxes=tuple(boxes) if dataset.localization else None,
        masks=tuple(masks) if dataset.segmentation else None,
        where=where,
    )


def _box(label: str, box: Any, where: str, problems: Problems) -> Iterator[Box]:
    """Corners are vertices of the polygon, not pixels: the width is their difference, without one more."""
    if not _numbers(box, 4) or box[2] <= box[0] or box[3] <= box[1]:
        problems.say(f"{where}: box is {box!r}; expected [x1, y1, x2, y2] that rise")
    else:
        yield Box(label, (box[0], box[1], box[2] - box[0], box[3] - box[1]), where)


def _mask(label: str, polygon: Any, where: str, problems: Problems) -> Iterator[Mask]:
    if not isinstance(polygon, list) or len(polygon) < 3 or not all(_numbers(point, 2) for point in polygon):
        short = f"{len(polygon)} points" if isinstance(polygon, list) else repr(polygon)
        problems.say(f"{where}: polygon of {short}; expected three points [x, y] at least")
    else:
        yield Mask(label, Polygon(tuple((float(x), float(y)) for x, y in polygon)), where)


def _numbers(values: Any, count: int) -> bool:
    numbers: Sequence[Any] = values if isinstance(values, list) else ()
    return len(numbers) == count and all(map(jsonfile.is_number, numbers))
