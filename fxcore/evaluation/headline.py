"""The one metric of each task that tables show and validation chooses by."""

from __future__ import annotations

from fxcore.passes import Task

_PRINTED = {"auc": "AUC", "dice": "Dice"}


def printed(metric: str) -> str:
    """A metric's name as tables and figures print it."""
    return _PRINTED.get(metric, metric.replace("map", "mAP"))


def headline(task: Task, iou: float) -> str:
    """Name of the metric: `auc`, `map40` (the overlap in percent), `dice`."""
    return {Task.CLASSIFICATION: "auc", Task.LOCALIZATION: f"map{round(100 * iou)}", Task.SEGMENTATION: "dice"}[task]
