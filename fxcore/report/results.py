"""What lies below a results root, as tables and figures read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fxcore import paths
from fxcore.files import read_json
from fxcore.params.datasets import Dataset
from fxcore.params.runs import Run
from fxcore.passes import Pass, Split
from fxcore.slices.report import FigureSlice, TableSlice
from fxcore.slices.train import run_passes

if TYPE_CHECKING:
    from fxcore.report.drawn import Drawn
    from fxcore.report.render import Table

Shown = TypeVar("Shown", "Table", "Drawn")
OWN, PUBLISHED = "the release's own", "the published"


class Stores:
    """Manifests of an experiment's stores, and what captions say of the datasets."""

    def __init__(self, root: Path, store_size: int, titles: Mapping[str, str]) -> None:
        """Stores of `store_size` below a results root; `titles` of datasets."""
        self.root, self.store_size, self.titles = root, store_size, titles

    def manifest(self, key: str) -> dict[str, Any]:
        """A dataset's manifest."""
        return read_json(paths.store(self.root, key, self.store_size) / "manifest.json")

    def counts(self, key: str) -> dict[str, Any]:
        """What the splits of a dataset count."""
        return read_json(paths.split(self.root, key, "json"))

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
        """Who decided what is validation and what is test, for captions."""
        groups: dict[str, list[str]] = {}
        withheld = 0
        for key in dict.fromkeys(keys):
            counts = self.counts(key)
            groups.setdefault(_splitting(counts), []).append(self.titles[key])
            withheld += sum(counts["withheld"].values())
        parts = (f"{how} ({', '.join(titles)})" for how, titles in groups.items())
        said = "; ".join(parts) if len(groups) > 1 else next(iter(groups), "")
        by_patient = " Where a release names no patients, each image counts as one." if set(groups) - {OWN} else ""
        left = (
            f" {withheld:,} images are in no split, so that nothing is tested that was trained on." if withheld else ""
        )
        return f"Split: {said}.{by_patient}{left}"


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

    @property
    def cycle(self) -> tuple[Pass, ...]:
        """The passes of one cycle of the joint run, as it trains them."""
        _, run = self.joint
        of = run.train
        return run_passes(run.order, of.lock, self.slice.pretrain.lock_fraction, 1, of.repeats, of.tune)

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


class FigureResults(Results):
    """The same, with what figures know besides."""

    slice: FigureSlice

    def __init__(self, root: Path, slice_: FigureSlice) -> None:
        super().__init__(root, slice_)


def captioned(made: Shown, left_out: Sequence[str], leaky: Sequence[str] = ()) -> Shown:
    """A table or figure whose caption also says which datasets were left out, and which runs test what they have seen in training."""
    words = [made.caption, *leaky]
    if left_out:
        words.append(f"Left out of the experiment, since their files are not there: {', '.join(left_out)}.")
    return replace(made, caption=" ".join(words))


def percent(column: str, found: Mapping[str, Any]) -> dict[str, float | None]:
    """A column's value and interval in percent; None where there is none."""
    numbers = {"": found.get("value"), "_low": found.get("low"), "_high": found.get("high")}
    return {f"{column}{end}": None if number is None else round(100 * number, 2) for end, number in numbers.items()}


def _splitting(counts: Mapping[str, Any]) -> str:
    """Which splits are those of a list, the release's own or a published one, and which fxcore assigns (`fxcore/data/assign.py`)."""
    listed = set(counts["listed"])
    if Split.TEST not in listed:
        return "validation and test held out by patient"
    whose = PUBLISHED if counts["policy"] == "published" else OWN
    return whose if Split.VAL in listed else f"{whose} test set, validation held out by patient"
