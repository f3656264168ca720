"""PadChest: one table with a list of labels for each picture, and 16-bit PNGs in numbered folders."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from fxcore.data.native import Native, Problems, Row, Unique, check_classes, first, rows, view
from fxcore.data.records import Code, Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

VERSION = 2
"""Raised whenever the records of unchanged files change."""

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
COLUMNS = ("ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Labels")
EXCLUDE = "exclude"
"""Marks a picture that the release itself does not want used."""
SILENT = {"unchanged", "suboptimal study"}
"""Labels that say of no finding whether it is there: a list of these alone, or of none, is no statement."""
_IMAGE = re.compile(r"[\w.-]+\.png")


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The table, compressed or not.

    Raises:
        InputError: it is missing.
    """
    return (first(native.folder, [inner + TABLE + end for inner in ("", "*/", "*/*/") for end in ("", ".gz")], key),)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The images of the table whose labels say something, in its order; the release has no split.

    Raises:
        InputError: the table or a column is missing, a class is in none of its lists, or a row contradicts the format.
    """
    (table,) = files(key, dataset, native)
    known: set[str] = set()
    found = list(_records(dataset, native.pictures, table, known, problems))
    # The release has 193 labels and no list of them: a misspelt class would be absent everywhere.
    check_classes(key, dataset, {Task.CLASSIFICATION: sorted(known)})
    yield from found


def _records(dataset: Dataset, pictures: Path, table: Path, known: set[str], problems: Problems) -> Iterator[Record]:
    classes = dataset.classes(Task.CLASSIFICATION)
    homes: dict[str, Path] = {}
    new = Unique(problems)
    for where, row in rows(table, COLUMNS, problems):
        image, home, patient = row["ImageID"], row["ImageDir"], row["PatientID"]
        if not _IMAGE.fullmatch(image) or not home.isdecimal() or not patient:
            problems.say(
                f"{where}: image {image!r} in {home!r} of patient {patient!r}; expected a PNG, a number and a patient"
            )
            continue
        said = _labels(row, where, problems)
        if not new(image, where) or said is None:
            continue
        known |= said
        if EXCLUDE in said or said <= SILENT:
            problems.leave("labels that say nothing, or exclude")
            continue
        labels: dict[str, Code] = {name: 1 if name in said else 0 for name in classes}
        yield Record(
            image=image,
            file=homes.setdefault(home, _home(pictures, home)) / image,
            patient=patient,
            group=f"{dataset.adapter}:{patient}",
            split=None,
            labels=labels,
            boxes=None,
            masks=None,
            where=where,
            view=view(row["Projection"]),
            # One study of the release has pictures of two patients.
            study=f"{patient}/{row['StudyID']}" if row["StudyID"] else None,
        )


def _labels(row: Row, where: str, problems: Problems) -> set[str] | None:
    """The labels of a row without stray blanks, in lower case; 103 rows of the release have no list."""
    text = row["Labels"]
    if text in ("", "nan"):
        return set()
    try:
        names = ast.literal_eval(text)
        if not isinstance(names, list):
            raise ValueError(text)
        return {str(name).strip().lower() for name in names} - {""}
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        problems.say(f"{where}: Labels is {text[:60]!r}; expected a list such as ['normal']")
        return None


def _home(pictures: Path, name: str) -> Path:
    """The folder of some pictures, in the dataset's folder or in one of its folders."""
    places = (place for pattern in (name, f"*/{name}") for place in sorted(pictures.glob(pattern)))
    return next(places, pictures / name)
