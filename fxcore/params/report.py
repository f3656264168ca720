"""Runs, metrics, and what the tables and figures show of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fxcore.params.blocks import Block, Count, Name, Probability
from fxcore.passes import Task, Visits


class Run(Block):
    """One training experiment."""

    title: str
    """As the tables print it."""
    role: Literal["joint", "baseline"]
    """`joint` is the model the paper proposes; a `baseline` has one dataset and one task and stands beside it in table 3."""
    visits: dict[Name, Annotated[tuple[Task, ...], Field(min_length=1)]]
    """Datasets in the order of a cycle, each with the tasks to train."""
    cycles: Count
    """Times through all visits."""
    horizon_cycles: Count
    """Cycles after which the learning rate reaches zero; apart from `cycles`, so that raising `cycles` continues a run."""
    keep_every: Count = 1
    """Every how many stages, counted from the first, validation may choose the state; the last always stands for choice."""
    gpus: Annotated[int, Field(ge=0)] = 1
    """GPUs the run asks for; on a machine without one it trains on the CPU."""
    override: dict[str, Any] = {}
    """Values that replace those of `pretrain` for this run."""

    @property
    def order(self) -> Visits:
        """The visits in training order."""
        return tuple((name, tuple(task for task in Task if task in tasks)) for name, tasks in self.visits.items())


class Evaluate(Block):
    """Metrics, all from saved predictions."""

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

    panels: Count = 6
    """Test images shown in each panel of predictions."""
    panel_score: Probability = 0.3
    """Least score of a box drawn in a panel."""
