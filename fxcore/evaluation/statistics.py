"""From a table of predictions and the store's truth to metrics as functions of image weights. No torch."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore.data import rle
from fxcore.data.store import Store
from fxcore.evaluation import classification, localization, segmentation
from fxcore.evaluation.classification import Labelled
from fxcore.evaluation.headline import headline
from fxcore.evaluation.localization import Detected
from fxcore.evaluation.matching import Boxes
from fxcore.evaluation.metric import Metric
from fxcore.evaluation.segmentation import Pair, Segmented
from fxcore.passes import Split, Task
from fxcore.slices.data import Heads
from fxcore.slices.evaluate import ScoreSlice

BOXES = ["left", "top", "width", "height"]
UNTRAINED = "untrained"
"""The branch of the network that training started from; the others are `student` and `teacher`."""


def standing(branches: Container[str]) -> str:
    """The branch that stands for a run: the teacher, without one the student."""
    return "teacher" if "teacher" in branches else "student"


@dataclass(frozen=True)
class Measured:
    """The images of one split that are annotated for a task, and how predictions of them are measured.

    Predictions are tables as `fxcore.evaluation.predictions` makes them, of exactly these images, in any order.
    """

    task: Task
    store: Store
    heads: Heads
    split: Split
    how: ScoreSlice

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Their rows in the store, rising."""
        return self.store.rows(self.task, self.split)

    @property
    def main(self) -> str:
        """Name of the headline metric."""
        return headline(self.task, self.how.iou)

    def covered_by(self, predictions: pd.DataFrame) -> bool:
        """Whether predictions are of exactly these images, with every class once; boxes may be none."""
        if self.task is Task.LOCALIZATION:
            return bool(predictions["row"].isin(self.rows).all())
        classes, ordered = len(self.heads.classes(self.task)), predictions.sort_values(["row", "label"])
        return np.array_equal(ordered["row"], np.repeat(self.rows, classes)) and np.array_equal(
            ordered["label"], np.tile(np.arange(classes), len(self.rows))
        )

    def headline(self, predictions: pd.DataFrame) -> Metric:
        """The headline metric alone, which validation chooses by."""
        match self.task:
            case Task.CLASSIFICATION:
                return classification.auc(self.labelled(predictions))
            case Task.LOCALIZATION:
                return localization.average_precision(self.detected(predictions), (self.how.iou,))
            case Task.SEGMENTATION:
                return segmentation.dice(self.segmented(predictions))

    def metrics(self, predictions: pd.DataFrame, validation: Labelled | None = None) -> dict[str, Metric]:
        """All metrics of the task, the headline first; `validation` chooses operating points of classification."""
        match self.task:
            case Task.CLASSIFICATION:
                return classification.metrics(self.labelled(predictions), validation)
            case Task.LOCALIZATION:
                return localization.metrics(self.detected(predictions), self.main, self.how.iou)
            case Task.SEGMENTATION:
                return segmentation.metrics(self.segmented(predictions))

    def labelled(self, predictions: pd.DataFrame) -> Labelled:
        """Probabilities of the reported classes beside their labels."""
        classes = self.heads.classes(self.task)
        reported = [classes.index(label) for label in self.heads.reported(self.task)]
        labels, known = self.store.targets(self.heads)
        scores = predictions.sort_values(["row", "label"])["score"].to_numpy(np.float64).reshape(-1, len(classes))
        return Labelled(scores[:, reported], labels[self.rows][:, reported], known[self.rows][:, reported])

    def detected(self, predictions: pd.DataFrame) -> Detected:
        """Detections beside boxes of the truth."""
        boxes = [self.store.boxes(row) for row in self.rows]
        images = np.repeat(np.arange(len(boxes)), [len(labels) for labels, _ in boxes])
        labels, xywh = (np.concatenate(columns) for columns in zip(*boxes, strict=True))
        found = Boxes(
            np.searchsorted(self.rows, predictions["row"]),
            predictions["label"].to_numpy(np.int64),
            predictions[BOXES].to_numpy(np.float64),
            predictions["score"].to_numpy(np.float64),
        )
        truth = Boxes(images, labels, xywh, np.ones(len(labels)))
        return Detected(truth, found, len(boxes), len(self.heads.classes(self.task)), self.how.detections)

    def segmented(self, predictions: pd.DataFrame) -> Segmented:
        """Predicted masks beside those of the truth, at store size."""
        size, classes = self.store.size, len(self.heads.classes(self.task))
        counts = predictions.sort_values(["row", "label"])["counts"].to_numpy().reshape(-1, classes)

        def pairs() -> Iterator[Pair]:
            """One image after the other."""
            for row, of_image in zip(self.rows, counts, strict=True):
                found = np.stack([rle.decode({"size": [size, size], "counts": one}) for one in of_image])
                width, height = self.store.native_size(row)
                yield Pair(found, self.store.mask(row), (height / size, width / size))

        return Segmented(pairs)
