"""What the tests of all adapters share: phantoms in a native format, written and read again."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fxcore.data import policies, shapes
from fxcore.data.counts import Counts
from fxcore.data.native import Native, Problems
from fxcore.data.records import Record
from fxcore.params.datasets import Dataset
from fxcore.params.registry import completed
from fxcore.phantom.case import Case
from fxcore.phantom.phantom import drawn
from fxcore.slices.data import PhantomSlice

SPLITS = {"train": 5, "val": 2, "test": 3}


def part(of: str, dataset: Dataset) -> Any:
    """The adapter or the writer of a dataset: a module."""
    return importlib.import_module(f"fxcore.{of}.{dataset.adapter}")


def known(key: str, **changes: Any) -> Dataset:
    """The registry's dataset with changes."""
    return Dataset.model_validate(completed(key, changes))


def records(key: str, dataset: Dataset, folder: Path, problems: Problems | None = None) -> list[Record]:
    """What the adapter says of a folder, pictures included, policies applied."""
    found = part("data.adapters", dataset).records(key, dataset, Native(folder, folder), problems or Problems())
    return [policies.read(one, dataset) for one in found]


def mistakes(key: str, dataset: Dataset, folder: Path) -> list[str]:
    """Every mistake that the adapter finds in a folder."""
    problems = Problems(keep_going=True)
    records(key, dataset, folder, problems)
    return problems.found


@dataclass
class Trip:
    """Phantoms of a dataset in a folder, with what was drawn and what reading them must count."""

    key: str
    dataset: Dataset
    folder: Path
    cases: list[Case]
    expected: Counts

    def records(self) -> list[Record]:
        """What the adapter says."""
        return records(self.key, self.dataset, self.folder)

    def mistakes(self) -> list[str]:
        """What the adapter complains of."""
        return mistakes(self.key, self.dataset, self.folder)

    def files(self) -> tuple[Path, ...]:
        """What the adapter says that it reads."""
        return part("data.adapters", self.dataset).files(self.key, self.dataset, Native(self.folder, self.folder))


def trip(key: str, folder: Path, splits: dict[str, int] | None = None, **changes: Any) -> Trip:
    """Write phantoms of a dataset of the registry into a folder, which is made."""
    dataset = known(key, source="phantom", phantom=splits or SPLITS, **changes)
    cases = list(drawn(PhantomSlice(key=key, dataset=dataset)))
    folder.mkdir(parents=True, exist_ok=True)
    return Trip(
        key,
        dataset,
        folder,
        cases,
        part("phantom.native", dataset).write(cases, dataset, folder),
    )


def counted(found: list[Record]) -> dict[str, Any]:
    """The counts of records, in the form of `Counts.facts`."""
    counts = Counts()
    for one in found:
        boxes = None if one.boxes is None else [box.label for box in one.boxes]
        masks = None if one.masks is None else [mask.label for mask in one.masks]
        counts.add(one.split, one.patient, one.labels, boxes, masks)
    return counts.facts()


def bitmap(record: Record, label: str, height: int, width: int) -> np.ndarray:
    """The masks of a class in one."""
    made = np.zeros((height, width), dtype=bool)
    for mask in record.masks or ():
        if mask.label == label:
            made |= shapes.bitmap(mask, height, width)
    return made
