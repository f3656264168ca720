"""From a table of predictions and the store's truth to metrics as functions of image weights. No torch."""

from __future__ import annotations

from collections.abc import Container

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore.data import rle
from fxcore.data.store import Store
from fxcore.evaluation.bootstrap import ClassMean
from fxcore.evaluation.classification import mean_auc
from fxcore.evaluation.headline import headline
from fxcore.evaluation.localization import Boxes, mean_average_precision
from fxcore.evaluation.segmentation import dice, mean_dice
from fxcore.passes import Task
from fxcore.slices.data import Heads

BOXES = ["left", "top", "width", "height"]
UNTRAINED = "untrained"
"""The branch of the network that training started from; the others are `student` and `teacher`."""


def standing(branches: Container[str]) -> str:
    """The branch that stands for a run: the teacher, without one the student."""
    return "teacher" if "teacher" in branches else "student"


def metrics(
    task: Task,
    predictions: pd.DataFrame,
    store: Store,
    heads: Heads,
    rows: NDArray[np.int64],
    iou: float,
    detections: int,
) -> dict[str, ClassMean]:
    """The task's metrics over the images at `rows` of the store, the headline first.

    `predictions` as `fxcore.evaluation.predictions` makes them, of exactly these rows.
    """
    name, classes = headline(task, iou), len(heads.classes(task))
    of_row = {int(row): table for row, table in predictions.groupby("row")}
    match task:
        case Task.CLASSIFICATION:
            labels, known = store.targets(heads)
            scores = np.stack([of_row[row].sort_values("label")["score"].to_numpy(np.float64) for row in rows])
            reported = [heads.classes(task).index(label) for label in heads.reported(task)]
            return {name: mean_auc(scores[:, reported], labels[rows][:, reported], known[rows][:, reported])}
        case Task.LOCALIZATION:
            truth = [Boxes(*store.boxes(row)) for row in rows]
            found = [_found(of_row.get(row, predictions.iloc[:0])) for row in rows]
            return {name: mean_average_precision(truth, found, classes, iou, detections)}
        case Task.SEGMENTATION:
            truths = [store.mask(row) for row in rows]
            scores = np.stack(
                [dice(_masks(of_row[row], store.size), truth) for row, truth in zip(rows, truths, strict=True)]
            )
            present = np.stack([truth.any((1, 2)) for truth in truths])
            return {name: mean_dice(scores, np.ones_like(present)), f"{name}_positive": mean_dice(scores, present)}


def _found(table: pd.DataFrame) -> Boxes:
    return Boxes(
        table["label"].to_numpy(np.int64), table[BOXES].to_numpy(np.float64), table["score"].to_numpy(np.float64)
    )


def _masks(table: pd.DataFrame, size: int) -> NDArray[np.bool_]:
    return np.stack(
        [rle.decode({"size": [size, size], "counts": counts}) for counts in table.sort_values("label")["counts"]]
    )
