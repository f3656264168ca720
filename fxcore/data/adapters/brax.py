"""BRAX: one table of labels by CheXpert's parser and of views, and pictures as PNG and as DICOM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fxcore.data.native import Native, Problems, Unique, check_classes, codes, first, rows, view
from fxcore.data.records import Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

VERSION = 2
"""Raised whenever the records of unchanged files change."""

OBSERVATIONS = (
    *(
        "No Finding",
        "Enlarged Cardiomediastinum",
        "Cardiomegaly",
        "Lung Lesion",
        "Lung Opacity",
        "Edema",
        "Consolidation",
    ),
    *("Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices"),
)
"""Columns in the release's order: Lesion before Opacity, unlike CheXpert's. They are read by name."""
TABLES = ("master_spreadsheet_update.csv", "master_spreadsheet.csv")
"""The second is the name in 1.0.0."""
TREES = {"images": "PngPath", "Anonymized_DICOMs": "DicomPath"}
"""Folders of pictures, of which one is enough, with the column of their paths."""
_FOLDERS = ("", "*/", "*/*/")


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The table.

    Raises:
        InputError: it is missing.
    """
    return (first(native.folder, [inner + name for inner in _FOLDERS for name in TABLES], key),)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The images of the table, in its order; the release has no split.

    Raises:
        InputError: files or columns are missing, a class is none of the release's, or a row contradicts the format.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: OBSERVATIONS})
    classes = dataset.classes(Task.CLASSIFICATION)
    (table,) = files(key, dataset, native)
    tree = first(native.pictures, [inner + name for name in TREES for inner in _FOLDERS], key)
    new = Unique(problems)
    for where, row in rows(table, (*TREES.values(), "PatientID", "ViewPosition", *classes), problems):
        # Named by the PNG whichever tree is there, so that lists of images fit both.
        image, path, patient = row["PngPath"], row[TREES[tree.name]], row["PatientID"]
        labels = codes(row, classes, where, problems)
        if not (_below(image, "images") and _below(path, tree.name) and patient):
            problems.say(
                f"{where}: {image!r} and {path!r} of patient {patient!r}; expected paths below {', '.join(TREES)}"
            )
        elif new(image, where) and labels is not None:
            yield Record(
                image=image,
                file=tree.parent / path,
                patient=patient,
                group=f"{dataset.adapter}:{patient}",
                split=None,
                labels=labels,
                boxes=None,
                masks=None,
                where=where,
                view=view(row["ViewPosition"]),
                study=_study(image),
            )


def _study(image: str) -> str | None:
    """The folders of patient and study in images/PATIENT/STUDY/SERIES/IMAGE.png; None of a path that is not as long."""
    folders = PurePosixPath(image).parts[1:-2]
    return "/".join(folders) if len(folders) == 2 else None


def _below(path: str, folder: str) -> bool:
    parts = PurePosixPath(path).parts
    return len(parts) > 1 and parts[0] == folder and ".." not in parts
