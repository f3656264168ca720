"""The test set of CXR-LT 2024's task 2: pictures of its test split, one a study, that radiologists labelled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fxcore.data.adapters import cxr_lt_2024
from fxcore.data.native import Native, Problems, check_classes, first, lines
from fxcore.data.records import Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

FINDINGS = (
    *("Atelectasis", "Calcification of the Aorta", "Cardiomegaly", "Consolidation", "Edema", "Emphysema"),
    *("Enlarged Cardiomediastinum", "Fibrosis", "Fracture", "Hernia", "Infiltration", "Lung Lesion", "Lung Opacity"),
    *("Mass", "Normal", "Nodule", "Pleural Effusion", "Pleural Other", "Pleural Thickening", "Pneumomediastinum"),
    *("Pneumonia", "Pneumoperitoneum", "Pneumothorax", "Subcutaneous Emphysema", "Support Devices", "Tortuous Aorta"),
)
"""Columns in the release's order, Normal before Nodule, unlike task 1's: they are read by name."""
TABLE = "test_labeled_task2.csv"


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The table of task 2.

    Raises:
        InputError: it is missing.
    """
    return (first(native.folder, [inner + TABLE for inner in cxr_lt_2024.FOLDERS], key),)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The images of the table, in its order.

    Raises:
        InputError: the table or a column is missing, it is another task's, a class is none of the release's, or a row contradicts
            the format.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: FINDINGS})
    (table,) = files(key, dataset, native)
    others = set(cxr_lt_2024.FINDINGS).difference(FINDINGS)
    if strange := next((name for name in next(lines(table), []) if name in others), None):
        raise InputError(f"{table}: has a column {strange!r}, which task 2 has not; put the release's own file there")
    yield from cxr_lt_2024.labelled(key, dataset, native, problems, [(table, Split.TEST)], FINDINGS)
