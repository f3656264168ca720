"""Test metrics of all trainings on few images, from their saved predictions; the mean over draws, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import provenance, tablefile
from fxcore.data.store import OpenStores, Store
from fxcore.evaluation.bootstrap import class_mean, replicates
from fxcore.evaluation.evaluate import estimated, number
from fxcore.evaluation.statistics import Measured
from fxcore.files import read_json, write_json
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
        how = FewShotSlice.model_validate(read_json(predictions.with_suffix(".json"))["params"])
        ((dataset, (task,)),) = how.train.visits
        return cls(tablefile.read(predictions), how, dataset, task)

    def of(self, samples: int) -> list[pd.DataFrame]:
        """The predictions of each draw of that many training images."""
        table = self.table[self.table["samples"] == samples]
        return [table[table["draw"] == draw] for draw in range(1, self.how.draws + 1)]


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
    """The trainings of one run: by number of training images the headline of every draw and resample, (draws, 1 + resamples)."""

    def __init__(self, slice_: FewShotMetricsSlice, trained: Trained, store: Store) -> None:
        self.slice, self.trained = slice_, trained
        self.cell = (trained.dataset, trained.task)
        heads = store.heads((trained.task,))
        self.test = Measured(trained.task, store, heads, Split.TEST, trained.how.score)
        self.patients = store.table["patient"].to_numpy()[self.test.rows]
        self.values = {samples: self._values(trained.of(samples)) for samples in trained.how.samples}

    def _values(self, draws: Sequence[pd.DataFrame]) -> NDArray[np.float64]:
        """Under the same resamples as every other run of this dataset and task."""
        statistics = {str(number): self.test.headline(table).statistic for number, table in enumerate(draws)}
        found = replicates(statistics, self.patients, self.slice.resamples, derive("bootstrap", *self.cell))
        return np.stack([class_mean(values) for values in found.values()])

    def evaluate(self, others: Mapping[str, Compared]) -> dict[str, Any]:
        """What is written of one run."""
        dataset, task = self.cell
        beside = {name: other for name, other in others.items() if other.cell == self.cell}
        return {
            "dataset": dataset,
            "task": str(task),
            "metric": self.test.main,
            "images": len(self.patients),
            "patients": len(np.unique(self.patients)),
            "samples": {str(samples): self._samples(samples, beside) for samples in self.values},
        }

    def _samples(self, samples: int, beside: Mapping[str, Compared]) -> dict[str, Any]:
        values = self.values[samples]
        mean, draws = values.mean(axis=0), values[:, 0].tolist()
        differences = {
            name: self._interval(mean - other.values[samples].mean(axis=0))
            for name, other in beside.items()
            if samples in other.values
        }
        return {
            **self._interval(mean),
            "draws": [number(value) for value in draws],
            "sd": number(stdev(draws)) if len(draws) > 1 else None,
            "differences": differences,
        }

    def _interval(self, values: NDArray[np.float64]) -> dict[str, float | None]:
        return estimated(values, self.slice.confidence)
