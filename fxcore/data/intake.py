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
from fxcore.passes import Split, Task

NAMED, VIEW = "named under exclude", "view not taken"


@dataclass(frozen=True, slots=True)
class Intake:
    """Records with a split each, and the images left out with the reason."""

    records: list[Record]
    excluded: dict[str, str]


def read(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The records of a dataset, several readers' statements made one by its policies."""
    for record in adapter_of(dataset).records(key, dataset, native, problems):
        yield policies.read(record, dataset)


def intake(key: str, dataset: Dataset, native: Native, problems: Problems) -> Intake:
    """Every record that the store takes.

    Raises:
        InputError: anything that contradicts the format, the parameters, or itself.
    """
    taken: list[Record] = []
    excluded: dict[str, str] = {}
    unknown = set(dataset.exclude)
    for record in read(key, dataset, native, problems):
        unknown.discard(record.image)
        if record.image in dataset.exclude:
            excluded[record.image] = NAMED
        elif dataset.views is not None and (record.view or "UNKNOWN") not in dataset.views:
            excluded[record.image] = VIEW
        else:
            taken.append(record)
    if unknown:
        raise InputError(f"datasets.{key}.exclude: {min(unknown)} is no image of the dataset; remove it")
    if not taken:
        raise InputError(f"datasets.{key}: no image is left of {len(excluded)}; take more views or exclude fewer")
    records = splits.assign(key, taken, dataset)
    _check(key, records, dataset)
    return Intake(records, excluded)


def _check(key: str, records: list[Record], dataset: Dataset) -> None:
    """Each task has annotated images in each split, and no patient is in two splits."""
    home: dict[str, Record] = {}
    for record in records:
        if record.patient is None:
            continue
        before = home.setdefault(record.patient, record)
        if before.split is not record.split:
            raise InputError(
                f"{record.where}: patient {record.patient} is in {record.split} here and in {before.split} at {before.where};"
                " keep a patient in one split"
            )
    for task in dataset.tasks:
        counts = Counter(record.split for record in records if annotated(record, task))
        if empty := [split for split in Split if not counts[split]]:
            raise InputError(
                f"datasets.{key}: split {empty[0]} has no image annotated for {task}; annotate one, hold out more, or remove"
                " the task from params"
            )


def annotated(record: Record, task: Task) -> bool:
    """Whether an image says anything for a task."""
    known = {Task.CLASSIFICATION: record.labels, Task.LOCALIZATION: record.boxes, Task.SEGMENTATION: record.masks}
    return known[task] is not None


def without(record: Record) -> Record:
    """A record of a picture that cannot be used: it stays in the list, annotated for nothing."""
    return replace(record, labels=None, boxes=None, masks=None)
