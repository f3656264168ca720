"""What lies below a results root, as tables and figures read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fxcore import paths
from fxcore.files import read_json
from fxcore.params.datasets import Dataset
from fxcore.params.registry import registry
from fxcore.params.runs import Run
from fxcore.passes import Split
from fxcore.slices.report import TableSlice

OWN = "the release's own"


class Stores:
    """Manifests of an experiment's stores, and what captions say of the datasets."""

    def __init__(self, root: Path, store_size: int, titles: Mapping[str, str]) -> None:
        """Stores of `store_size` below a results root; `titles` of datasets."""
        self.root, self.store_size, self.titles = root, store_size, titles

    def manifest(self, key: str) -> dict[str, Any]:
        """A dataset's manifest."""
        return read_json(paths.store(self.root, key, self.store_size) / "manifest.json")

    def dataset(self, key: str) -> Dataset:
        """A dataset's block of the parameters, as its store was made with."""
        return Dataset.model_validate(self.manifest(key)["params"]["dataset"])

    def kind(self, keys: Iterable[str]) -> str:
        """What the pictures are, for captions."""
        kinds = {bool(self.manifest(key)["synthetic"]) for key in keys}
        if kinds == {True}:
            return "Phantom data: synthetic pictures, not radiographs."
        return "Real radiographs." if kinds == {False} else "Phantom and real datasets, as marked."

    def named(self, keys: Iterable[str]) -> str:
        """Titles of datasets, each once."""
        return ", ".join(dict.fromkeys(self.titles[key] for key in keys))

    def split(self, keys: Iterable[str]) -> str:
        """Who decided what is validation and what is test, for captions.

        The manifest does not say; it follows from the format of the release: an index has a column for it, and of the known formats
        the registry says which splits a release has.
        """
        groups: dict[str, list[str]] = {}
        for key in dict.fromkeys(keys):
            groups.setdefault(_splitting(self.dataset(key)), []).append(self.titles[key])
        parts = (f"{how} ({', '.join(titles)})" for how, titles in groups.items())
        said = "; ".join(parts) if len(groups) > 1 else next(iter(groups), "")
        by_patient = " Where a release names no patients, each image counts as one." if set(groups) - {OWN} else ""
        return f"Split: {said}.{by_patient}"


class Results(Stores):
    """Artifacts of one experiment."""

    def __init__(self, root: Path, slice_: TableSlice) -> None:
        super().__init__(root, slice_.store_size, slice_.titles)
        self.slice = slice_

    @property
    def visited(self) -> list[str]:
        """Datasets that a run trains on; the CXR-LT study has tables of its own."""
        named = {key for run in self.slice.runs.values() for key in run.train.visits}
        return [key for key in self.titles if key in named]

    @property
    def joint(self) -> tuple[str, Run]:
        """The run that the tables are about."""
        return next((name, run) for name, run in self.slice.runs.items() if run.role == "joint")

    def baseline(self, dataset: str, task: str) -> str | None:
        """The single-task run of a dataset and task, if there is one."""
        return next(
            (
                name
                for name, run in self.slice.runs.items()
                if run.role == "baseline" and run.train.visits == {dataset: (task,)}
            ),
            None,
        )

    def metrics(self, run: str) -> dict[str, Any]:
        """A run's test metrics: dataset → task → branch."""
        found: dict[str, Any] = read_json(paths.metrics(self.root, run))["test"]
        return found

    def seen(self, run: str) -> dict[str, dict[str, int]]:
        """Training images that a run saw: dataset → task → number, repeats counted."""
        found: dict[str, dict[str, int]] = read_json(paths.metrics(self.root, run))["seen"]
        return found

    def few_shot(self) -> dict[str, Any]:
        """Test metrics of trainings on few images: run → its dataset and task, and by number of images the mean over draws."""
        found: dict[str, Any] = read_json(paths.few_shot_metrics(self.root))["runs"]
        return found

    def choice(self, run: str) -> dict[str, Any]:
        """What validation chose for a run, among what, and its snapshots."""
        return read_json(paths.choice(self.root, run))


def percent(column: str, found: Mapping[str, Any]) -> dict[str, float | None]:
    """A column's value and interval in percent; None where there is none."""
    numbers = {"": found.get("value"), "_low": found.get("low"), "_high": found.get("high")}
    return {f"{column}{end}": None if number is None else round(100 * number, 2) for end, number in numbers.items()}


def _splitting(dataset: Dataset) -> str:
    """Which splits are the release's own and which fxcore assigns (`fxcore/data/splits.py`)."""
    known = registry().get(dataset.adapter)
    given = set(Split) if known is None else set(known.expected.splits)
    if Split.TEST not in given:
        return "validation and test held out by patient"
    return OWN if Split.VAL in given else "the release's own test set, validation held out by patient"
