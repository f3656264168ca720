"""What changes while a run trains: the learning rate by update, and what ramps by pass."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fxcore.params.training import Ramp
from fxcore.passes import Pass, Task


def cosine(start: float, end: float, done: float) -> float:
    """A number on half a cosine from `start` to `end`, where it stays once `done`, from 0, has come to 1."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def ramped(value: float | Ramp, done: int, horizon: int) -> float:
    """A number in the pass after `done` of the `horizon`'s passes: fixed, or along half a cosine from start to end."""
    if not isinstance(value, Ramp):
        return value
    return cosine(value.start, value.end, done / horizon)


def factor(update: int, warmup: int, horizon: int) -> float:
    """Share of the base rate at an update, counted from 0: linear over `warmup` updates, then a cosine, zero at `horizon`."""
    if update < warmup:
        return (update + 1) / warmup
    return cosine(1.0, 0.0, (update - warmup) / max(1, horizon - warmup))


def updates_of(passes: tuple[Pass, ...], images: Mapping[tuple[str, Task], int], batch_size: int) -> int:
    """Optimiser steps of some passes, given the annotated training images of each dataset and task."""
    return sum(one.updates(images[one.dataset, one.task], batch_size) for one in passes)
