"""What scoring and evaluation know."""

from __future__ import annotations

from fxcore.params.blocks import Block
from fxcore.params.report import Evaluate
from fxcore.passes import Visits
from fxcore.slices.data import Heads


class ScoreSlice(Block):
    """For `score`: how predictions are kept and chosen; the network comes with the state."""

    run: str
    store_size: int
    visits: Visits
    heads: dict[str, Heads]
    iou: float
    detections: int


class EvaluateSlice(Block):
    """For `evaluate`: metrics and their intervals."""

    run: str
    store_size: int
    seed: int
    visits: Visits
    heads: dict[str, Heads]
    evaluate: Evaluate
