"""Dataset #N: an index CSV with label columns, and COCO JSON files that list exactly the annotated images."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from fxcore.data import coco
from fxcore.data.native import Native, Problems, needed
from fxcore.data.records import CODES, Code, Record
from fxcore.data.roots import Real
from fxcore.errors import InputError
from fxcore.params.datasets import Annotations, Columns, Dataset, Labels
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

Rows = list[tuple[str, dict[str, str]]]
"""Place in the file and cells by column."""


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
    """The index and the COCO files.

    Raises:
        InputError: one is missing, or a link to somewhere else.
    """
    names = (
        dataset.index,
        *(block.file for block in (dataset.localization, dataset.segmentation) if block and block.file),
    )
    real = Real(native.folder)
    return tuple(real.check(needed(native.folder / name, key), f"datasets.{key}") for name in names)


def records(key: str, dataset: Dataset, native: Native, _: Problems) -> Iterator[Record]:
    """Every image of the index, in its order. It stops at the first mistake: the file is the user's own to mend.

    Raises:
        InputError: a file, row or value that contradicts the format or `dataset`.
    """
    folder, real = native.folder, Real(native.folder)
    columns, index = dataset.columns, folder / dataset.index
    files(key, dataset, native)
    rows = _rows(index, columns, dataset.classes(Task.CLASSIFICATION))
    known = {row[columns.file] for _, row in rows}
    boxes = _listed(folder, dataset.localization, known, index)
    masks = _listed(folder, dataset.segmentation, known, index)
    for where, row in rows:
        name = row[columns.file]
        patient = row[columns.patient] if columns.patient else None
        yield Record(
            image=name,
            file=real.check(folder / name, where),
            patient=patient,
            group=(row[columns.group] if columns.group else "") or f"{key}:{name if patient is None else patient}",
            split=Split(row[columns.split]) if columns.split else None,
            labels=_labels(row, dataset.classification, where) if dataset.classification else None,
            boxes=boxes[name].boxes() if name in boxes else None,
            masks=masks[name].masks() if name in masks else None,
            where=where,
            stated=tuple(of[name].stated for of in (boxes, masks) if name in of),
        )


def _listed(folder: Path, block: Annotations | None, known: set[str], index: Path) -> dict[str, coco.Listed]:
    if block is None or block.file is None:
        return {}
    listed = coco.read(folder / block.file, block.classes)
    if stray := sorted(set(listed) - known):
        raise InputError(f"{folder / block.file}: image {stray[0]} is not in {index}; add its row or remove it here")
    return listed


def _rows(path: Path, columns: Columns, classes: Sequence[str]) -> Rows:
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.DictReader(source)
            _check_header(path, reader.fieldnames or [], columns, classes)
            rows = [(f"{path}, row {number}", row) for number, row in enumerate(reader, start=2)]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the file as CSV UTF-8") from error
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    if not rows:
        raise InputError(f"{path}: has a header and no rows; expected a row an image")
    seen: dict[str, str] = {}
    for where, row in rows:
        _check_row(where, row, columns)
        name = row[columns.file]
        if name in seen:
            raise InputError(f"{where}: {name} is in {seen[name]} already; keep one row an image")
        seen[name] = where.rpartition(", ")[2]
    return rows


def _check_header(path: Path, header: Sequence[str], columns: Columns, classes: Sequence[str]) -> None:
    if not header:
        raise InputError(f"{path}: is empty; expected a header and a row an image")
    needed = [*filter(None, (columns.file, columns.split, columns.patient, columns.group)), *classes]
    if missing := [name for name in needed if name not in header]:
        only_semicolons = len(header) == 1 and ";" in header[0]
        advice = "separate cells with commas" if only_semicolons else "correct the file or the names in params"
        raise InputError(f"{path}: no column {missing[0]!r}; it has {', '.join(header)}; {advice}")


def _check_row(where: str, row: dict[str, str], columns: Columns) -> None:
    """Strip the cells, and refuse a row that cannot be an image of the dataset."""
    if None in row or None in row.values():
        cells = sum(value is not None for key, value in row.items() if key is not None) + len(row.get(None, ()))  # type: ignore[call-overload]
        raise InputError(f"{where}: has {cells} cells; the header has {len([key for key in row if key is not None])}")
    row.update({name: value.strip() for name, value in row.items()})
    path = PurePosixPath(row[columns.file])
    if not path.name or path.is_absolute() or ".." in path.parts or "\0" in path.name:
        raise InputError(f"{where}: {columns.file} is {str(path)!r}; expected a path below the dataset's folder")
    if columns.split and row[columns.split] not in set(Split):
        raise InputError(
            f"{where}: {columns.split} is {row[columns.split]!r}; expected train, val or test, or set columns.split to null to have the"
            " images divided by patient"
        )
    if columns.patient and not row[columns.patient]:
        raise InputError(
            f"{where}: {columns.patient} is blank; give each image a patient, or set columns.patient to null"
        )


def _labels(row: dict[str, str], labels: Labels, where: str) -> dict[str, Code]:
    found: dict[str, Code] = {}
    for name in labels.classes:
        if row[name] not in CODES:
            raise InputError(f"{where}: {name} is {row[name]!r}; expected 1, 0, -1 or blank")
        found[name] = CODES[row[name]]
    return found
