"""MIMIC-CXR-JPG: labels by study, split and view by image, and JPEGs in folders of patients and studies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fxcore.data.native import Native, Problems, Row, Unique, check_classes, codes, first, rows, view
from fxcore.data.records import Labels, Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 2
"""Raised whenever the records of unchanged files change."""

OBSERVATIONS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion"),
    *(
        "Lung Opacity",
        "No Finding",
        "Pleural Effusion",
        "Pleural Other",
        "Pneumonia",
        "Pneumothorax",
        "Support Devices",
    ),
)
"""Columns in the release's order, which is not CheXpert's: they are read by name."""
# Release 2.1.0 keeps these names. NegBio's labels and the test studies labelled by hand (2.1.0) are not mixed with these.
TABLES = ("mimic-cxr-2.0.0-chexpert.csv", "mimic-cxr-2.0.0-split.csv", "mimic-cxr-2.0.0-metadata.csv")
SPLITS = {"train": Split.TRAIN, "validate": Split.VAL, "test": Split.TEST}
# As text: numbers that a spreadsheet made of them, 10000032.0, are refused.
_SUBJECT = re.compile(r"1\d{7}")
_STUDY = re.compile(r"5\d{7}")
_IMAGE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


class Study(NamedTuple):
    """What is said of a study."""

    subject: str
    labels: Labels
    where: str


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The tables of labels, splits and views, compressed or not.

    Raises:
        InputError: one is missing.
    """
    folders = ("", "*/", "*/*/")
    names = ([folder + name + end for folder in folders for end in (".gz", "")] for name in TABLES)
    return tuple(first(native.folder, one, key) for one in names)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The images of the table of splits, in its order; a study without labels says nothing, and its images are left out.

    Raises:
        InputError: files or columns are missing, a class is none of the release's, or a row contradicts the format.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: OBSERVATIONS})
    labels, splits, metadata = files(key, dataset, native)
    studies = _studies(labels, dataset, problems)
    views = {row["dicom_id"]: row["ViewPosition"] for _, row in rows(metadata, ("dicom_id", "ViewPosition"), problems)}
    folder = pictures(native.pictures, key)
    new = Unique(problems)
    for where, row in rows(splits, ("dicom_id", "study_id", "subject_id", "split"), problems):
        image, subject, study = row["dicom_id"], row["subject_id"], row["study_id"]
        if not ids(image, subject, study, where, problems) or not new(image, where):
            continue
        if row["split"] not in SPLITS:
            problems.say(f"{where}: split is {row['split']!r}; expected {', '.join(SPLITS)}")
            continue
        if image not in views:
            problems.say(f"{where}: {image} is not in {metadata}; add its row or remove this one")
            continue
        if (said := _said(study, row, studies, where, problems)) is None:
            continue
        yield Record(
            image=image,
            file=folder / name(image, subject, study),
            patient=subject,
            group=f"mimic:{subject}",
            split=SPLITS[row["split"]],
            labels=said,
            boxes=None,
            masks=None,
            where=where,
            # Rows and Columns are not stated: copies with smaller pictures are usual, and nothing is in pixels.
            view=view(views[image]),
            study=study,
        )


def pictures(folder: Path, key: str) -> Path:
    """The folder that holds `files`, which pictures lie in.

    Raises:
        InputError: there is none.
    """
    return first(folder, ("files", "*/files", "*/*/files"), key).parent


def name(image: str, subject: str, study: str) -> str:
    """The path of a picture in the release."""
    return f"files/p{subject[:2]}/p{subject}/s{study}/{image}.jpg"


def ids(image: str, subject: str, study: str, where: str, problems: Problems) -> bool:
    """Whether all three are as the release writes them; one that is not is a mistake."""
    shapes = (
        ("dicom_id", image, _IMAGE, "five groups of eight hexadecimal digits"),
        ("subject_id", subject, _SUBJECT, "eight digits from 1"),
        ("study_id", study, _STUDY, "eight digits from 5"),
    )
    for column, text, shape, form in shapes:
        if not shape.fullmatch(text):
            problems.say(f"{where}: {column} is {text!r}; expected {form}")
            return False
    return True


def _studies(path: Path, dataset: Dataset, problems: Problems) -> dict[str, Study]:
    classes = dataset.classes(Task.CLASSIFICATION)
    found: dict[str, Study] = {}
    new = Unique(problems, "study")
    for where, row in rows(path, ("subject_id", "study_id", *classes), problems):
        labels = codes(row, classes, where, problems)
        if new(row["study_id"], where) and labels is not None:
            found[row["study_id"]] = Study(row["subject_id"], labels, where)
    return found


def _said(study: str, row: Row, studies: Mapping[str, Study], where: str, problems: Problems) -> Labels | None:
    if (said := studies.get(study)) is None:
        problems.leave("a study without a row of labels")
        return None
    if said.subject != row["subject_id"]:
        problems.say(f"{where}: study {study} is of subject {row['subject_id']}; {said.where} says {said.subject}")
        return None
    return said.labels
