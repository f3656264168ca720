"""Test metrics of a run from its saved predictions, each with its interval."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fxcore import provenance
from fxcore.data.store import OpenStores, Store
from fxcore.errors import InputError
from fxcore.evaluation.bootstrap import ClassMean, Statistic, estimate
from fxcore.evaluation.headline import headline
from fxcore.evaluation.statistics import UNTRAINED, metrics
from fxcore.files import write_json
from fxcore.passes import Split, Task
from fxcore.seeding import derive
from fxcore.slices.evaluate import EvaluateSlice, ScoreSlice

log = logging.getLogger(__name__)


def evaluate(
    slice_: EvaluateSlice,
    predictions: Path,
    choice: Path,
    stores: OpenStores,
    output: Path,
) -> None:
    """Write dataset → task → branch → metric with `value, low, high` (0..1, null where undefined), counts and classes.

    `gain` is the teacher's (without one, the student's) headline minus that of the untrained network, paired by image; where that
    one was scored.

    Raises:
        InputError: predictions that do not cover the test images.
    """
    try:
        table = pd.read_parquet(predictions)
        facts = json.loads(choice.read_text(encoding="utf-8"))
        chosen: dict[str, dict[str, dict[str, Any]]] = facts["chosen"]
        how = ScoreSlice.model_validate(facts["params"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{predictions}: not readable predictions ({error}); make them again with: snakemake --cores all --force -- {predictions}"
        ) from error
    table = table[table["split"] == Split.TEST]
    opened = stores(chosen)
    results: dict[str, Any] = {}
    for name, of_tasks in chosen.items():
        for task, of_cell in of_tasks.items():
            mine = table[(table["dataset"] == name) & (table["task"] == task)]
            cell = Cell(slice_, how, name, Task(task), opened[name])
            results.setdefault(name, {})[task] = cell.evaluate(mine, of_cell)
        log.info("evaluate %s: %s done", slice_.run, name)
    write_json(output, {"provenance": provenance.describe(slice_), "seen": facts["seen"], "test": results})


class Cell:
    """The test images of one dataset and task."""

    def __init__(self, slice_: EvaluateSlice, how: ScoreSlice, name: str, task: Task, store: Store) -> None:
        """`how` is what the predictions were chosen by, and what the metrics are."""
        self.slice, self.how, self.name, self.task, self.store = slice_, how, name, task, store
        self.heads, self.rows = store.heads((task,)), store.rows(task, Split.TEST)
        self.patients = store.table["patient"].to_numpy()[self.rows]
        # The same resamples for every run, whatever its seed.
        self.seed = derive("bootstrap", name, task)

    def evaluate(self, predictions: pd.DataFrame, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Metrics of every branch; `chosen` has the cycle of each trained branch, and which did best on validation."""
        cycles = {branch: cycle for branch, cycle in chosen.items() if branch != "choice"}
        branches = (*cycles, *([UNTRAINED] if self.how.untrained else []))
        statistics = {branch: self.statistics(predictions[predictions["branch"] == branch]) for branch in branches}
        main = headline(self.task, self.how.iou)
        found: dict[str, Any] = {"metric": main, "choice": chosen["choice"]}
        for branch, of_branch in statistics.items():
            counts = {
                "images": len(self.rows),
                "patients": len(np.unique(self.patients)),
                "cycle": cycles.get(branch, 0),
            }
            found[branch] = counts | {metric: self._metric(one) for metric, one in of_branch.items()}
        if self.how.untrained:
            trained = statistics["teacher" if "teacher" in cycles else "student"][main]
            floor = statistics[UNTRAINED][main]
            found["gain"] = self._interval(lambda weights: trained(weights) - floor(weights))
        return found

    def statistics(self, predictions: pd.DataFrame) -> dict[str, ClassMean]:
        """Metrics of one branch's predictions as functions of image weights.

        Raises:
            InputError: they are of other images than the test split.
        """
        if self.task is not Task.LOCALIZATION and set(predictions["row"]) != set(self.rows):
            raise InputError(
                f"{self.slice.run}: predictions for {self.name} {self.task} are of other images than the test split;"
                " score the run again"
            )
        return metrics(self.task, predictions, self.store, self.heads, self.rows, self.how.iou, self.how.detections)

    def _metric(self, statistic: ClassMean) -> dict[str, Any]:
        ones = np.ones(len(self.rows))
        names = self.heads.reported(self.task)
        classes = {label: _number(one(ones)) for label, one in zip(names, statistic.classes, strict=True)}
        undefined = [label for label, one in classes.items() if one is None]
        return self._interval(statistic) | {"classes": classes, "undefined": undefined}

    def _interval(self, statistic: Statistic) -> dict[str, float | None]:
        found = estimate(statistic, self.patients, self.slice.resamples, self.slice.confidence, self.seed)
        return {name: _number(value) for name, value in found._asdict().items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
