"""How to predict; without torch, so that the command line knows the defaults."""

from __future__ import annotations

from dataclasses import dataclass

THRESHOLD = 0.3
"""Least score of a box that is drawn."""


@dataclass(frozen=True)
class Options:
    """How to predict: boxes written an image and head, score from which a box is drawn, images at a time."""

    detections: int = 20
    threshold: float = THRESHOLD
    batch: int = 8
