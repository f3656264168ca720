"""CXR-LT 2024: labels of studies, and a split of its own, for the pictures of MIMIC-CXR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fxcore.data.adapters import mimic_cxr
from fxcore.data.native import Native, Problems, Row, Unique, check_classes, codes, first, rows, view
from fxcore.data.records import Code, Labels, Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 2
"""Raised whenever the records of unchanged files change."""

FINDINGS = (
    *("Adenopathy", "Atelectasis", "Azygos Lobe", "Calcification of the Aorta", "Cardiomegaly", "Clavicle Fracture"),
    *(
        "Consolidation",
        "Edema",
        "Emphysema",
        "Enlarged Cardiomediastinum",
        "Fibrosis",
        "Fissure",
        "Fracture",
        "Granuloma",
    ),
    *("Hernia", "Hydropneumothorax", "Infarction", "Infiltration", "Kyphosis", "Lobar Atelectasis", "Lung Lesion"),
    *("Lung Opacity", "Mass", "Nodule", "Normal", "Pleural Effusion", "Pleural Other", "Pleural Thickening"),
    *("Pneumomediastinum", "Pneumonia", "Pneumoperitoneum", "Pneumothorax", "Pulmonary Embolism"),
    *("Pulmonary Hypertension", "Rib Fracture", "Round(ed) Atelectasis", "Subcutaneous Emphysema", "Support Devices"),
    *("Tortuous Aorta", "Tuberculosis"),
)
"""Classes of task 1."""
UNSEEN = ("Bulla", "Cardiomyopathy", "Hilum", "Osteopenia", "Scoliosis")
"""Classes of task 3, which is to find what no training image is labelled with."""
ALL = "labels.csv"
# Task 2 relabels 406 test images by hand, with 26 classes: a dataset of its own, `cxr_lt_2024_gold`.
PARTS = {
    Split.TRAIN: "train_labeled.csv",
    Split.VAL: "development_labeled_task1.csv",
    Split.TEST: "test_labeled_task1.csv",
}
SPLITS = {
    "train": Split.TRAIN,
    **dict.fromkeys(("val", "validate", "dev", "development"), Split.VAL),
    "test": Split.TEST,
}
_KNOWN: dict[str, Code] = {"1": 1, "1.0": 1, "0": 0, "0.0": 0}
"""Each label is stated: none is uncertain or blank."""
FOLDERS = ("", "cxr-lt-2024/", "*/cxr-lt-2024/", "*/*/cxr-lt-2024/")


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The table of all labels, or those of training, development and test where it is not there.

    Raises:
        InputError: neither is.
    """
    return tuple(path for path, _ in _tables(key, native.folder))


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The labelled images in the order of the tables. The split is not MIMIC-CXR's.

    Raises:
        InputError: files or columns are missing, a class is none of the release's, or a row contradicts the format.
    """
    tables = _tables(key, native.folder)
    known = (*FINDINGS, *UNSEEN) if tables[0][0].name == ALL else FINDINGS
    check_classes(key, dataset, {Task.CLASSIFICATION: known})
    yield from labelled(key, dataset, native, problems, tables, FINDINGS)


def labelled(
    key: str,
    dataset: Dataset,
    native: Native,
    problems: Problems,
    tables: Sequence[tuple[Path, Split | None]],
    columns: Sequence[str],
) -> Iterator[Record]:
    """The images of some tables with the split of each, None where a column says; each table has the label `columns` at least.

    Raises:
        InputError: pictures or columns are missing, or a row contradicts the format, or another row of its study.
    """
    classes = dataset.classes(Task.CLASSIFICATION)
    # The table of all labels reveals those of task 3 for training images, too.
    hidden: dict[str, Code] = dict.fromkeys(name for name in classes if name in UNSEEN)
    folder = mimic_cxr.pictures(native.pictures, key)
    new = Unique(problems)
    studies: dict[str, tuple[Labels, str]] = {}
    for path, part in tables:
        needs = ("dicom_id", "subject_id", "study_id", "ViewPosition", *columns, *classes)
        for where, row in rows(path, needs if part else (*needs, "split"), problems):
            image, subject, study = row["dicom_id"], row["subject_id"], row["study_id"].removeprefix("s")
            labels = codes(row, classes, where, problems, _KNOWN)
            split = part or _split(row, where, problems)
            if not mimic_cxr.ids(image, subject, study, where, problems) or not new(image, where):
                continue
            if labels is None or split is None or not _agree(study, labels, where, studies, problems):
                continue
            yield Record(
                image=image,
                file=folder / mimic_cxr.name(image, subject, study),
                patient=subject,
                group=f"mimic:{subject}",
                split=split,
                labels=labels | hidden if hidden and split is Split.TRAIN else labels,
                boxes=None,
                masks=None,
                where=where,
                view=view(row["ViewPosition"]),
                study=study,
            )


def _agree(study: str, labels: Labels, where: str, studies: dict[str, tuple[Labels, str]], problems: Problems) -> bool:
    """Whether labels are those of the study's rows before; labels are of a study, whichever of its pictures shows it."""
    before, there = studies.setdefault(study, (labels, where))
    if wrong := next((name for name in labels if labels[name] != before[name]), None):
        problems.say(
            f"{where}: {wrong} of study {study} is {labels[wrong]} here and {before[wrong]} at {there}; correct one of them"
        )
    return not wrong


def _tables(key: str, folder: Path) -> list[tuple[Path, Split | None]]:
    """Tables with the split of each, None where a column says."""
    whole = [inner + ALL for inner in FOLDERS]
    if any(any(folder.glob(pattern)) for pattern in whole):
        return [(first(folder, whole, key), None)]
    return [(first(folder, [inner + name for inner in FOLDERS], key), split) for split, name in PARTS.items()]


def _split(row: Row, where: str, problems: Problems) -> Split | None:
    split = SPLITS.get(row["split"].lower())
    if split is None:
        problems.say(f"{where}: split is {row['split']!r}; expected train, val or test")
    return split
