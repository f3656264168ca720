"""From native files to the records of a store: read, one statement an image, left out what parameters leave out, split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fxcore.data import policies, splits
from fxcore.data.native import Native, Problems, adapter_of
from fxcore.data.records import Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

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
    """The records of a dataset, several readers' statements made one by its policies."""
    for record in adapter_of(dataset).records(key, dataset, native, problems):
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
    """The intake with a split for each record but some, named with the reason: these are in no split and annotated for nothing."""
    good = iter(splits.assign([record for record in of.records if record.image not in wrong], dataset))
    records = [_without(record) if record.image in wrong else next(good) for record in of.records]
    return Intake(records, of.excluded | wrong)


def check(key: str, records: list[Record], dataset: Dataset) -> None:
    """Each task has annotated images in each split, no patient or study is in two splits, and no study is of two patients.

    Raises:
        InputError: otherwise.
    """
    homes: dict[tuple[str, str], Record] = {}
    for record in records:
        for what, name in (("study", record.study), ("patient", record.patient)):
            if name is not None and record.split is not None:
                _together(what, name, homes.setdefault((what, name), record), record)
    for task in dataset.tasks:
        counts = Counter(record.split for record in records if annotated(record, task))
        if empty := [split for split in dataset.splits if not counts[split]]:
            raise InputError(
                f"datasets.{key}: split {empty[0]} has no image annotated for {task}; annotate one, hold out more, or remove"
                " the task from params"
            )


def _together(what: str, name: str, before: Record, record: Record) -> None:
    """Refuse two images of one patient or study in two splits, and of one study of two patients."""
    if what == "study" and before.patient != record.patient:
        raise InputError(
            f"{record.where}: study {name} is of patient {record.patient} here and of {before.patient} at {before.where};"
            " correct one of them"
        )
    if before.split is not record.split:
        raise InputError(
            f"{record.where}: {what} {name} is in {record.split} here and in {before.split} at {before.where};"
            f" keep a {what} in one split"
        )


def annotated(record: Record, task: Task) -> bool:
    """Whether an image says anything for a task."""
    known = {Task.CLASSIFICATION: record.labels, Task.LOCALIZATION: record.boxes, Task.SEGMENTATION: record.masks}
    return known[task] is not None


def _without(record: Record) -> Record:
    return replace(record, split=None, labels=None, boxes=None, masks=None)
