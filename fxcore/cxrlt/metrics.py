"""The metrics of the CXR-LT 2024 challenge: ranking, F1, three calibration errors; and means over classes of like frequency.

All but the calibration errors are better when higher. Metrics are functions of image weights, for intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fxcore.evaluation.bootstrap import Values, class_mean
from fxcore.evaluation.classification import Labelled, auc, average_precision, calibration_error, miscalibration
from fxcore.evaluation.metric import Metric, Ratio

THRESHOLD = 0.5
"""A class is predicted at and above this probability."""


class Frequency(StrEnum):
    """How common a class is in training."""

    HEAD = "head"
    MEDIUM = "medium"
    TAIL = "tail"


class GroupMean(NamedTuple):
    """A metric's mean over a group of classes, (1 + resamples,) as observed and of resamples; and how many have a value."""

    values: NDArray[np.float64]
    classes: int


def metrics(data: Labelled) -> dict[str, Metric]:
    """All metrics, the headline first, each a number a class of which the challenge takes the mean.

    `ece` compares probabilities with the share of positives. `ece_confidence` compares that of the label the threshold gives,
    max(p, 1 - p), with how often that label is right (Guo et al. 2017). `ece_board` compares p itself with how often that label
    is right, which punishes low probabilities of rare classes although they are right; the leaderboard's values look like it, and
    it is to be compared with nothing else.
    """
    chosen = data.scores >= THRESHOLD
    right = chosen == data.positive
    return {
        "map": average_precision(data),
        "mauc": auc(data),
        "mf1": f1(data),
        "ece": calibration_error(data),
        "ece_confidence": miscalibration(data, np.maximum(data.scores, 1 - data.scores), right),
        "ece_board": miscalibration(data, data.scores, right),
    }


def f1(data: Labelled) -> Metric:
    """F1 at the threshold, 0..1: 2 TP / (2 TP + FP + FN); of classes with positives or predicted ones."""
    chosen = (data.positive | data.negative) & (data.scores >= THRESHOLD)
    reasons = ["no positives and none predicted" if why == "no positives" else why for why in data.reasons(True, False)]
    return Metric(Ratio(2 * (data.positive & chosen), data.positive.astype(int) + chosen), reasons)


def groups(prevalence: Mapping[str, float], head: float, tail: float) -> dict[str, Frequency]:
    """Of each class the group, by its share of training images: above `head`, below `tail`, or between; all 0..1."""

    def group(share: float) -> Frequency:
        """Of one class."""
        if share > head:
            return Frequency.HEAD
        return Frequency.TAIL if share < tail else Frequency.MEDIUM

    return {label: group(share) for label, share in prevalence.items()}


def group_means(
    values: Values, labels: Sequence[str], frequency: Mapping[str, Frequency]
) -> dict[Frequency, GroupMean]:
    """Of every group the mean over its classes, from a metric's numbers a class (1 + resamples, classes); NaN where none has one.

    Made from the replicates of all classes, not anew: groups, classes and their mean then share resamples.
    """
    found = {}
    for group in Frequency:
        ours = values[:, [frequency[label] == group for label in labels]]
        found[group] = GroupMean(class_mean(ours), int(np.count_nonzero(~np.isnan(ours[0]))))
    return found
