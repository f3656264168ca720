"""From native files to the records of a store: read, one statement an image, left out what parameters leave out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fxcore.data import policies
from fxcore.data.native import Native, Problems, adapter_of
from fxcore.data.records import Record
from fxcore.data.roots import beginnings
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

NAMED, VIEW = "named under exclude", "view not taken"


@dataclass(frozen=True, slots=True)
class Intake:
    """Records, and the images left out with the reason."""

    records: list[Record]
    excluded: dict[str, str]

    @property
    def named(self) -> dict[str, str]:
        """Those among the records that the parameters leave out."""
        return {name: reason for name, reason in self.excluded.items() if reason == NAMED}


def read(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The records of a dataset, several readers' statements made one by its policies.

    Raises:
        InputError: a file names a picture that is not below the dataset's folders; anything that an adapter raises.
    """
    roots = beginnings(native.folder, native.pictures)
    for record in adapter_of(dataset).records(key, dataset, native, problems):
        if not os.path.normpath(record.file).startswith(roots):
            raise InputError(f"{record.where}: {record.file} is not below {native.folder}; expected a picture there")
        yield policies.read(record, dataset)


def intake(key: str, dataset: Dataset, native: Native, problems: Problems) -> Intake:
    """Every record that the store lists, those that are named under `exclude` among them: they keep their rows.

    Raises:
        InputError: anything that contradicts the format, the parameters, or itself.
    """
    listed: list[Record] = []
    excluded: dict[str, str] = {}
    for record in read(key, dataset, native, problems):
        if not taken(record, dataset):
            excluded[record.image] = VIEW
            continue
        if record.image in dataset.exclude:
            excluded[record.image] = NAMED
        listed.append(record)
    if unknown := set(dataset.exclude) - {record.image for record in listed}:
        raise InputError(
            f"datasets.{key}.exclude: {min(unknown)} is no image of the dataset, or of no view taken; remove it"
        )
    if not listed:
        raise InputError(f"datasets.{key}: no image is left of {len(excluded)}; take more views")
    found = Intake(listed, excluded)
    check(key, usable(found, dataset, found.named).records, dataset)
    return found


def taken(record: Record, dataset: Dataset) -> bool:
    """Whether a record is of a view that the dataset takes."""
    return dataset.views is None or (record.view or "UNKNOWN") in dataset.views


def usable(of: Intake, dataset: Dataset, wrong: dict[str, str]) -> Intake:
    """The intake without what is said of some images, named with the reason: these train and test nothing.

    A test set is one whatever its release says.
    """
    records = [
        _without(record)
        if record.image in wrong
        else replace(record, split=Split.TEST)
        if dataset.test_only
        else record
        for record in of.records
    ]
    return Intake(records, of.excluded | wrong)


def check(key: str, records: list[Record], dataset: Dataset) -> None:
    """Each task has annotated images, and no study is of two patients.

    Raises:
        InputError: otherwise.
    """
    of: dict[str, Record] = {}
    for record in records:
        if record.study is not None and (before := of.setdefault(record.study, record)).patient != record.patient:
            raise InputError(
                f"{record.where}: study {record.study} is of patient {record.patient} here and of {before.patient} at"
                f" {before.where}; correct one of them"
            )
    for task in dataset.tasks:
        if not any(annotated(record, task) for record in records):
            raise InputError(f"datasets.{key}: no image is annotated for {task}; remove the task from params")


def annotated(record: Record, task: Task) -> bool:
    """Whether an image says anything for a task."""
    known = {Task.CLASSIFICATION: record.labels, Task.LOCALIZATION: record.boxes, Task.SEGMENTATION: record.masks}
    return known[task] is not None


def _without(record: Record) -> Record:
    return replace(record, split=None, labels=None, boxes=None, masks=None)
