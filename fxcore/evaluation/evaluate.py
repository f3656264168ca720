"""Test metrics of a run from its saved predictions, each with its interval."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from fxcore import provenance
from fxcore.data.store import OpenStores, Store
from fxcore.errors import InputError
from fxcore.evaluation.bootstrap import ClassMean, Statistic, estimate
from fxcore.evaluation.headline import headline
from fxcore.evaluation.statistics import UNTRAINED, metrics, standing
from fxcore.files import write_json
from fxcore.passes import Split, Task
from fxcore.seeding import derive
from fxcore.slices.evaluate import EvaluateSlice, ScoreSlice

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scored:
    """Test predictions of a run, what validation chose (dataset → task → branch → cycle, and the choice), how, and images seen."""

    table: pd.DataFrame
    chosen: Mapping[str, Mapping[str, Mapping[str, Any]]]
    how: ScoreSlice
    seen: Mapping[str, Mapping[str, int]]

    @classmethod
    def read(cls, predictions: Path, choice: Path) -> Self:
        """What `score` wrote.

        Raises:
            InputError: it is not readable.
        """
        try:
            table = pd.read_parquet(predictions)
            facts = json.loads(choice.read_text(encoding="utf-8"))
            how = ScoreSlice.model_validate(facts["params"])
            return cls(table[table["split"] == Split.TEST], facts["chosen"], how, facts["seen"])
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{predictions}: not readable predictions ({error}); make them again with: snakemake --cores all --force --"
                f" {predictions}"
            ) from error

    def has(self, name: str, task: str) -> bool:
        """Whether the run was scored on a dataset and task."""
        return task in self.chosen.get(name, {})

    def of(self, name: str, task: str, branch: str) -> pd.DataFrame:
        """The predictions of a branch for a dataset and task."""
        table = self.table
        return table[(table["dataset"] == name) & (table["task"] == task) & (table["branch"] == branch)]


def evaluate(slice_: EvaluateSlice, scored: Callable[[str], Scored], stores: OpenStores, output: Path) -> None:
    """Write dataset → task → branch → metric with `value, low, high` (0..1, null where undefined), counts and classes.

    The teacher's headline (without one, the student's) is also compared, paired by image: `gain` is what it has over the untrained
    network, where that one was scored; `difference` over the first run of `slice_.against` that has the dataset and task.
    `scored` reads what was predicted for a run.

    Raises:
        InputError: predictions that do not cover the test images.
    """
    mine, others = scored(slice_.run), {run: scored(run) for run in slice_.against}
    opened = stores(mine.chosen)
    results: dict[str, Any] = {}
    for name, of_tasks in mine.chosen.items():
        for task in of_tasks:
            cell = Cell(slice_, mine, name, Task(task), opened[name])
            results.setdefault(name, {})[task] = cell.evaluate(others)
        log.info("evaluate %s: %s done", slice_.run, name)
    write_json(output, {"provenance": provenance.describe(slice_), "seen": mine.seen, "test": results})


class Cell:
    """The test images of one dataset and task."""

    def __init__(self, slice_: EvaluateSlice, mine: Scored, name: str, task: Task, store: Store) -> None:
        """`mine` are the predictions that are evaluated."""
        self.slice, self.mine, self.name, self.task, self.store = slice_, mine, name, task, store
        self.how = mine.how
        self.heads, self.rows = store.heads((task,)), store.rows(task, Split.TEST)
        self.patients = store.table["patient"].to_numpy()[self.rows]
        # The same resamples for every run, whatever its seed.
        self.seed = derive("bootstrap", name, task)

    def evaluate(self, others: Mapping[str, Scored]) -> dict[str, Any]:
        """Metrics of every branch, and how the one that stands for the run compares."""
        chosen = self.mine.chosen[self.name][self.task]
        cycles = {branch: cycle for branch, cycle in chosen.items() if branch != "choice"}
        branches = (*cycles, *([UNTRAINED] if self.how.untrained else []))
        statistics = {branch: self.statistics(self.mine, branch) for branch in branches}
        main = headline(self.task, self.how.iou)
        found: dict[str, Any] = {"metric": main, "choice": chosen["choice"]}
        for branch, of_branch in statistics.items():
            counts = {
                "images": len(self.rows),
                "patients": len(np.unique(self.patients)),
                "cycle": cycles.get(branch, 0),
            }
            found[branch] = counts | {metric: self._metric(one) for metric, one in of_branch.items()}
        trained = statistics[standing(cycles)][main]
        if self.how.untrained:
            found["gain"] = self._over(trained, statistics[UNTRAINED][main])
        for run, other in others.items():
            if other.has(self.name, self.task):
                theirs = self.statistics(other, standing(other.chosen[self.name][self.task]))[main]
                found["difference"] = {"run": run, **self._over(trained, theirs)}
                break
        return found

    def _over(self, ours: Statistic, theirs: Statistic) -> dict[str, float | None]:
        """What one statistic has over another, paired by image."""
        return self._interval(lambda weights: ours(weights) - theirs(weights))

    def statistics(self, of: Scored, branch: str) -> dict[str, ClassMean]:
        """Metrics of one branch's predictions as functions of image weights.

        Raises:
            InputError: they are of other images than the test split.
        """
        predictions = of.of(self.name, self.task, branch)
        if self.task is not Task.LOCALIZATION and set(predictions["row"]) != set(self.rows):
            raise InputError(
                f"{self.slice.run}: predictions for {self.name} {self.task} are of other images than the test split;"
                " score the run again"
            )
        return metrics(self.task, predictions, self.store, self.heads, self.rows, self.how.iou, self.how.detections)

    def _metric(self, statistic: ClassMean) -> dict[str, Any]:
        ones = np.ones(len(self.rows))
        names = self.heads.reported(self.task)
        classes = {label: number(one(ones)) for label, one in zip(names, statistic.classes, strict=True)}
        undefined = [label for label, one in classes.items() if one is None]
        return self._interval(statistic) | {"classes": classes, "undefined": undefined}

    def _interval(self, statistic: Statistic) -> dict[str, float | None]:
        found = estimate(statistic, self.patients, self.slice.resamples, self.slice.confidence, self.seed)
        return {name: number(value) for name, value in found._asdict().items()}


def number(value: float) -> float | None:
    """For JSON, to six digits; None where a statistic is undefined."""
    return None if math.isnan(value) else round(value, 6)
