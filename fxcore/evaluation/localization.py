"""Average precision at one overlap, as COCO computes it (mAP40: IoU 0.40; Foundation X, section 8).

pycocotools matches detections with ground truth once; precision and recall are then functions of image weights.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fxcore.evaluation.bootstrap import ClassMean, Weights

_RECALLS = np.linspace(0, 1, 101)
_EVERY_AREA = [0.0, 1e10]


class Boxes(NamedTuple):
    """Boxes of one image: class indices (n,), left-top-width-height (n, 4) in any unit, and for detections scores (n,)."""

    labels: NDArray[np.integer]
    xywh: NDArray[np.floating]
    scores: NDArray[np.floating] | None = None


class AveragePrecision:
    """AP of one class as a function of image weights."""

    def __init__(
        self, scores: NDArray[np.float64], hits: NDArray[np.bool_], images: NDArray[np.int64], truths: NDArray[np.int64]
    ) -> None:
        """`scores`, `hits`, `images` of each detection; `truths` counts each image's ground-truth boxes."""
        order = np.argsort(-scores, kind="stable")
        self.hits, self.images, self.truths = hits[order].astype(np.float64), images[order], truths

    def __call__(self, weights: Weights) -> float:
        """Precision averaged over 101 recalls, each the best at that recall or above; NaN without ground truth."""
        truths = float((weights * self.truths).sum())
        if truths == 0:
            return float("nan")
        counted = weights[self.images]
        true, false = np.cumsum(counted * self.hits), np.cumsum(counted * (1 - self.hits))
        precision = true / np.maximum(true + false, np.spacing(1))
        best = np.maximum.accumulate(precision[::-1])[::-1]
        reached = np.searchsorted(true / truths, _RECALLS, side="left")
        return float(np.append(best, 0.0)[np.minimum(reached, len(best))].mean())


def mean_average_precision(
    truth: Sequence[Boxes], found: Sequence[Boxes], classes: int, iou: float, detections: int
) -> ClassMean:
    """Mean over the classes that have ground truth; `truth` and `found` of the same images in the same order.

    The `detections` highest-scoring boxes of an image count, over all its classes; a hit overlaps by at least `iou`.
    """
    images = len(truth)
    entries = _matched(truth, found, classes, iou, detections).evalImgs
    return ClassMean([_average_precision(entries[label * images : (label + 1) * images]) for label in range(classes)])


def _average_precision(entries: Sequence[dict[str, Any] | None]) -> AveragePrecision:
    """From pycocotools' record of each image for one class; None where the image has neither truth nor detection."""
    truths = np.array([len(one["gtIds"]) if one else 0 for one in entries], dtype=np.int64)
    scores = [np.asarray(one["dtScores"], dtype=np.float64) if one else np.empty(0) for one in entries]
    hits = [np.asarray(one["dtMatches"]).reshape(-1) > 0 if one else np.empty(0, dtype=bool) for one in entries]
    images = np.repeat(np.arange(len(entries)), [len(one) for one in scores])
    return AveragePrecision(np.concatenate(scores), np.concatenate(hits), images, truths)


def _matched(truth: Sequence[Boxes], found: Sequence[Boxes], classes: int, iou: float, detections: int) -> COCOeval:
    best = [_first(one, detections) for one in found]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(truth, classes), _coco(best, classes), "bbox")
        evaluation.params.iouThrs = np.array([iou])
        evaluation.params.maxDets = [detections]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [_EVERY_AREA], ["all"]
        evaluation.evaluate()
    return evaluation


def _first(boxes: Boxes, count: int) -> Boxes:
    """The highest scores over all classes."""
    assert boxes.scores is not None
    order = np.argsort(-boxes.scores, kind="stable")[:count]
    return Boxes(boxes.labels[order], boxes.xywh[order], boxes.scores[order])


def _coco(images: Sequence[Boxes], classes: int) -> COCO:
    annotations: list[dict[str, Any]] = []
    for image, one in enumerate(images):
        scores = [None] * len(one.labels) if one.scores is None else one.scores.tolist()
        for label, box, score in zip(one.labels.tolist(), one.xywh.tolist(), scores, strict=True):
            # Identifiers start at 1: pycocotools takes a match with identifier 0 for no match.
            place = {"id": len(annotations) + 1, "image_id": image, "category_id": label}
            annotations.append(place | {"bbox": box, "area": box[2] * box[3], "iscrowd": 0, "score": score})
    made = COCO()
    made.dataset = {
        "images": [{"id": image} for image in range(len(images))],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": annotations,
    }
    made.createIndex()
    return made
