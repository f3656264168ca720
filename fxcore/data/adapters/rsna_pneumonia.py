"""RSNA Pneumonia, stage 2: one of three classes and boxes an image, a row of both tables for each box, pictures by identifier."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fxcore.data import jsonfile
from fxcore.data.native import Native, Problems, box, check_classes, first, header_view, listing, rows
from fxcore.data.records import Box, Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

OPACITY = "Lung Opacity"
CLASSES = ("Normal", "No Lung Opacity/Not Normal", OPACITY)
"""Each image has one; the file writes the second with blanks around the stroke."""
PICTURES, CLASS_TABLE, BOX_TABLE = "stage_2_train_images", "stage_2_detailed_class_info.csv", "stage_2_train_labels.csv"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
"""RSNA's own file, which says which NIH image each is; Kaggle has it not."""
_SIDES = ("x", "y", "width", "height")
_NIH = re.compile(r"(\d{8})_\d{3}(\.png)?")


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
    """The folder of the labelled pictures, the tables that the tasks need, and the mapping to NIH where it is there.

    Raises:
        InputError: one is missing.
    """
    tables = {Task.CLASSIFICATION: CLASS_TABLE, Task.LOCALIZATION: BOX_TABLE}
    names = [PICTURES, *(name for task, name in tables.items() if dataset.classes(task))]
    mapping = _mapping(native.folder)
    return (*(_find(native.folder, name, key) for name in names), *([mapping] if mapping else []))


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every labelled image, in the order of the tables; the pictures of the test folder have no labels.

    Raises:
        InputError: a file or column is missing; a mistake, unless these are collected.
    """
    folder, of_class, of_box = native.folder, dataset.classes(Task.CLASSIFICATION), dataset.classes(Task.LOCALIZATION)
    check_classes(key, dataset, {Task.CLASSIFICATION: CLASSES, Task.LOCALIZATION: (OPACITY,)})
    pictures = listing(_find(folder, PICTURES, key), [".dcm"])
    classes = read_classes(_find(folder, CLASS_TABLE, key), problems) if of_class else {}
    boxes = read_boxes(_find(folder, BOX_TABLE, key), problems) if of_box else {}
    if of_class and of_box:
        _compare(classes, boxes, problems)
    mapping = _mapping(folder)
    patients = _patients(mapping, problems) if mapping else None
    for image in {**classes, **boxes}:
        where = (classes.get(image) or boxes[image])[0]
        path = pictures.get(f"{image}.dcm")
        if path is None:
            problems.say(f"{where}: no picture {image}.dcm in {PICTURES}; download it again or remove the row")
            continue
        if patients is not None and image not in patients:
            problems.say(f"{where}: {image} is not in {mapping}; take the whole mapping, or none")
        # `patientId` names an image, and so does the PatientID of its header: patients are those of NIH, or unknown.
        patient = (patients or {}).get(image)
        yield Record(
            image=image,
            file=path,
            patient=patient,
            group=f"{dataset.adapter}:{image}" if patient is None else f"nih:{patient}",
            split=None,
            labels={name: 1 if name == classes[image][1] else 0 for name in of_class} if image in classes else None,
            boxes=tuple(boxes[image][1]) if image in boxes else None,
            masks=None,
            where=where,
            view=header_view(path, where, problems) if dataset.views else None,
        )


def read_classes(path: Path, problems: Problems) -> dict[str, tuple[str, str]]:
    """Place and class of each image, which the file repeats for each of its boxes."""
    found: dict[str, tuple[str, str]] = {}
    for where, row in rows(path, ["patientId", "class"], problems):
        image, name = row["patientId"], row["class"].replace(" / ", "/")
        if name not in CLASSES:
            problems.say(f"{where}: class {row['class']!r} of {image} is unknown; expected one of {', '.join(CLASSES)}")
        elif (before := found.setdefault(image, (where, name)))[1] != name:
            problems.say(f"{where}: {image} is {name} here and {before[1]} at {before[0]}; keep one")
    return found


def read_boxes(path: Path, problems: Problems) -> dict[str, tuple[str, list[Box]]]:
    """Place and boxes of each image: rows of Target 1 with a box each, or one row of Target 0 with blanks."""
    found: dict[str, tuple[str, list[Box]]] = {}
    for where, row in rows(path, ["patientId", *_SIDES, "Target"], problems):
        image, target = row["patientId"], row["Target"]
        if target not in ("0", "1") or (target == "1") != any(row[side] for side in _SIDES):
            problems.say(f"{where}: Target of {image} is {target!r}; expected 1 with a box, or 0 and blanks")
            continue
        drawn = box(OPACITY, [row[side] for side in _SIDES], where, problems) if target == "1" else None
        if target == "1" and drawn is None:
            continue
        seen = found.get(image)
        if seen and (drawn is None or not seen[1] or drawn.xywh in [one.xywh for one in seen[1]]):
            problems.say(f"{where}: {image} has this box, or none, at {seen[0]} already; keep one row")
            continue
        found.setdefault(image, (where, []))[1].extend([drawn] if drawn else [])
    return found


def _compare(classes: dict[str, tuple[str, str]], boxes: dict[str, tuple[str, list[Box]]], problems: Problems) -> None:
    """Leave out what the tables disagree on: both list the same images, and boxes are what makes an opacity."""
    for image in [image for image in {**classes, **boxes} if image not in classes or image not in boxes]:
        here, there = (BOX_TABLE, CLASS_TABLE) if image in boxes else (CLASS_TABLE, BOX_TABLE)
        where = (classes.get(image) or boxes[image])[0]
        problems.say(f"{where}: {image} is in {here} and not in {there}; download both again")
    for image in [name for name in classes if name in boxes and (classes[name][1] == OPACITY) != bool(boxes[name][1])]:
        (place, label), (where, drawn) = classes.pop(image), boxes.pop(image)
        problems.say(f"{where}: {image} has {len(drawn)} boxes here and is {label} at {place}; download both again")


def _mapping(folder: Path) -> Path | None:
    return next((path for name in (MAPPING, f"*/{MAPPING}") for path in sorted(folder.glob(name))), None)


def _find(folder: Path, name: str, key: str) -> Path:
    return first(folder, [name, f"*/{name}"], key)


def _patients(path: Path, problems: Problems) -> dict[str, str]:
    """NIH's patient of each image, from the name of the NIH image that it was made of.

    Raises:
        InputError: no JSON, or no list.
    """
    entries = jsonfile.load(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of entries with subset_img_id and img_id; download it again")
    found: dict[str, str] = {}
    for number, entry in enumerate(entries):
        where = f"{path}, entry {number}"
        image, original = (entry.get("subset_img_id"), entry.get("img_id")) if isinstance(entry, dict) else (None, None)
        match = _NIH.fullmatch(str(original))
        if not isinstance(image, str) or match is None:
            problems.say(f"{where}: maps {image!r} to {original!r}; expected an image and a name like 00090001_000.png")
        elif found.setdefault(image, match[1]) != match[1]:
            problems.say(f"{where}: {image} is of patient {match[1]} here and of {found[image]} before; keep one")
    return found
