"""Metrics of a head, or of an ensemble of heads, on dev, test and gold, each image for itself and averaged over its study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fxcore import provenance, tablefile
from fxcore.cxrlt.corpus import JUDGES
from fxcore.cxrlt.labels import targets_in
from fxcore.cxrlt.metrics import Frequency, group_means, groups, metrics
from fxcore.cxrlt.studies import average, ensemble
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.evaluation.bootstrap import Values, class_mean, replicates
from fxcore.evaluation.classification import Labelled
from fxcore.evaluation.evaluate import estimated
from fxcore.evaluation.metric import Metric
from fxcore.files import read_json, write_json
from fxcore.passes import Task
from fxcore.seeding import derive
from fxcore.slices.cxrlt import EvaluateHeadSlice

MAIN = "map"
"""What heads are ranked by."""
Cell = dict[str, Any]


def evaluate_head(
    slice_: EvaluateHeadSlice, predictions: Mapping[str, Path], stores: Mapping[str, Store], output: Path
) -> None:
    """Write set → task → aggregation → metric; what was predicted and how rare each class is beside it.

    Args:
        slice_: which head or ensemble.
        predictions: of each of its heads.
        stores: the labelled dataset and the one labelled by hand, if there is one.
        output: the JSON.

    Raises:
        InputError: predictions that cannot be read, or of other images or classes than the sets'.
    """
    told = {name: read_json(path.with_suffix(".json")) for name, path in predictions.items()}
    tables = [_placed(tablefile.read(path), stores) for path in predictions.values()]
    prevalence: dict[str, float] = next(iter(told.values()))["prevalence"]
    frequency = groups(prevalence, slice_.frequency.head, slice_.frequency.tail)
    results: dict[str, Any] = {}
    for judge in judges(slice_, stores):
        measured = Measured(slice_, judge, frequency)
        for aggregation, table in _aggregated(judge, dict(zip(predictions, tables, strict=True)), slice_.ensemble):
            for task, cell in measured.cells(table):
                results.setdefault(judge.name, {}).setdefault(task, {})[aggregation] = cell
    _add_gains(slice_, results)
    content = {
        "provenance": provenance.describe(slice_),
        "heads": list(predictions),
        "rate": {name: one["rate"] for name, one in told.items()},
        "prevalence": prevalence,
        "frequency": {name: str(of) for name, of in frequency.items()},
        "results": results,
    }
    write_json(output, content)


@dataclass(frozen=True, slots=True)
class Judge:
    """A set that heads are measured on: its images, and the classes of its tasks."""

    name: str
    key: str
    store: Store
    table: pd.DataFrame
    """Of the store, a row an image of the set."""
    tasks: Sequence[tuple[str, tuple[str, ...]]]
    """The classes of each; those of the first hold all others."""


def judges(slice_: EvaluateHeadSlice, stores: Mapping[str, Store]) -> Iterator[Judge]:
    """The sets that the study has."""

    def classes(key: str) -> tuple[str, ...]:
        """Of a dataset."""
        return stores[key].heads((Task.CLASSIFICATION,)).classes(Task.CLASSIFICATION)

    second = [("task2", classes(slice_.gold))] if slice_.gold else []
    for name, split in JUDGES.items():
        key = slice_.gold if name == "gold" else slice_.labels
        if key is None:
            continue
        rows = stores[key].rows(Task.CLASSIFICATION, split)
        tasks = second if name == "gold" else [("task1", classes(key)), *second]
        yield Judge(name, key, stores[key], stores[key].table.iloc[rows], tasks)


class Measured:
    """How predictions of one set are measured: all its classes once, of which each task takes its own."""

    def __init__(self, slice_: EvaluateHeadSlice, judge: Judge, frequency: Mapping[str, Frequency]) -> None:
        self.slice, self.judge, self.frequency = slice_, judge, frequency
        _, self.classes = judge.tasks[0]
        rows = judge.table.index.to_numpy()
        targets, known = targets_in(judge.store, self.classes)
        self.targets, self.known = targets[rows], known[rows]

    def cells(self, predictions: pd.DataFrame) -> Iterator[tuple[str, Cell]]:
        """For each task every metric with its interval; the replicates of the main one under `replicates`, for differences."""
        found = metrics(Labelled(self._scores(predictions), self.targets, self.known))
        table = self.judge.table
        patients = table["patient"].to_numpy()
        values = replicates(
            {name: one.statistic for name, one in found.items()},
            patients,
            self.slice.resamples,
            derive("bootstrap", self.judge.key, self.judge.name),
        )
        counts = {"images": len(table), "patients": len(np.unique(patients)), "studies": int(table["study"].nunique())}
        for task, classes in self.judge.tasks:
            columns = [self.classes.index(label) for label in classes]
            own = {name: of[:, columns] for name, of in values.items()}
            cell = {name: self._metric(own[name], one, columns) for name, one in found.items()}
            yield task, {**counts, **cell, "groups": self._groups(own[MAIN], classes), "replicates": own[MAIN]}

    def _groups(self, values: Values, classes: Sequence[str]) -> Cell:
        """The mean over frequent, medium and rare classes."""
        return {
            str(group): _around(mean.values, self.slice.confidence) | {"classes": mean.classes}
            for group, mean in group_means(values, classes, self.frequency).items()
        }

    def _scores(self, predictions: pd.DataFrame) -> np.ndarray:
        """Probabilities (images, classes), found by the names of classes.

        Raises:
            InputError: one is missing, or there twice.
        """
        some = predictions[predictions["label"].isin(self.classes)]
        wide = some.pivot_table("score", "row", "label", aggfunc="first", dropna=False)
        wide = wide.reindex(index=self.judge.table.index, columns=list(self.classes))
        if len(some) != wide.size or wide.isna().any(axis=None) > some["score"].isna().any():
            raise InputError(
                f"{self.slice.name}: predictions for {self.judge.key} are of other images or classes than its {self.judge.name}"
                " set; train the head again"
            )
        return np.asarray(wide, dtype=np.float64)

    def _metric(self, values: Values, metric: Metric, columns: Sequence[int]) -> Cell:
        """The mean over some of the classes and each of them; `values` are of these."""
        of, labels = self.slice.confidence, [self.classes[column] for column in columns]
        undefined = {
            label: metric.reasons[column]
            for label, column, value in zip(labels, columns, values[0], strict=True)
            if np.isnan(value)
        }
        classes = {label: _around(one, of) for label, one in zip(labels, values.T, strict=True)}
        return _around(class_mean(values), of) | {"classes": classes, "undefined": undefined}


def _around(values: Values, confidence: float, least: float = 0.0) -> dict[str, float | None]:
    """A value with the interval of its replicates, moved so that their mean is the value; nothing goes below `least` or above 1.

    A resample has the few positives of a rare class several times or not at all, which makes its average precision larger: the
    interval as it is would lie above the value, or even without it.
    """
    replicated = values[1:][~np.isnan(values[1:])]
    if len(replicated) and not np.isnan(values[0]):
        moved = values[1:] - (replicated.mean() - values[0])
        values = np.concatenate([values[:1], moved.clip(least, 1.0)])
    return estimated(values, confidence)


def _add_gains(slice_: EvaluateHeadSlice, results: Mapping[str, Any]) -> None:
    """What averaging over studies changes, paired by image; drops the replicates."""
    for tasks in results.values():
        for cells in tasks.values():
            if "none" in cells:
                change = class_mean(cells["average"]["replicates"] - cells["none"]["replicates"])
                cells["average"]["gain"] = _around(change, slice_.confidence, -1.0)
            for cell in cells.values():
                del cell["replicates"]


def _aggregated(judge: Judge, tables: Mapping[str, pd.DataFrame], joined: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    """Predictions of a set as they are and averaged over studies; of an ensemble, averaged only.

    Views that the hand-labelled set lacks are taken from the other sets' predictions of the same studies.
    """
    averaged = {}
    for name, table in tables.items():
        own = table[(table["dataset"] == judge.key) & table["row"].isin(judge.table.index)]
        others = table[table["dataset"] != judge.key] if judge.name == "gold" else None
        if not joined:
            yield "none", own
        averaged[name] = average(own, others)
    yield "average", ensemble(averaged) if joined else next(iter(averaged.values()))


def _placed(table: pd.DataFrame, stores: Mapping[str, Store]) -> pd.DataFrame:
    """Predictions with the image and study of each."""
    parts = []
    for key, part in table.groupby("dataset"):
        about = stores[str(key)].table[["image", "study"]]
        parts.append(part.join(about, on="row"))
    return pd.concat(parts)
