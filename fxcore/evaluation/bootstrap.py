"""Confidence intervals by resampling patients.

A statistic is a function of how often each image counts: all ones give the estimate, the counts of a resample give one
replicate. Sorting and matching are done once, when the statistic is made. It gives a number a class, so that classes, their
mean and differences between runs have their intervals from the same replicates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
"""How often each image counts, a row a resample: (resamples, images)."""
Values = NDArray[np.float64]
"""What a statistic makes of them: (resamples, classes), NaN where it is undefined."""
Statistic = Callable[[Weights], Values]

_AT_ONCE = 2**17
"""Weights handed to a statistic at a time: enough that NumPy's calls cost nothing, and few enough to stay in the cache."""


class Estimate(NamedTuple):
    """A value and its interval; NaN where a number cannot be had."""

    value: float
    low: float
    high: float


def replicates(
    statistics: Mapping[str, Statistic], patients: NDArray[np.generic], resamples: int, seed: int
) -> dict[str, Values]:
    """Each statistic of the images as they are (first row), and of every resample of whole patients: (1 + resamples, classes).

    Args:
        statistics: by name; all see the same resamples.
        patients: the patient of each image. Of fewer than two there are no resamples.
        resamples: how many.
        seed: equal seeds draw the same patients, whatever the statistics.
    """
    found: dict[str, list[Values]] = {name: [] for name in statistics}
    for weights in _batches(patients, resamples, seed):
        for name, statistic in statistics.items():
            found[name].append(statistic(weights))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def observed(statistic: Statistic, images: int) -> float:
    """The class mean of a statistic of the images as they are."""
    return float(class_mean(statistic(np.ones((1, images))))[0])


def class_mean(values: Values) -> NDArray[np.float64]:
    """The unweighted mean over the classes for which there is a number: (resamples, classes) → (resamples,); else NaN."""
    defined = ~np.isnan(values)
    total, number = np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def interval(values: NDArray[np.float64], confidence: float) -> Estimate:
    """A value (the first) with the percentile interval of its replicates (the others).

    Args:
        values: (1 + resamples,). Replicates that are undefined are left out; if they are more than half there is no interval.
        confidence: 0.95 for a 95 % interval.
    """
    value, replicated = float(values[0]), values[1:]
    defined = replicated[~np.isnan(replicated)]
    if math.isnan(value) or not len(defined) or len(defined) < len(replicated) / 2:
        return Estimate(value, math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


def _batches(patients: NDArray[np.generic], resamples: int, seed: int) -> Iterator[Weights]:
    """Ones, then the resamples, some at a time."""
    _, patient = np.unique(patients, return_inverse=True)
    number = int(patient.max()) + 1 if len(patient) else 0
    yield np.ones((1, len(patient)))
    random = np.random.Generator(np.random.PCG64(seed))
    rows = max(1, _AT_ONCE // max(1, len(patient)))
    for first in range(0, resamples if number > 1 else 0, rows):
        drawn = range(first, min(first + rows, resamples))
        times = [np.bincount(random.integers(number, size=number), minlength=number)[patient] for _ in drawn]
        yield np.stack(times).astype(np.float64)
