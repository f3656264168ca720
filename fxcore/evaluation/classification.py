"""Metrics of class probabilities: ranking (AUC, average precision), operating points, calibration.

AUC is the headline (Foundation X, section 8). Images whose label for a class is unknown never count for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fxcore.evaluation.bootstrap import Values, Weights
from fxcore.evaluation.metric import Metric, Ratio, divided

BINS = 15
"""Of the calibration error."""


@dataclass(frozen=True)
class Labelled:
    """Probabilities 0..1, labels 1 or 0 where `known`: (images, classes) each.

    A class with a score that is no number counts as unknown throughout, so that nothing is ranked silently.
    """

    scores: NDArray[np.floating]
    labels: NDArray[np.floating]
    known: NDArray[np.bool_]

    @cached_property
    def broken(self) -> NDArray[np.int64]:
        """Images without a number as their score, for each class."""
        return np.asarray(np.count_nonzero(~np.isfinite(self.scores), axis=0))

    @cached_property
    def positive(self) -> NDArray[np.bool_]:
        """Known positives."""
        return np.asarray(self.known & (self.labels > 0.5) & (self.broken == 0))

    @cached_property
    def negative(self) -> NDArray[np.bool_]:
        """Known negatives."""
        return np.asarray(self.known & (self.labels <= 0.5) & (self.broken == 0))

    def reasons(self, positive: bool, negative: bool) -> list[str]:
        """Why a class has no number: scores that are none, or nothing of a kind that the metric needs."""
        found = []
        for broken, positives, negatives in zip(
            self.broken, np.any(self.positive, axis=0), np.any(self.negative, axis=0), strict=True
        ):
            if broken:
                found.append(f"NaN scores in {broken} of {len(self.scores)} images")
            elif positive and not positives:
                found.append("no positives")
            else:
                found.append("no negatives" if negative and not negatives else "no known labels")
        return found


class _Ranked:
    """One class: its positives and negatives by rising score, and for each positive what lies below it."""

    def __init__(self, scores: NDArray[np.floating], positive: NDArray[np.bool_], negative: NDArray[np.bool_]) -> None:
        self.positives, self.negatives = (
            np.flatnonzero(some)[np.argsort(scores[some], kind="stable")] for some in (positive, negative)
        )
        ours, others = scores[self.positives], scores[self.negatives]
        self.below, self.up_to = (np.searchsorted(others, ours, side) for side in ("left", "right"))
        self.own = np.searchsorted(ours, ours, "left")

    def auc(self, weights: Weights) -> NDArray[np.float64]:
        """The share of pairs of a positive and a negative that are in order; equal scores count half."""
        positive, negative = np.take(weights, self.positives, axis=1), _summed(weights, self.negatives)
        below = np.take(negative, self.below, axis=1) + np.take(negative, self.up_to, axis=1)
        pairs = positive.sum(axis=1) * negative[:, -1]
        return divided(np.einsum("ri,ri->r", positive, below) / 2, pairs)

    def average_precision(self, weights: Weights) -> NDArray[np.float64]:
        """The mean over positives of the precision at their score, equal scores all included."""
        positive, negative = _summed(weights, self.positives), _summed(weights, self.negatives)
        true = positive[:, -1:] - np.take(positive, self.own, axis=1)
        false = negative[:, -1:] - np.take(negative, self.below, axis=1)
        above = true + false
        precision = true / np.where(above > 0, above, 1.0)
        return divided(np.einsum("ri,ri->r", np.diff(positive, axis=1), precision), positive[:, -1])


def _summed(weights: Weights, images: NDArray[np.int64]) -> Weights:
    """Running sums of the weights of some images, from 0: (resamples, len(images) + 1)."""
    sums = np.zeros((len(weights), len(images) + 1))
    np.cumsum(np.take(weights, images, axis=1), axis=1, out=sums[:, 1:])
    return sums


def _ranked(data: Labelled) -> Sequence[_Ranked]:
    return [_Ranked(*columns) for columns in zip(data.scores.T, data.positive.T, data.negative.T, strict=True)]


def auc(data: Labelled) -> Metric:
    """Area under the ROC curve, 0..1 (DeLong et al. 1988); of classes with positives and negatives."""
    ranked = _ranked(data)
    return Metric(lambda weights: _columns(one.auc(weights) for one in ranked), data.reasons(True, True))


def average_precision(data: Labelled) -> Metric:
    """Area under the precision-recall curve as a sum of steps, 0..1, as scikit-learn's `average_precision_score`."""
    ranked = _ranked(data)
    return Metric(lambda weights: _columns(one.average_precision(weights) for one in ranked), data.reasons(True, False))


