"""Test metrics of all trainings on few images, from their saved predictions; the mean over draws, with its interval."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Self

import numpy as np
import pandas as pd

from fxcore import provenance
from fxcore.data.store import OpenStores, Store
from fxcore.errors import InputError
from fxcore.evaluation.bootstrap import Statistic, estimate
from fxcore.evaluation.evaluate import number
from fxcore.evaluation.headline import headline
from fxcore.evaluation.statistics import metrics
from fxcore.files import write_json
from fxcore.passes import Split, Task
from fxcore.seeding import derive
from fxcore.slices.few_shot import FewShotMetricsSlice, FewShotSlice


@dataclass(frozen=True, slots=True)
class Trained:
    """Test predictions of a run's trainings on few images, and how they were made."""

    table: pd.DataFrame
    how: FewShotSlice
    dataset: str
    task: Task

    @classmethod
    def read(cls, predictions: Path) -> Self:
        """What `few_shot` wrote.

        Raises:
            InputError: it is not readable.
        """
        try:
            how = FewShotSlice.model_validate(json.loads(predictions.with_suffix(".json").read_text())["params"])
            ((dataset, (task,)),) = how.train.visits
            return cls(pd.read_parquet(predictions), how, dataset, task)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{predictions}: not readable predictions ({error}); make them again with: snakemake --cores all --force --"
                f" {predictions}"
            ) from error

    def statistics(self, store: Store) -> dict[int, list[Statistic]]:
        """By number of training images, the headline metric of every draw as a function of image weights."""
        heads, rows = store.heads((self.task,)), store.rows(self.task, Split.TEST)
        how = self.how.score
        found: dict[int, list[Statistic]] = {}
        for samples in self.how.samples:
            for draw in range(1, self.how.draws + 1):
                table = self.table[(self.table["samples"] == samples) & (self.table["draw"] == draw)]
                of = metrics(self.task, table, store, heads, rows, how.iou, how.detections)
                found.setdefault(samples, []).append(of[headline(self.task, how.iou)])
        return found


def evaluate_few_shot(
    slice_: FewShotMetricsSlice, predictions: Mapping[str, Path], stores: OpenStores, output: Path
) -> None:
    """Write run → number of training images → the mean over draws with its interval, every draw, and differences from other runs.

    Intervals are of the test images: whole patients are resampled, the draws stay. The spread of the draws stands apart, as `sd`.
    Differences are to the runs of the same dataset and task, paired by image.

    Raises:
        InputError: predictions that cannot be read.
    """
    runs = {name: Trained.read(path) for name, path in predictions.items()}
    opened = stores({one.dataset for one in runs.values()})
    compared = [Compared(slice_, one, opened[one.dataset]) for one in runs.values()]
    found = {
        name: one.evaluate({key: other for key, other in zip(runs, compared, strict=True) if key != name})
        for name, one in zip(runs, compared, strict=True)
    }
    write_json(output, {"provenance": provenance.describe(slice_), "runs": found})


class Compared:
    """The trainings of one run, as functions of image weights."""

    def __init__(self, slice_: FewShotMetricsSlice, trained: Trained, store: Store) -> None:
        self.slice, self.trained = slice_, trained
        self.cell = (trained.dataset, trained.task)
        rows = store.rows(trained.task, Split.TEST)
        self.patients = store.table["patient"].to_numpy()[rows]
        self.statistics = trained.statistics(store)

    def evaluate(self, others: Mapping[str, Compared]) -> dict[str, Any]:
        """What is written of one run."""
        dataset, task = self.cell
        beside = {name: other for name, other in others.items() if other.cell == self.cell}
        return {
            "dataset": dataset,
            "task": str(task),
            "metric": headline(task, self.trained.how.score.iou),
            "images": len(self.patients),
            "patients": len(np.unique(self.patients)),
            "samples": {str(samples): self._samples(samples, beside) for samples in self.statistics},
        }

    def _samples(self, samples: int, beside: Mapping[str, Compared]) -> dict[str, Any]:
        ones = np.ones(len(self.patients))
        draws = [one(ones) for one in self.statistics[samples]]
        mean = self._mean(samples)
        differences = {
            name: self._interval(_difference(mean, other._mean(samples)))
            for name, other in beside.items()
            if samples in other.statistics
        }
        return {
            **self._interval(mean),
            "draws": [number(value) for value in draws],
            "sd": number(stdev(draws)) if len(draws) > 1 else None,
            "differences": differences,
        }

    def _mean(self, samples: int) -> Statistic:
        """Over the draws."""
        of = self.statistics[samples]
        return lambda weights: fmean(one(weights) for one in of)

    def _interval(self, statistic: Statistic) -> dict[str, float | None]:
        """A statistic with its interval, under the same resamples as every other of this dataset and task."""
        seed = derive("bootstrap", *self.cell)
        made = estimate(statistic, self.patients, self.slice.resamples, self.slice.confidence, seed)
        return {end: number(value) for end, value in made._asdict().items()}


def _difference(ours: Statistic, theirs: Statistic) -> Statistic:
    return lambda weights: ours(weights) - theirs(weights)
