"""VinDr-CXR 1.0.0 as PhysioNet gives it: three readers an image in training and one consensus in test, boxes by reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from fxcore.complaint import nearest
from fxcore.data.native import Native, Problems, check_classes, codes, first, header_size, listing, numbers, rows
from fxcore.data.records import Box, Labels, Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

LOCAL = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Clavicle fracture",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Enlarged PA",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Lung cavity",
    "Lung cyst",
    "Mediastinal shift",
    "Nodule/Mass",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "Rib fracture",
    "Other lesion",
)
"""Findings that readers draw boxes of. Foundation X writes PE for Pleural effusion."""
GLOBAL = ("COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding")
"""What they say of a whole image."""
ALIASES = {"Other disease": "Other diseases"}
"""Another spelling that some copies of the test tables have."""
READERS = 3
"""Of each image in training, of 17."""
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_PARTS = {Split.TRAIN: "train", Split.TEST: "test"}
_ROOTS = ("annotations", "1.0.0/annotations", "vindr-cxr/1.0.0/annotations")

Readers = dict[str, tuple[str, Labels]]
"""By reader, "" for a consensus: the place in a file, and labels."""
Drawn = dict[str, tuple[str, list[Box]]]
"""By image: the first place in a file, and boxes, which may pass the image's edge."""


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
    """The tables that the tasks need, and the folders of pictures.

    Raises:
        InputError: one is missing.
    """
    tables = {Task.CLASSIFICATION: "image_labels", Task.LOCALIZATION: "annotations"}
    inner = first(native.folder, _ROOTS, key)
    names = [f"{tables[task]}_{part}.csv" for task in tables if dataset.classes(task) for part in _PARTS.values()]
    return (
        *(first(inner, [name], key) for name in names),
        *(first(inner.parent, [part], key) for part in _PARTS.values()),
    )


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every image, the training part first, in the order of the tables. Nobody knows the patients.

    Raises:
        InputError: a file or column is missing; a mistake, unless these are collected.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: (*LOCAL, *GLOBAL), Task.LOCALIZATION: LOCAL})
    inner = first(native.folder, _ROOTS, key)
    of_image, of_box = dataset.classes(Task.CLASSIFICATION), dataset.classes(Task.LOCALIZATION)
    for split, part in _PARTS.items():
        read, drawn = dict[str, Readers](), Drawn()
        if of_image:
            read = read_labels(first(inner, [f"image_labels_{part}.csv"], key), split, of_image, problems)
        if of_box:
            drawn = read_boxes(first(inner, [f"annotations_{part}.csv"], key), split, of_box, problems)
        pictures = listing(first(inner.parent, [part], key), [".dicom"])
        for image in {**read, **drawn}:
            readers = read.get(image, {})
            where = next(iter(readers.values()))[0] if readers else drawn[image][0]
            path = pictures.get(f"{image}.dicom")
            if path is None:
                problems.say(f"{where}: no picture {image}.dicom in {part}; download it again or remove its rows")
                continue
            yield Record(
                image=image,
                file=path,
                patient=None,
                group=f"vindr_cxr:{image}",
                split=split,
                labels=readers[""][1] if "" in readers else None,
                boxes=clipped(drawn[image][1], path, problems) if image in drawn else None,
                masks=None,
                where=where,
                readers=() if "" in readers else tuple(labels for _, labels in readers.values()),
                view="PA",  # of all that the release took
            )


def read_labels(path: Path, split: Split, classes: tuple[str, ...], problems: Problems) -> dict[str, Readers]:
    """What each reader says of each image: in training three, by `rad_id`, and in test one consensus."""
    found: dict[str, Readers] = {}
    by_reader = split is Split.TRAIN
    for where, row in rows(path, ["image_id", *(["rad_id"] if by_reader else []), *classes], problems, ALIASES):
        image, reader = row["image_id"], row["rad_id"] if by_reader else ""
        labels = codes(row, classes, where, problems, {"1": 1, "0": 0})
        if labels is None:
            continue
        before = found.setdefault(image, {}).setdefault(reader, (where, labels))
        if before[0] != where:
            problems.say(f"{where}: {reader or 'the consensus'} of {image} is in {before[0]} already; keep one")
    for image in [image for image, readers in found.items() if by_reader and len(readers) != READERS]:
        readers = found.pop(image)
        where, _ = next(iter(readers.values()))
        problems.say(f"{where}: {image} has {len(readers)} readers; expected {READERS}, download the file again")
    return found


def read_boxes(path: Path, split: Split, classes: tuple[str, ...], problems: Problems) -> Drawn:
    """Boxes of some classes by image; an image whose rows have blanks, or other classes, was looked at and has none."""
    found: Drawn = {}
    by_reader = split is Split.TRAIN
    for where, row in rows(path, ["image_id", *(["rad_id"] if by_reader else []), "class_name", *_CORNERS], problems):
        name, reader = ALIASES.get(row["class_name"], row["class_name"]), row["rad_id"] if by_reader else None
        blank = not any(row[corner] for corner in _CORNERS)
        if name not in (GLOBAL if blank else LOCAL):
            said = "no box" if name in LOCAL else "a box" if name in GLOBAL else nearest(name, (*LOCAL, *GLOBAL))
            problems.say(
                f"{where}: class_name is {name!r} ({said}); expected a local finding with a box, or No finding and blanks"
            )
            continue
        box = None if blank or name not in classes else _box(name, row, where, problems, reader)
        found.setdefault(row["image_id"], (where, []))[1].extend([box] if box else [])
    return found


def _box(name: str, row: Mapping[str, str], where: str, problems: Problems, reader: str | None) -> Box | None:
    """Left, top, right and bottom as a box."""
    corners = numbers(row, _CORNERS, where, problems)
    if corners is None:
        return None
    left, top, right, bottom = corners
    if right <= left or bottom <= top:
        problems.say(f"{where}: box {corners} (x_min, y_min, x_max, y_max) has no area; correct or remove it")
        return None
    return Box(name, (left, top, right - left, bottom - top), where, reader)


def clipped(boxes: list[Box], path: Path, problems: Problems) -> tuple[Box, ...] | None:
    """Boxes cut at the edges of their picture, which some pass a little; one that is mostly outside is a mistake."""
    if not boxes:
        return ()
    size = header_size(path, boxes[0].where, problems)
    if size is None:
        return None
    height, width = size
    found: list[Box] = []
    for box in boxes:
        left, top, across, down = box.xywh
        right, bottom = min(left + across, width), min(top + down, height)
        left, top = max(left, 0.0), max(top, 0.0)
        if right <= left or bottom <= top or (right - left) * (bottom - top) < across * down / 2:
            problems.say(
                f"{box.where}: box {list(box.xywh)} is mostly outside its picture of {width} × {height}; remove it"
            )
        else:
            found.append(replace(box, xywh=(left, top, right - left, bottom - top)))
    return tuple(found)