def thresholds(validation: Labelled) -> NDArray[np.float64]:
    """For each class the score on validation at and above which Youden's J (sensitivity + specificity - 1) is greatest.

    Of scores with equal J the highest; NaN without positives or without negatives there. Source: Youden 1950.
    """
    return np.array(
        [_youden(*one) for one in zip(validation.scores.T, validation.positive.T, validation.negative.T, strict=True)]
    )


def _youden(scores: NDArray[np.floating], positive: NDArray[np.bool_], negative: NDArray[np.bool_]) -> float:
    if not positive.any() or not negative.any():
        return float("nan")
    levels = np.unique(scores[positive | negative])[::-1]
    positives, negatives = np.sort(scores[positive]), np.sort(scores[negative])
    missed, spared = np.searchsorted(positives, levels), np.searchsorted(negatives, levels)
    # In whole numbers, since equal ones must be equal.
    return float(levels[np.argmax(spared * len(positives) - missed * len(negatives))])


def operating_points(data: Labelled, validation: Labelled) -> dict[str, Metric]:
    """`sensitivity` and `specificity`, 0..1, at the thresholds that validation gives (see `thresholds`)."""
    chosen = thresholds(validation)
    apart = validation.reasons(True, True)
    found = {}
    for name, some, above in (("sensitivity", data.positive, True), ("specificity", data.negative, False)):
        right = some & ((data.scores >= chosen) == above)
        reasons = [
            f"{why} in validation" if np.isnan(threshold) else own
            for own, why, threshold in zip(data.reasons(above, not above), apart, chosen, strict=True)
        ]
        found[name] = Metric(Ratio(right, some & ~np.isnan(chosen)), reasons)
    return found


def brier(data: Labelled) -> Metric:
    """Brier score, 0..1: the mean squared difference of probability and label; lower is better."""
    known = data.positive | data.negative
    error = np.where(known, np.nan_to_num(data.scores) - data.positive, 0.0)
    return Metric(Ratio(error**2, known), data.reasons(False, False))


def calibration_error(data: Labelled) -> Metric:
    """Expected calibration error of each class as a binary one, 0..1; lower is better (Naeini et al. 2015)."""
    return miscalibration(data, data.scores, data.positive)


def miscalibration(data: Labelled, stated: NDArray[np.floating], right: NDArray[np.bool_]) -> Metric:
    """How far stated probabilities are from how often what they state is right, 0..1; both (images, classes).

    Probabilities fall into 15 bins of equal width, [k/15, (k + 1)/15) and the last closed; the difference between their mean and
    the share of what is right is averaged over bins, weighed by images.
    """
    known = data.positive | data.negative
    images, classes = np.nonzero(known)
    scores = stated[known].astype(np.float64)
    bins = np.searchsorted(np.arange(1, BINS) / BINS, scores, side="right")
    number = known.shape[1]
    surplus = csr_array((scores - right[known], (classes * BINS + bins, images)), shape=(number * BINS, len(known)))
    counted = known.astype(np.float64)

    def statistic(weights: Weights) -> Values:
        """Ratio of what bins are off by to the images in them."""
        off = np.abs(surplus @ weights.T).reshape(number, BINS, len(weights)).sum(axis=1)
        return divided(off.T, weights @ counted)

    return Metric(statistic, data.reasons(False, False))


def _columns(classes: Iterable[NDArray[np.float64]]) -> Values:
    return np.stack(list(classes), axis=1)


def metrics(data: Labelled, validation: Labelled | None) -> dict[str, Metric]:
    """All metrics, the headline first; operating points only where there are predictions for validation."""
    return {
        "auc": auc(data),
        "ap": average_precision(data),
        **(operating_points(data, validation) if validation else {}),
        "ece": calibration_error(data),
        "brier": brier(data),
    }
