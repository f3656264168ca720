"""Test metrics of a run from its saved predictions, each with its interval."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import provenance, tablefile
from fxcore.data.store import OpenStores, Store, groups
from fxcore.errors import InputError
from fxcore.evaluation.bootstrap import Statistic, Values, class_mean, interval, replicates
from fxcore.evaluation.classification import Labelled
from fxcore.evaluation.metric import Metric
from fxcore.evaluation.statistics import UNTRAINED, Measured, standing
from fxcore.files import read_json, write_json
from fxcore.passes import Split, Task
from fxcore.seeding import derive
from fxcore.slices.evaluate import EvaluateSlice, ScoreSlice

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions of a run, by dataset, task, branch and split.

    Beside them: what validation chose (dataset → task → branch → cycle, and the choice), how, and images seen.
    """

    tables: Mapping[tuple[str, str, str, str], pd.DataFrame]
    chosen: Mapping[str, Mapping[str, Mapping[str, Any]]]
    how: ScoreSlice
    seen: Mapping[str, Mapping[str, int]]

    @classmethod
    def read(cls, predictions: Path, choice: Path) -> Self:
        """What `score` wrote.

        Raises:
            InputError: it is not readable.
        """
        tables = dict(list(tablefile.read(predictions).groupby(["dataset", "task", "branch", "split"])))
        facts = read_json(choice)
        return cls(tables, facts["chosen"], ScoreSlice.model_validate(facts["params"]), facts["seen"])

    def has(self, name: str, task: str) -> bool:
        """Whether the run was scored on a dataset and task."""
        return task in self.chosen.get(name, {})

    def of(self, name: str, task: str, branch: str, split: Split = Split.TEST) -> pd.DataFrame:
        """The predictions of a branch for a dataset and task; no rows where there are none."""
        some = next(iter(self.tables.values()))
        return self.tables.get((name, task, branch, split), some.iloc[:0])


def evaluate(slice_: EvaluateSlice, scored: Callable[[str], Scored], stores: OpenStores, output: Path) -> None:
    """Write dataset → task → branch → metric.

    A metric is `value, low, high` (null where undefined), the same of each class under `classes`, and under `undefined` why a
    class has no value. The headline of the teacher (without one, the student) is also compared, paired by image: `gain` is what it
    has over the untrained network, where that one was scored; `parts` are the headline of test images of groups `seen` in training and
    of the `unseen`, where there are any that were seen; `differences` over each run of `slice_.against` that has the dataset
    and task. `scored` reads what was predicted for a run.

    Raises:
        InputError: predictions that do not cover the images.
    """
    mine, others = scored(slice_.run), {run: scored(run) for run in slice_.against}
    opened = stores(mine.chosen)
    results: dict[str, Any] = {}
    trained = {group for store in opened.values() for group in groups(store.table, Split.TRAIN)}
    for name, of_tasks in mine.chosen.items():
        for task in of_tasks:
            cell = Cell(slice_, mine, name, Task(task), opened[name], trained)
            results.setdefault(name, {})[task] = cell.evaluate(others)
        log.info("evaluate %s: %s done", slice_.run, name)
    write_json(output, {"provenance": provenance.describe(slice_), "seen": mine.seen, "test": results})


