"""The learning rate: linear warm-up, then a cosine to zero, by update."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fxcore.passes import Pass, Task


def factor(update: int, warmup: int, horizon: int) -> float:
    """Share of the base rate at an update, counted from 0: rises over `warmup` updates, reaches zero at `horizon`."""
    if update < warmup:
        return (update + 1) / warmup
    done = min(1.0, (update - warmup) / max(1, horizon - warmup))
    return 0.5 * (1 + math.cos(math.pi * done))


def updates_of(passes: tuple[Pass, ...], images: Mapping[tuple[str, Task], int], batch_size: int) -> int:
    """Optimiser steps of some passes, given the annotated training images of each dataset and task."""
    return sum(one.updates(images[one.dataset, one.task], batch_size) for one in passes)
