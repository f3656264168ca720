"""Dice of masks, image by image (Foundation X, section 8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fxcore.evaluation.bootstrap import ClassMean, Weights


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of each class of one image, (classes, H, W) both; 1 where both are empty, as the authors count it."""
    overlap = (found & truth).sum((1, 2), dtype=np.float64)
    total = found.sum((1, 2), dtype=np.float64) + truth.sum((1, 2), dtype=np.float64)
    return np.where(total == 0, 1.0, 2 * overlap / np.maximum(total, 1))


class Dice:
    """Mean Dice of one class over the images that count, as a function of image weights."""

    def __init__(self, scores: NDArray[np.float64], counted: NDArray[np.bool_]) -> None:
        """Both (images,)."""
        self.scores, self.counted = scores, counted.astype(np.float64)

    def __call__(self, weights: Weights) -> float:
        """NaN where no image counts."""
        counted = weights * self.counted
        total = counted.sum()
        return float((counted * self.scores).sum() / total) if total else float("nan")


def mean_dice(scores: NDArray[np.float64], counted: NDArray[np.bool_]) -> ClassMean:
    """Mean over images, then over classes; both (images, classes). Only entries that are `counted` enter."""
    return ClassMean([Dice(*columns) for columns in zip(scores.T, counted.T, strict=True)])
