"""What trainings on few images, and their metrics, know."""

from __future__ import annotations

from fxcore.params.blocks import Block
from fxcore.slices.evaluate import ScoreSlice
from fxcore.slices.train import TrainSlice


class FewShotSlice(Block):
    """For `few_shot`: how the run is trained and scored otherwise, and on how few images, how often and how long."""

    train: TrainSlice
    cycles: int
    samples: tuple[int, ...]
    draws: int
    updates: int
    score: ScoreSlice


class FewShotMetricsSlice(Block):
    """For `evaluate_few_shot`: the intervals."""

    runs: tuple[str, ...]
    store_size: int
    resamples: int
    confidence: float
