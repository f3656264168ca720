"""Area under the ROC curve, per class and their unweighted mean (Foundation X, section 8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fxcore.evaluation.bootstrap import ClassMean, Weights


class Auc:
    """AUC of one class as a function of image weights; images whose label is unknown never count."""

    def __init__(self, scores: NDArray[np.floating], labels: NDArray[np.floating], known: NDArray[np.bool_]) -> None:
        """All (images,); `labels` 1 or 0 where `known`; equal scores count half."""
        levels, self.level = np.unique(scores, return_inverse=True)
        self.levels = len(levels)
        self.positive = known & (labels > 0.5)
        self.negative = known & (labels <= 0.5)

    def __call__(self, weights: Weights) -> float:
        """NaN without a positive or without a negative."""
        positive = np.bincount(self.level, weights * self.positive, self.levels)
        negative = np.bincount(self.level, weights * self.negative, self.levels)
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return float("nan")
        below = np.cumsum(negative) - negative
        return float((positive * (below + negative / 2)).sum() / pairs)


def mean_auc(scores: NDArray[np.floating], labels: NDArray[np.floating], known: NDArray[np.bool_]) -> ClassMean:
    """Mean over the classes that have positives and negatives; all (images, classes)."""
    return ClassMean([Auc(*columns) for columns in zip(scores.T, labels.T, known.T, strict=True)])
