"""Training, validation and test where a release does not say: whole groups (patients), chosen by a hash of their name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fxcore.data.records import Record
from fxcore.params.datasets import Dataset, Holdout
from fxcore.passes import Split
from fxcore.seeding import derive


def assign(records: Sequence[Record], dataset: Dataset) -> list[Record]:
    """Records with a split each.

    A test set has no other split. A release without splits gives `holdout.test` and `holdout.val` of its groups to test and
    validation; one with training and test images only gives `holdout.val` of its training groups to validation. What a release
    says otherwise stays. The choice depends on the groups' names alone, so that datasets that share groups mostly agree, and an
    added group moves at most one other.
    """
    if dataset.test_only:
        return [replace(record, split=Split.TEST) for record in records]
    given = {record.split for record in records}
    holdout = _holdout(dataset, None in given and Split.TEST not in given)
    moved: dict[str, Split] = {}
    if None in given:
        free = _shuffled(record for record in records if record.split is None)
        tests = 0 if Split.TEST in given else round(holdout.test * len(free))
        moved = dict.fromkeys(free[:tests], Split.TEST)
        rest = free[tests:]
        vals = 0 if Split.VAL in given else round(holdout.val * len(free))
    else:
        rest = _shuffled(record for record in records if record.split is Split.TRAIN)
        vals = 0 if Split.VAL in given else round(holdout.val * len(rest))
    moved |= dict.fromkeys(rest[:vals], Split.VAL) | dict.fromkeys(rest[vals:], Split.TRAIN)
    return [
        record
        if record.split in (Split.VAL, Split.TEST)
        else replace(record, split=moved.get(record.group, record.split))
        for record in records
    ]


def _holdout(dataset: Dataset, all_free: bool) -> Holdout:
    """The parts that are held out; of phantoms, such that each split has the number of images asked for."""
    if dataset.phantom is None:
        return dataset.holdout
    train, val, test = (dataset.phantom[split] for split in Split)
    whole = train + val + test
    return Holdout(val=val / (whole if all_free else train + val), test=test / whole)


def _shuffled(records: Iterable[Record]) -> list[str]:
    units = {record.group for record in records}
    return sorted(units, key=lambda unit: derive("split", unit))
