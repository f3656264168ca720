"""Metrics of boxes as COCO computes them (mAP40: IoU 0.40; Foundation X, section 8).

Detections are matched with truth once; precision and recall are then functions of image weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fxcore.evaluation.bootstrap import Values, Weights
from fxcore.evaluation.matching import Boxes, first, hits
from fxcore.evaluation.metric import Metric, Ratio

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Detected:
    """Truth and detections of the same images; the `detections` highest scores of an image count, over all its classes.

    pycocotools' `maxDets` is for each image and class: the same where no image has more than that many boxes in all.
    A class with a box or score that is no number has no truth here, so that nothing is ranked silently.
    """

    truth: Boxes
    found: Boxes
    images: int
    classes: int
    detections: int

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Detections whose numbers are numbers."""
        return np.isfinite(self.found.scores) & np.isfinite(self.found.xywh).all(axis=1)

    @cached_property
    def broken(self) -> NDArray[np.int64]:
        """Images with detections that are no numbers, for each class."""
        places = np.unique(self.found.images[~self.usable] * self.classes + self.found.labels[~self.usable])
        return np.bincount(places % self.classes, minlength=self.classes)

    @cached_property
    def first(self) -> Boxes:
        """Detections that count, by image and falling score."""
        return first(self.found.only(self.usable), self.detections)

    @cached_property
    def truths(self) -> NDArray[np.float64]:
        """Boxes of each image and class: (images, classes)."""
        number = np.bincount(self.truth.images * self.classes + self.truth.labels, minlength=self.images * self.classes)
        return np.where(self.broken > 0, 0.0, number.reshape(self.images, self.classes))

    def hits(self, ious: Sequence[float]) -> NDArray[np.bool_]:
        """(ious, detections that count)."""
        return hits(self.truth, self.first, self.classes, ious)

    @property
    def reasons(self) -> list[str]:
        """Why a class has no number."""
        return [
            f"NaN boxes in {broken} of {self.images} images" if broken else "no positives" for broken in self.broken
        ]


class _Precision:
    """Average precision of one class at several overlaps, as a function of image weights.

    Between hits precision only falls, so the best precision at some recall or above is looked for at hits alone.
    """

    def __init__(self, found: Boxes, hit: NDArray[np.bool_], truths: NDArray[np.float64]) -> None:
        order = np.argsort(-found.scores, kind="stable")
        self.images, self.truths = found.images[order], truths
        self.hits = [np.flatnonzero(one) for one in hit[:, order]]

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """Mean over the overlaps (resamples,); NaN without truth."""
        truths = weights @ self.truths
        shown = np.cumsum(np.take(weights, self.images, axis=1), axis=1)
        precision = np.mean([self._at(weights, shown, truths, places) for places in self.hits], axis=0)
        return np.where(truths > 0, precision, np.nan)

    def _at(
        self, weights: Weights, shown: Weights, truths: NDArray[np.float64], places: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Precision averaged over 101 recalls, each the best at that recall or above, as pycocotools."""
        true = np.cumsum(np.take(weights, self.images[places], axis=1), axis=1)
        precision = true / (np.take(shown, places, axis=1) + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = true / np.maximum(truths, np.spacing(1))[:, None]
        reached = np.searchsorted(_RECALLS, recall, side="right")
        steps = np.diff(reached, axis=1, prepend=0)
        return np.asarray((best * steps).sum(axis=1) / len(_RECALLS))


def average_precision(data: Detected, ious: Sequence[float]) -> Metric:
    """Average precision, 0..1, averaged over overlaps, of classes with truth; a hit overlaps by at least the IoU."""
    hit = data.hits(ious)
    classes = [
        _Precision(data.first.only(of_class), hit[:, of_class], data.truths[:, label])
        for label, of_class in enumerate(data.first.labels == np.arange(data.classes)[:, None])
    ]

    def statistic(weights: Weights) -> Values:
        """(resamples, images) → (resamples, classes)."""
        return np.stack([one(weights) for one in classes], axis=1)

    return Metric(statistic, data.reasons)


def average_recall(data: Detected, ious: Sequence[float]) -> Metric:
    """The share of truth that is hit, 0..1, averaged over overlaps."""
    places = data.first.images * data.classes + data.first.labels
    number = np.bincount(places, data.hits(ious).mean(axis=0), data.images * data.classes)
    return Metric(Ratio(number.reshape(data.images, data.classes), data.truths), data.reasons)


def metrics(data: Detected, name: str, iou: float) -> dict[str, Metric]:
    """The headline under its name; `map` and `ar` are COCO's AP and AR, over IoU 0.50 to 0.95, at `detections` an image."""
    return {
        name: average_precision(data, (iou,)),
        "map": average_precision(data, COCO_IOUS),
        "ar": average_recall(data, COCO_IOUS),
    }
