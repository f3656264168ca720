"""CANDID-PTX: run lengths in the table of the reports, a row a region, and DICOM files named by SOP instance.

A patient is what the table names in a column of its own, or the first part of its file names (`P0001_…`). Headers are not asked:
nobody has published whether their PatientID is a patient's, an image's, or the same everywhere. Where the table names no
patient, images of one study stay together.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from fxcore.data.adapters.siim_acr import LABEL, read_marks, read_regions
from fxcore.data.native import Native, Problems, Row, check_classes, first, header_view, listing, rows
from fxcore.data.records import Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

log = logging.getLogger(__name__)

VERSION = 1
"""Raised whenever the records of unchanged files change."""

TABLE, FOLDER = "Pneumothorax_reports.csv", "dataset"
"""Tables of tubes and fractures lie beside it; they name images that are not in the release."""
_COLUMNS = {
    "sopinstanceuid": "SOPInstanceUID",
    "anonsopuid": "SOPInstanceUID",
    "studyinstanceuid": "StudyInstanceUID",
    "encodedpixels": "EncodedPixels",
    "maskrle": "EncodedPixels",
    "patientid": "patient",
    "patient": "patient",
    "filename": "filename",
}
"""Columns by their letters and digits alone; copies differ in the rest."""
_SUFFIXES = (".dcm", ".dicom")


class _Spellings(Mapping[str, str]):
    """`_COLUMNS`, whatever the case, blanks and underscores."""

    def __getitem__(self, name: str) -> str:
        return _COLUMNS["".join(filter(str.isalnum, name)).lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(_COLUMNS)

    def __len__(self) -> int:
        return len(_COLUMNS)


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:  # noqa: ARG001 - the same for all tasks
    """The table of the reports, and the folder of the pictures.

    Raises:
        InputError: one is missing.
    """
    return tuple(first(native.folder, [name, f"*/{name}"], key) for name in (TABLE, FOLDER))


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every labelled image, in the order of the table, under its SOP instance in lower case. The release has no split.

    An image under two patients belongs to no side of any split and is left out; the release has one.

    Raises:
        InputError: a file or column is missing; a mistake, unless these are collected.
    """
    check_classes(key, dataset, dict.fromkeys(Task, (LABEL,)))
    table, folder = files(key, dataset, native)
    pictures = _pictures(folder, problems)
    about: dict[str, Row] = {}
    patients: dict[str, set[str]] = defaultdict(set)
    lines: list[tuple[str, str, str]] = []
    for where, row in rows(table, ["SOPInstanceUID", "EncodedPixels"], problems, _Spellings()):
        image = _plain(row["SOPInstanceUID"])
        about.setdefault(image, row)
        patients[image].update(filter(None, [_patient(row)]))
        if row["EncodedPixels"]:  # a blank says nothing
            lines.append((where, image, row["EncodedPixels"]))
    several = {image for image, names in patients.items() if len(names) > 1}
    for image in sorted(several):
        log.info("%s: image %s is under several patients; it is left out", table, image)
        problems.leave("an image under several patients")
    for image, stated in read_regions((line for line in lines if line[1] not in several), problems).items():
        row = about[image]
        path = pictures.get(image) or pictures.get(_plain(row.get("filename", "")))
        if path is None:
            problems.say(f"{stated.where}: no picture {image} in {folder}; download it again or remove the row")
            continue
        marks = read_marks(stated, path, dataset, problems)
        patient = next(iter(patients[image]), None)
        if marks is not None:
            yield Record(
                image=image,
                file=path,
                patient=patient,
                group=f"{dataset.adapter}:{patient or row.get('StudyInstanceUID') or image}",
                split=None,
                labels=marks.labels,
                boxes=marks.boxes,
                masks=marks.masks,
                where=stated.where,
                view=header_view(path, stated.where, problems) if dataset.views else None,
            )


def _patient(row: Row) -> str | None:
    name, _, rest = row.get("filename", "").rpartition("/")[2].partition("_")
    return row.get("patient") or (name if rest else "") or None


def _plain(name: str) -> str:
    """An image's name without folder, case and extension: a SOP instance has stops that are none."""
    text = name.rpartition("/")[2].lower()
    return next((text.removesuffix(suffix) for suffix in _SUFFIXES if text.endswith(suffix)), text)


def _pictures(folder: Path, problems: Problems) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, path in listing(folder, [""]).items():
        before = found.setdefault(_plain(name), path)
        if before != path:
            problems.say(f"{path}: {before} is the same image; keep one of them")
    return found
