"""NODE21 (2021): one table of boxes, a row of zeros for a control, and two that say which image of which release each one was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fxcore.data.native import Native, Problems, Row, box, check_classes, first, listing, needed, numbers, rows
from fxcore.data.records import Box, Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

NODULE = "Nodule"
SPELLINGS = ("proccessed_data", "processed_data")
"""The release has two c."""
MAPPINGS = ("filenames_orig_and_new.csv", "non_nodule_filenames_orig_and_new.csv")
TWINS = {"n1059": "n0507"}
"""One picture under two names; they share a patient, so that no split comes between them."""
_SIZES = ("x", "y", "width", "height")
# What tells the patient in a name of each source: of PadChest the study, since its names do not tell patients.
_SOURCES = {
    "chestxray14": ("nih", re.compile(r"(\d{8})_\d{3}")),
    "jsrt": ("jsrt", re.compile(r"(JPC[LN]N\d+)")),
    "openi": ("openi", re.compile(r"(CXR\d+)_.+")),
    "padchest": ("padchest", re.compile(r"(.+)_[^_]+")),
}


@dataclass
class _Found:
    where: str
    nodule: bool
    boxes: list[Box] = field(default_factory=list)


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The table of boxes, the two tables of origins, and the folder of the pictures.

    Raises:
        InputError: one is missing.
    """
    processed = _processed(key, native)
    origins = [needed(processed.parent / "original_data" / name, key) for name in MAPPINGS]
    return needed(processed / "metadata.csv", key), *origins, needed(processed / "images", key)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every image of the table of boxes, in its order. The test images of the challenge are private: there are no splits.

    Raises:
        InputError: a file or column is missing, or the dataset asks for what the release does not say.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: (NODULE,), Task.LOCALIZATION: (NODULE,)})
    table, *origins, folder = files(key, dataset, native)
    pictures = listing(folder, (".mha",))
    patients = _patients(origins, problems)
    for name, found in _table(table, pictures, problems).items():
        image = pictures[name].stem
        patient = patients.get(TWINS.get(image, image))
        if patient is None:
            problems.say(
                f"{found.where}: {image} is in neither {' nor '.join(MAPPINGS)}; its patient is not known; add it"
            )
            continue
        # A nodule whose boxes are all mistakes is somewhere, not nowhere.
        boxes = tuple(found.boxes) if found.boxes or not found.nodule else None
        if dataset.classification or boxes is not None:
            yield Record(
                image=image,
                file=pictures[name],
                patient=patient,
                group=patient,
                split=None,
                labels={NODULE: 1 if found.nodule else 0} if dataset.classification else None,
                boxes=boxes if dataset.localization else None,
                masks=None,
                where=found.where,
            )


def _processed(key: str, native: Native) -> Path:
    return first(native.folder, [f"{above}{name}" for above in ("", "*/", "*/*/") for name in SPELLINGS], key)


def _patients(origins: list[Path], problems: Problems) -> dict[str, str]:
    """The patient of each image, named as the datasets name them that the image was taken from."""
    found: dict[str, str] = {}
    for path in origins:
        for where, row in rows(path, ("original_image_name", "orig_dataset", "node21_img_id"), problems):
            image, name = row["node21_img_id"].removesuffix(".mha"), Path(row["original_image_name"]).stem
            if row["orig_dataset"] not in _SOURCES:
                problems.say(f"{where}: orig_dataset is {row['orig_dataset']!r}; expected one of {', '.join(_SOURCES)}")
                continue
            source, pattern = _SOURCES[row["orig_dataset"]]
            tells = pattern.fullmatch(name)
            patient = f"{source}:{tells[1] if tells else name}"
            if found.setdefault(image, patient) != patient:
                problems.say(f"{where}: {image} is {patient} here, {found[image]} in a row before; keep one")
    return found


def _table(path: Path, pictures: dict[str, Path], problems: Problems) -> dict[str, _Found]:
    """The images of the table of boxes by file name: several rows where there are several nodules."""
    found: dict[str, _Found] = {}
    for where, row in rows(path, ("img_name", "label", *_SIZES), problems):
        name = row["img_name"]
        if name not in pictures:
            problems.say(f"{where}: no image {name}; put it there or remove the row")
        elif row["label"] not in ("0", "1"):
            problems.say(f"{where}: label is {row['label']!r}; expected 1 or 0")
        elif name in found and (row["label"] == "0" or not found[name].nodule):
            problems.say(f"{where}: {name} is in {found[name].where} already, and one of them is a control; keep one")
        else:
            _add(found.setdefault(name, _Found(where, row["label"] == "1")), row, where, problems)
    return found


def _add(found: _Found, row: Row, where: str, problems: Problems) -> None:
    if not found.nodule:
        if any(numbers(row, _SIZES, where, problems) or ()):
            problems.say(f"{where}: a control with a box; expected zeros")
        return
    made = box(NODULE, [row[name] for name in _SIZES], where, problems)
    if made and (before := next((one for one in found.boxes if one.xywh == made.xywh), None)):
        problems.say(f"{where}: the box is in {before.where} already; keep one")
    elif made:
        found.boxes.append(made)