class Cell:
    """The test images of one dataset and task."""

    def __init__(
        self, slice_: EvaluateSlice, mine: Scored, name: str, task: Task, store: Store, trained: Collection[str] = ()
    ) -> None:
        """`mine` are the predictions that are evaluated; `trained` the groups that the run trains on."""
        self.slice, self.mine, self.name, self.task = slice_, mine, name, task
        heads = store.heads((task,))
        self.test, self.validation = (
            Measured(task, store, heads, split, mine.how) for split in (Split.TEST, Split.VAL)
        )
        self.labels = heads.reported(task)
        self.patients = store.table["patient"].to_numpy()[self.test.rows]
        self.seen = store.table["group"].isin(list(trained)).to_numpy()[self.test.rows]
        # The same resamples for every run, whatever its seed.
        self.seed = derive("bootstrap", name, task)

    def evaluate(self, others: Mapping[str, Scored]) -> dict[str, Any]:
        """Metrics of every branch, and how the one that stands for the run compares."""
        chosen = self.mine.chosen[self.name][self.task]
        cycles = {branch: cycle for branch, cycle in chosen.items() if branch != "choice"}
        branches = (*cycles, *([UNTRAINED] if self.mine.how.untrained else []))
        main, images = self.test.main, {"images": len(self.test.rows), "patients": len(np.unique(self.patients))}
        found: dict[str, Any] = {"metric": main, "choice": chosen["choice"]}
        headlines = {}
        for branch in branches:
            metrics = self.metrics(branch)
            values = self._replicates(metrics)
            headlines[branch] = values[main]
            found[branch] = images | {"cycle": cycles.get(branch, 0)}
            found[branch] |= {name: self._metric(values[name], one) for name, one in metrics.items()}
        if self.seen.any():
            found["parts"] = self._parts(standing(cycles))
        trained = headlines[standing(cycles)]
        if self.mine.how.untrained:
            found["gain"] = self._estimates(trained - headlines[UNTRAINED])
        if those := {run: other for run, other in others.items() if other.has(self.name, self.task)}:
            found["differences"] = {
                run: self._estimates(trained - self._headline(other)) for run, other in those.items()
            }
        return found

    def _parts(self, branch: str) -> dict[str, Any]:
        """The headline of the test images of groups that were seen in training, and of the others."""
        headline = self.test.headline(self._predictions(self.mine, branch))
        found = {}
        for name, of in (("seen", self.seen), ("unseen", ~self.seen)):
            values = self._replicates({"": replace(headline, statistic=_only(headline.statistic, of))})[""]
            found[name] = {"images": int(of.sum())} | self._interval(class_mean(values))
        return found

    def metrics(self, branch: str) -> dict[str, Metric]:
        """All metrics of a branch's predictions."""
        validation = self.mine.of(self.name, self.task, branch, Split.VAL)
        return self.test.metrics(
            self._predictions(self.mine, branch), self._validated(validation) if len(validation) else None
        )

    def _validated(self, predictions: pd.DataFrame) -> Labelled | None:
        return self.validation.labelled(predictions) if self.task is Task.CLASSIFICATION else None

    def _headline(self, other: Scored) -> Values:
        """The headline of the branch that stands for another run."""
        branch = standing(other.chosen[self.name][self.task])
        return self._replicates({"": self.test.headline(self._predictions(other, branch))})[""]

    def _predictions(self, of: Scored, branch: str) -> pd.DataFrame:
        """A branch's predictions for the test images.

        Raises:
            InputError: they are of others.
        """
        predictions = of.of(self.name, self.task, branch)
        if not self.test.covered_by(predictions):
            raise InputError(
                f"{self.slice.run}: predictions for {self.name} {self.task} are of other images than the test split;"
                " score the run again"
            )
        return predictions

    def _replicates(self, metrics: Mapping[str, Metric]) -> dict[str, Values]:
        statistics = {name: one.statistic for name, one in metrics.items()}
        return replicates(statistics, self.patients, self.slice.resamples, self.seed)

    def _metric(self, values: Values, metric: Metric) -> dict[str, Any]:
        undefined = {
            label: why
            for label, why, value in zip(self.labels, metric.reasons, values[0], strict=True)
            if math.isnan(value)
        }
        return self._estimates(values) | {"undefined": undefined}

    def _estimates(self, values: Values) -> dict[str, Any]:
        """The mean over classes with its interval, and each class with its own; of differences, too.

        A difference of means is the mean of differences, over the classes that both runs have a number for.
        """
        classes = {label: self._interval(one) for label, one in zip(self.labels, values.T, strict=True)}
        return self._interval(class_mean(values)) | {"classes": classes}

    def _interval(self, values: Values) -> dict[str, float | None]:
        return estimated(values, self.slice.confidence)


def _only(statistic: Statistic, images: NDArray[np.bool_]) -> Statistic:
    """A statistic of some of the images."""
    return lambda weights: statistic(weights * images)


def estimated(values: NDArray[np.float64], confidence: float) -> dict[str, float | None]:
    """For JSON, `value, low, high` of a value and its replicates."""
    return {name: number(value) for name, value in interval(values, confidence)._asdict().items()}


def number(value: float) -> float | None:
    """For JSON, to six digits; None where a statistic is undefined."""
    return None if math.isnan(value) else round(value, 6)
