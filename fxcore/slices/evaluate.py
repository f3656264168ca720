"""What scoring and evaluation know."""

from __future__ import annotations

from fxcore.params.blocks import Block


class ScoreSlice(Block):
    """For `score`: how predictions are kept and chosen; network, datasets and tasks come with the weights."""

    run: str
    store_size: int
    every: int
    untrained: bool
    iou: float
    detections: int


class EvaluateSlice(Block):
    """For `evaluate`: the intervals, and what a run is compared with; what a metric is comes with the choice made by it."""

    run: str
    against: tuple[str, ...]
    store_size: int
    resamples: int
    confidence: float


class ReleaseSlice(Block):
    """For `release`: names and terms on the card; the rest comes with the weights."""

    run: str
    store_size: int
    title: str
    titles: dict[str, str]
    licences: dict[str, str]
