"""CheXpert: CSVs of report labels and of readers' labels, and JPEGs in a folder a patient, in batches or not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fxcore.data.native import Native, Problems, Row, Unique, check_classes, codes, first, rows, view
from fxcore.data.records import Record
from fxcore.params.datasets import Dataset, View
from fxcore.passes import Split, Task

VERSION = 2
"""Raised whenever the records of unchanged files change."""

OBSERVATIONS = (
    *(
        "No Finding",
        "Enlarged Cardiomediastinum",
        "Cardiomegaly",
        "Lung Opacity",
        "Lung Lesion",
        "Edema",
        "Consolidation",
    ),
    *("Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices"),
)
PARTS = {"train": Split.TRAIN, "valid": Split.VAL, "val": Split.VAL, "test": Split.TEST}
"""Folders of images, as paths name them."""
# `train_cheXbert.csv`, `train_visualCheXbert.csv` are labels by other means: they are not mixed with these.
TABLES = {Split.TRAIN: ("train.csv",), Split.VAL: ("valid.csv",), Split.TEST: ("test_labels.csv", "test.csv")}
_PATIENT = re.compile(r"patient\d{5}")
# Paths begin with CheXpert-v1.0/ or CheXpert-v1.0-small/, whatever folder the images are in; those of the test set with test/.
_PATH = re.compile(r"(?:[^/]+/)*(train|valid|val|test)/(patient\d{5})/(study\d+)/(view\d+_(frontal|lateral)\.jpg)")


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The CSVs of training and validation, and that of the test set, which is a download of its own, if it is there.

    Raises:
        InputError: one of the first two is missing.
    """
    return tuple(_tables(key, native.folder).values())


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The images of training, validation and test set, in the order of their CSVs.

    Raises:
        InputError: files or columns are missing, a class is none of the release's, or a row contradicts the format.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: OBSERVATIONS})
    classes = dataset.classes(Task.CLASSIFICATION)
    homes = _homes(native.pictures)
    new = Unique(problems)
    for split, table in _tables(key, native.folder).items():
        # By name: the test set's has no sex, age and view before the labels.
        for where, row in rows(table, ("Path", *classes), problems):
            shape = _PATH.fullmatch(row["Path"])
            if not shape or PARTS[shape[1]] is not split:
                folders = " or ".join(part for part, of in PARTS.items() if of is split)
                problems.say(
                    f"{where}: Path is {row['Path']!r}; expected {folders}/patient00001/study1/view1_frontal.jpg"
                )
                continue
            part, patient, study, name, side = shape.groups()
            image = f"{part}/{patient}/{study}/{name}"
            labels = codes(row, classes, where, problems)
            if labels is None or not new(image, where):
                continue
            yield Record(
                image=image,
                file=homes.get(patient, native.pictures / part / patient) / study / name,
                patient=patient,
                group=f"{dataset.adapter}:{patient}",
                split=split,
                labels=labels,
                boxes=None,
                masks=None,
                where=where,
                view=_view(row, side),
                study=f"{patient}/{study}",
            )


def _tables(key: str, folder: Path) -> dict[Split, Path]:
    found: dict[Split, Path] = {}
    for split, names in TABLES.items():
        patterns = [depth + name for depth in ("", "*/", "*/*/") for name in names]
        if split is not Split.TEST or any(any(folder.glob(pattern)) for pattern in patterns):
            found[split] = first(folder, patterns, key)
    return found


def _homes(folder: Path) -> dict[str, Path]:
    """The folder of each patient: batches of the full release put them at depths of their own."""
    found: dict[str, Path] = {}
    for root, folders, _ in os.walk(folder, followlinks=True):
        folders.sort()
        for name in filter(_PATIENT.fullmatch, folders):
            found.setdefault(name, Path(root) / name)
        folders[:] = [name for name in folders if not _PATIENT.fullmatch(name)]
    return found


def _view(row: Row, side: str) -> View | None:
    """LL and RL of some frontal images are a mistake of the release: their view is neither PA nor AP."""
    if side == "lateral":
        return "LAT"
    stated = view(row.get("AP/PA", ""))
    return "OTHER" if stated == "LAT" else stated
