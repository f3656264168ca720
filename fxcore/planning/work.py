"""How much work an experiment is: counted where images are split, expected where only the registry knows a dataset's size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fxcore import paths
from fxcore.errors import InputError
from fxcore.files import read_json
from fxcore.params.experiment import Params
from fxcore.params.families import rule
from fxcore.params.registry import registry
from fxcore.passes import Pass, Split, Task
from fxcore.slices.make import train_slice


@dataclass(frozen=True, slots=True)
class Images:
    """A number of images; `expected` if nobody has counted them yet."""

    number: int
    expected: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """Updates and the images they see, repeats counted; `expected` if a dataset among them is not counted yet."""

    updates: int = 0
    images: int = 0
    expected: bool = False

    def __add__(self, other: Self) -> Work:
        return Work(self.updates + other.updates, self.images + other.images, self.expected or other.expected)


class Sizes:
    """How many images the datasets of an experiment have; looks at each store once."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self._manifests: dict[str, Mapping[str, Any] | None] = {}
        self._batch_sizes: dict[str, int] = {}

    def counts(self, key: str) -> Mapping[str, Any] | None:
        """What the splits of a dataset count; None before they are made."""
        if key not in self._manifests:
            path = paths.split(Path(self.params.results_root), key, "json")
            try:
                self._manifests[key] = read_json(path)
            except InputError:  # not there yet, or damaged: a job that needs them says so, planning must go on
                self._manifests[key] = None
        return self._manifests[key]

    def _before(self, key: str) -> tuple[Mapping[Split, int], bool] | None:
        """Images by split before they are split, and whether they are only expected: of a phantom they are given."""
        dataset = self.params.datasets[key]
        known = registry().get(key) or registry().get(dataset.adapter)  # several may be read from one release
        if dataset.phantom:
            return dataset.phantom, False
        return (known.images(rule(self.params, key)["holdout"]), True) if known else None

    def annotated(self, key: str, task: Task, split: Split = Split.TRAIN) -> Images | None:
        """Images of a split annotated for a task; before they are counted all of the split; None where nothing is known."""
        if counts := self.counts(key):
            return Images(counts["annotated"][task][split])
        before = self._before(key)
        return before and Images(before[0].get(split, 0), before[1])

    def all(self, key: str) -> Images | None:
        """Images of all splits; None where nothing is known."""
        if counts := self.counts(key):
            return Images(sum(counts["images"].values()))
        before = self._before(key)
        return before and Images(sum(before[0].values()), before[1])

    def work(self, run: str, of: Iterable[Pass]) -> Work | None:
        """Of some passes of a run; None while the size of a dataset is unknown."""
        if run not in self._batch_sizes:
            self._batch_sizes[run] = self.params.pretraining(run).batch_size
        size, total = self._batch_sizes[run], Work()
        for one in of:
            images = self.annotated(one.dataset, one.task)
            if images is None:
                return None
            updates = one.updates(images.number, size)
            total += Work(updates, updates * min(size, images.number), images.expected)
        return total

    def scored(self, run: str) -> int | None:
        """Images that scoring a run predicts, at most, repeats counted; None while the size of a dataset is unknown."""
        slice_, cycles = train_slice(self.params, run), self.params.trained[run].train.cycles
        kept = [one.passes[-1].cycle + 1 for one in slice_.stages(cycles) if one.kept(slice_.keep_every)]
        tried = len({cycles, *(one for one in kept if one % self.params.evaluate.every == 0)})
        branches = 1 if slice_.momentum is None else 2
        followed = sum(map(slice_.snaps, slice_.passes(cycles)))
        cells = [(name, task) for name, tasks in slice_.visits for task in tasks]
        watched = [
            (name, task) for name, tasks in (slice_.snapshots.cells if slice_.snapshots else ()) for task in tasks
        ]
        total = 0
        for split, of, times in (
            (Split.VAL, cells, tried * branches),
            (Split.VAL, watched, followed),
            (Split.TEST, cells, branches + 1),  # what was chosen, and the untrained network
        ):
            for name, task in of:
                images = self.annotated(name, task, split)
                if images is None:
                    return None
                total += times * images.number
        return total
