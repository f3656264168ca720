"""Confidence intervals by resampling patients.

A statistic is a function of how often each image counts: all ones give the estimate, the counts of a resample give one
replicate. Sorting and matching are done once, when the statistic is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], float]


class Estimate(NamedTuple):
    """A value and its interval; NaN where a number cannot be had."""

    value: float
    low: float
    high: float


def estimate(
    statistic: Statistic, patients: NDArray[np.generic], resamples: int, confidence: float, seed: int
) -> Estimate:
    """The statistic with its percentile interval under resampling of whole patients.

    Args:
        statistic: from one weight an image; NaN where it is undefined.
        patients: the patient of each image.
        resamples: replicates; those for which the statistic is undefined are left out, and without an interval if they are
            more than half.
        confidence: 0.95 for a 95 % interval.
        seed: equal seeds draw the same patients, whatever the statistic.
    """
    _, patient = np.unique(patients, return_inverse=True)
    number = int(patient.max()) + 1 if len(patient) else 0
    value = statistic(np.ones(len(patient)))
    if math.isnan(value) or number < 2:
        return Estimate(value, math.nan, math.nan)
    random = np.random.Generator(np.random.PCG64(seed))
    draws = (np.bincount(random.integers(number, size=number), minlength=number) for _ in range(resamples))
    replicates = np.array([statistic(times[patient].astype(np.float64)) for times in draws])
    replicates = replicates[~np.isnan(replicates)]
    if len(replicates) < resamples / 2:
        return Estimate(value, math.nan, math.nan)
    low, high = np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


class ClassMean:
    """A statistic for each class of a head, and their unweighted mean over the classes for which it is defined."""

    def __init__(self, classes: Sequence[Statistic]) -> None:
        self.classes = classes

    def __call__(self, weights: Weights) -> float:
        """NaN if it is defined for no class."""
        values = np.array([one(weights) for one in self.classes])
        defined = values[~np.isnan(values)]
        return float(defined.mean()) if len(defined) else math.nan
