"""Dataset #N: an index CSV with label columns, and COCO JSON files that list exactly the annotated images."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pycocotools import mask as coco_mask

from fxcore.data.records import Box, Code, Mask, Record, Rle
from fxcore.errors import InputError
from fxcore.params.datasets import Annotations, Dataset, Labels
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

_CODES: dict[str, Code] = {"1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1, "": None}


class _Annotation(NamedTuple):
    """One entry of a COCO file: its class, content and place in the file, and the (height, width) listed for its image."""

    label: str
    content: dict[str, Any]
    where: str
    size: tuple[int, int]


def index_files(dataset: Dataset) -> tuple[str, ...]:
    """The annotation files of a dataset, relative to its folder."""
    blocks = (dataset.localization, dataset.segmentation)
    return (dataset.index, *(block.file for block in blocks if block))


def records(key: str, dataset: Dataset, folder: Path) -> Iterator[Record]:
    """Every image of the index, in its order.

    Raises:
        InputError: a file, row or value that contradicts the format or `dataset`.
    """
    rows = list(_rows(folder / dataset.index, dataset))
    known = {row[dataset.columns.file] for _, row in rows}
    boxes = _annotations(folder, dataset, Task.LOCALIZATION, known)
    masks = _annotations(folder, dataset, Task.SEGMENTATION, known)
    for where, row in rows:
        name = row[dataset.columns.file]
        patient = row[dataset.columns.patient] if dataset.columns.patient else name
        yield Record(
            image=name,
            file=folder / name,
            patient=patient,
            group=f"{key}:{patient}",
            split=Split(row[dataset.columns.split]),
            labels=_labels(row, dataset.classification, where) if dataset.classification else None,
            boxes=None if name not in boxes else tuple(Box(one.label, _xywh(one), one.where) for one in boxes[name]),
            masks=None if name not in masks else tuple(Mask(one.label, _rle(one), one.where) for one in masks[name]),
            where=where,
        )


def _rows(path: Path, dataset: Dataset) -> Iterator[tuple[str, dict[str, str]]]:
    columns = dataset.columns
    needed = [
        columns.file,
        columns.split,
        *([columns.patient] if columns.patient else []),
        *dataset.classes(Task.CLASSIFICATION),
    ]
    seen: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.DictReader(source)
            if missing := [name for name in needed if name not in (reader.fieldnames or [])]:
                raise InputError(
                    f"{path}: no column {missing[0]!r}; it has {', '.join(reader.fieldnames or [])};"
                    " correct the file or the names in params"
                )
            for number, row in enumerate(reader, start=2):
                where = f"{path}, row {number}"
                if None in row or None in row.values():
                    raise InputError(
                        f"{where}: expected {len(reader.fieldnames or [])} cells; the row has more or fewer"
                    )
                row = {name: value.strip() for name, value in row.items()}
                name = row[columns.file]
                if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                    raise InputError(f"{where}: {columns.file} is {name!r}; expected a path below the dataset's folder")
                if name in seen:
                    raise InputError(f"{where}: {name} is in row {seen[name]} already; keep one row an image")
                if row[columns.split] not in set(Split):
                    raise InputError(f"{where}: {columns.split} is {row[columns.split]!r}; expected train, val or test")
                if columns.patient and not row[columns.patient]:
                    raise InputError(
                        f"{where}: {columns.patient} is blank; give every image a patient, or set columns.patient to null"
                    )
                seen[name] = number
                yield where, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error


def _labels(row: dict[str, str], labels: Labels, where: str) -> dict[str, Code]:
    found: dict[str, Code] = {}
    for name in labels.classes:
        if row[name] not in _CODES:
            raise InputError(f"{where}: {name} is {row[name]!r}; expected 1, 0, -1 or blank")
        found[name] = _CODES[row[name]]
    return found


def _read_coco(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict) or any(
        not isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise InputError(f"{path}: expected a COCO file with the lists images, annotations and categories")
    return content


def _annotations(folder: Path, dataset: Dataset, task: Task, known: set[str]) -> dict[str, list[_Annotation]]:
    """Annotations by image name; an image listed without any has an empty list."""
    block: Annotations | None = getattr(dataset, task)
    if block is None:
        return {}
    path = folder / block.file
    content = _read_coco(path)
    try:
        names = {one["id"]: one["file_name"] for one in content["images"]}
        sizes = {one["id"]: (one["height"], one["width"]) for one in content["images"]}
        categories = {one["id"]: one["name"] for one in content["categories"]}
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path}: an image or category lacks {error}; expected id, file_name, height, width and id, name"
        ) from error
    if strange := sorted(set(categories.values()) - set(block.classes)):
        raise InputError(
            f"{path}: category {strange[0]!r} is in no head; add it to {task}.classes or remove it (known: {', '.join(block.classes)})"
        )
    if stray := sorted(set(names.values()) - known):
        raise InputError(f"{path}: image {stray[0]} is not in {dataset.index}; add its row or remove it here")
    found: dict[str, list[_Annotation]] = {name: [] for name in names.values()}
    for number, one in enumerate(content["annotations"]):
        where = f"{path}, annotation {one.get('id', number)}"
        if one.get("image_id") not in names:
            raise InputError(
                f"{where}: image_id {one.get('image_id')} is not among the images; list the image or remove the annotation"
            )
        if one.get("category_id") not in categories:
            raise InputError(f"{where}: category_id {one.get('category_id')} is not among the categories")
        found[names[one["image_id"]]].append(
            _Annotation(categories[one["category_id"]], one, where, sizes[one["image_id"]])
        )
    return found


def _xywh(annotation: _Annotation) -> tuple[float, float, float, float]:
    bbox: Any = annotation.content.get("bbox")
    try:
        left, top, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError) as error:
        raise InputError(f"{annotation.where}: bbox is {bbox!r}; expected [left, top, width, height]") from error
    return left, top, width, height


def _rle(annotation: _Annotation) -> Rle:
    """Any of COCO's three forms (compressed or plain run lengths, polygons) as compressed run lengths."""
    shape: Any = annotation.content.get("segmentation")
    match shape:
        case {"size": [int(height), int(width)], "counts": str(counts)}:
            return {"size": [height, width], "counts": counts}
        case {"size": [int(height), int(width)], "counts": [*runs]} if _fill(runs, height * width):
            made = coco_mask.frPyObjects(shape, height, width)
        case [*polygons] if polygons and all(map(_is_polygon, polygons)):
            made = coco_mask.merge(coco_mask.frPyObjects(polygons, *annotation.size))
        case _:
            raise InputError(
                f"{annotation.where}: segmentation cannot be read; expected run lengths that fill the image,"
                " or polygons of at least three points"
            )
    return {"size": [int(side) for side in made["size"]], "counts": made["counts"].decode()}


def _fill(runs: list[Any], pixels: int) -> bool:
    return all(isinstance(run, int) and run >= 0 for run in runs) and sum(runs) == pixels


def _is_polygon(points: Any) -> bool:
    numbers = isinstance(points, list) and all(isinstance(one, int | float) and math.isfinite(one) for one in points)
    return numbers and len(points) >= 6 and len(points) % 2 == 0
