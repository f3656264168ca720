"""Kinds of a finding: classes of CXR-LT that are drawn alike and told apart by where the finding lies, or how large it is.

Other classes of a finding than its most frequent one are such kinds; a picture of no kind is of that one alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fxcore.phantom.raster import Mask
from fxcore.phantom.scene import Phantom

Measure = Callable[[Phantom, Sequence[Mask]], float]


def height(phantom: Phantom, masks: Sequence[Mask]) -> float:
    """Where the uppermost instance has its middle: 0 at the top of the lungs, 1 at their base."""
    rows = np.flatnonzero(_lungs(phantom).any(axis=1))
    top = min(float(np.nonzero(mask)[0].mean()) for mask in masks)
    return (top - rows[0]) / (rows[-1] - rows[0])


def area(phantom: Phantom, masks: Sequence[Mask]) -> float:
    """What the largest instance covers, over the lungs' area."""
    return max(int(mask.sum()) for mask in masks) / int(_lungs(phantom).sum())


def width(phantom: Phantom, masks: Sequence[Mask]) -> float:
    """The width of the widest instance over that of both lungs."""
    return max(int(mask.any(axis=0).sum()) for mask in masks) / int(np.ptp(np.nonzero(_lungs(phantom))[1]) + 1)


def _lungs(phantom: Phantom) -> Mask:
    return phantom.organs["Right Lung"] | phantom.organs["Left Lung"]


class Kinds(NamedTuple):
    """The kinds of a finding: what tells them apart, and from where to below where it has each."""

    measure: Measure
    bounds: Mapping[str, tuple[float, float]]


KINDS: Mapping[str, Kinds] = {
    "atelectasis": Kinds(area, {"Round(ed) Atelectasis": (0.0, 0.0105), "Lobar Atelectasis": (0.018, 1.0)}),
    "cardiomegaly": Kinds(width, {"Pulmonary Hypertension": (0.66, 1.0)}),
    "consolidation": Kinds(height, {"Infarction": (0.0, 0.45)}),
    "effusion": Kinds(area, {"Fissure": (0.0, 0.04)}),
    "fracture": Kinds(
        height, {"Clavicle Fracture": (0.0, 0.23), "Rib Fracture": (0.28, 0.55), "Kyphosis": (0.58, 1.0)}
    ),
    "nodule": Kinds(area, {"Granuloma": (0.0, 0.02), "Lung Lesion": (0.028, 1.0)}),
    "opacity": Kinds(
        height, {"Pulmonary Embolism": (0.0, 0.27), "Infiltration": (0.27, 0.36), "Pneumonia": (0.45, 1.0)}
    ),
    "pleural_thickening": Kinds(height, {"Pleural Other": (0.0, 0.25)}),
    "pneumothorax": Kinds(
        area, {"Pneumomediastinum": (0.0, 0.12), "Pneumoperitoneum": (0.12, 0.145), "Hydropneumothorax": (0.19, 1.0)}
    ),
}
"""Findings with kinds that are seen. Kinds of other findings look alike: of emphysema, and of a wide mediastinum."""


def kind(finding: str, phantom: Phantom) -> str | None:
    """The class that a finding of a phantom is a kind of; None where it is of no kind."""
    measure, bounds = KINDS[finding]
    value = measure(phantom, phantom.findings[finding])
    return next((name for name, (low, high) in bounds.items() if low <= value < high), None)
