"""What the metrics of all tasks share: ratios of sums over images, and why a class can be without a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fxcore.evaluation.bootstrap import Statistic, Values, Weights


@dataclass(frozen=True, slots=True)
class Metric:
    """A number a class as a function of image weights, and for each class the reason, should it have none."""

    statistic: Statistic
    reasons: Sequence[str]


class Ratio:
    """The weighted sum over images of one quantity by that of another; undefined where the latter is 0."""

    def __init__(self, numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> None:
        """Both (images, classes), finite; `denominator` ≥ 0."""
        self.numerator, self.denominator = numerator.astype(np.float64), denominator.astype(np.float64)

    def __call__(self, weights: Weights) -> Values:
        """(resamples, images) → (resamples, classes)."""
        return divided(weights @ self.numerator, weights @ self.denominator)


def divided(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient, NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator != 0)
