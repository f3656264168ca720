"""Metrics of masks: overlap image by image or over all pixels, and the distance of outlines.

Dice is the headline (Foundation X, section 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fxcore.evaluation.metric import Metric, Ratio
from fxcore.evaluation.surface import hd95


class Pair(NamedTuple):
    """Masks of one image, (classes, H, W) both, and the height and width of their pixels in native ones."""

    found: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    spacing: tuple[float, float]


class Overlaps(NamedTuple):
    """Pixels in the prediction, in the truth, and in both: (images, classes) each."""

    found: NDArray[np.float64]
    truth: NDArray[np.float64]
    common: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """Pixels of prediction and truth, those in both twice."""
        return self.found + self.truth

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> Overlaps:
        """Count them."""
        counts = [
            [masks.sum((1, 2), dtype=np.float64) for masks in (one.found, one.truth, one.found & one.truth)]
            for one in pairs
        ]
        return cls(*np.stack(counts, axis=1))


@dataclass(frozen=True)
class Segmented:
    """Masks of some images, made anew whenever they are asked for, since all together may not fit into memory."""

    pairs: Callable[[], Iterator[Pair]]

    @cached_property
    def overlaps(self) -> Overlaps:
        """Pixels of every image and class."""
        return Overlaps.of(self.pairs())

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """`hd95` of every image and class in native pixels; NaN where prediction or truth is empty."""
        return np.array(
            [
                [hd95(found, truth, one.spacing) for found, truth in zip(one.found, one.truth, strict=True)]
                for one in self.pairs()
            ]
        )

    def reasons(self, why: str) -> list[str]:
        """The same reason for every class."""
        return [why] * self.overlaps.truth.shape[1]


def dice(data: Segmented, positive: bool = False) -> Metric:
    """Dice of each image, 0..1, 1 where both masks are empty, as the authors count it; averaged over images.

    `positive`: of images with truth only.
    """
    one = data.overlaps
    return _averaged(data, 2 * one.common, one.total, positive)


def iou(data: Segmented, positive: bool = False) -> Metric:
    """Intersection over union of each image, counted and averaged as Dice is."""
    one = data.overlaps
    return _averaged(data, one.common, one.total - one.common, positive)


def _averaged(data: Segmented, part: NDArray[np.float64], whole: NDArray[np.float64], positive: bool) -> Metric:
    scores = np.where(whole == 0, 1.0, part / np.maximum(whole, 1))
    counted = data.overlaps.truth > 0 if positive else np.ones_like(scores)
    return Metric(Ratio(scores * counted, counted), data.reasons("no positives"))


def pooled(data: Segmented) -> dict[str, Metric]:
    """Dice and intersection over union, 0..1, of all pixels of all images together."""
    one, why = data.overlaps, data.reasons("no positives, and none predicted")
    return {
        "dice_pooled": Metric(Ratio(2 * one.common, one.total), why),
        "iou_pooled": Metric(Ratio(one.common, one.total - one.common), why),
    }


def surface_distance(data: Segmented) -> Metric:
    """`hd95` in native pixels, averaged over the images where neither mask is empty; lower is better."""
    defined = ~np.isnan(data.distances)
    why = data.reasons("no image with both a mask and a predicted one")
    return Metric(Ratio(np.where(defined, data.distances, 0.0), defined), why)


def metrics(data: Segmented) -> dict[str, Metric]:
    """All metrics, the headline first."""
    return {
        "dice": dice(data),
        "dice_positive": dice(data, positive=True),
        "iou": iou(data),
        "iou_positive": iou(data, positive=True),
        **pooled(data),
        "hd95": surface_distance(data),
    }
