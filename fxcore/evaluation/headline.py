"""How metrics are named and printed, and the one of each task that tables show and validation chooses by."""

from __future__ import annotations

from fxcore.passes import Task

_PRINTED = {
    **{name: name.upper() for name in ("auc", "ap", "ece", "ar", "hd95")},
    "brier": "Brier score",
    "dice": "Dice",
    "iou": "IoU",
}
_OF = {"positive": "positives", "pooled": "pooled"}


def printed(metric: str) -> str:
    """A metric's name as tables and figures print it."""
    name, _, of = metric.partition("_")
    text = _PRINTED.get(name, name.replace("map", "mAP"))
    return f"{text}, {_OF[of]}" if of else text


def headline(task: Task, iou: float) -> str:
    """Name of the metric: `auc`, `map40` (the overlap in percent), `dice`."""
    return {Task.CLASSIFICATION: "auc", Task.LOCALIZATION: f"map{round(100 * iou)}", Task.SEGMENTATION: "dice"}[task]
