"""What the tables and figures of the CXR-LT study know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fxcore.params.blocks import Block

Setting = bool | int | float | str | tuple[int | float | str, ...]
"""A parameter as tables print it."""


class HeadRow(Block):
    """A supervised head on a frozen backbone."""

    title: str
    """Of its network; tables add resolution and kind."""
    backbone: str
    resolution: int
    kind: Literal["linear", "ml_decoder"]
    views: Literal[1, 2]
    """Images of a study that the head looks at: with 2 it joins their [CLS]."""
    labels: tuple[str, ...]
    """Further datasets that it learns from, by key (label augmentation)."""
    epochs: int
    stop: int | None
    """The epoch whose weights predict; the last where there is none."""


class EnsembleRow(Block):
    """Heads whose probabilities, each averaged over a study, are averaged."""

    title: str
    heads: tuple[str, ...]


class StageRow(Block):
    """A stage of self-supervised training at one resolution, in pixels."""

    resolution: int
    local: int
    """Side of the local crops in pixels."""
    batch_size: int
    updates: int
    """0: the network is not trained."""
    start: int | None
    """Resolution of the stage that this one goes on from; None: random weights."""


class BackboneRow(Block):
    """A network trained without labels, and how."""

    title: str
    vit: dict[str, int | float]
    """Sizes: patch, width, depth, heads, registers."""
    stages: tuple[StageRow, ...]
    settings: dict[str, Setting]
    """As `flat` makes them."""


class CxrltReportSlice(Block):
    """For the tables and figures of CXR-LT: what captions, rows and columns say.

    `titles` of all datasets by key; `labels` is the dataset that heads learn from, `gold` the one that was labelled by hand.
    """

    store_size: int
    titles: dict[str, str]
    labels: str
    gold: str | None
    """None: there is no task 2."""
    heads: dict[str, HeadRow]
    ensembles: dict[str, EnsembleRow]
    backbones: dict[str, BackboneRow]
    confidence: float
    """Coverage of the intervals."""
    left_out: tuple[str, ...]
    """Titles of datasets that are not there."""


def flat(settings: Mapping[str, Any], of: str = "") -> dict[str, Setting]:
    """A block of parameters by dotted names, `crops.flip`; a number that moves is a pair, of its `start` and `end`."""
    found: dict[str, Setting] = {}
    for name, value in settings.items():
        if not isinstance(value, Mapping):
            found[f"{of}{name}"] = tuple(value) if isinstance(value, list) else value
        elif value.keys() == {"start", "end"}:
            found[f"{of}{name}"] = (value["start"], value["end"])
        else:
            found |= flat(value, f"{of}{name}.")
    return found
