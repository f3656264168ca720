"""Metrics, and what the tables and figures show of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fxcore.params.blocks import Block, Count, Name, Probability, Words


class Evaluate(Block):
    """Metrics, all from saved predictions."""

    every: Count = 1
    """Every how many cycles of a run validation may choose the weights; the last cycle's always stand for choice."""
    iou: Annotated[float, Field(gt=0, lt=1)] = 0.40
    """Overlap from which a detection counts (mAP40 in the paper)."""
    detections: Count = 100
    """Highest-scoring boxes kept an image."""
    resamples: Annotated[int, Field(ge=20)] = 1000
    """Bootstrap resamples of the patients behind every interval."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Coverage of the intervals."""


class Report(Block):
    """Tables and figures."""

    titles: dict[Name, Words] = {}
    """Datasets as tables and figures print them; a dataset not named here has its title from the registry, or its key."""
    panels: Count = 6
    """Test images shown in each panel of predictions."""
    panel_score: Probability = 0.3
    """Least score of a box drawn in a panel; where there is none, the best one is drawn, dotted."""
