"""Which patches the student does not see: rectangles until a part of the crop is covered (iBOT, after BEiT)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fxcore.params.cxrlt import Masking

LEAST = 4
"""Patches of a rectangle at least."""
SLENDER = 0.3
"""Height of a rectangle in widths at least; 1 / 0.3 at most."""
TRIES = 10
"""For a rectangle that fits; after that a crop stays with what is masked."""


def masks(crops: int, side: int, how: Masking, random: np.random.Generator) -> NDArray[np.bool_]:
    """Masks (crops, side²) of a batch: `how.share` of the crops, in random places of the batch, have some.

    The parts that they have spread evenly over `how.ratio`, a bin a masked crop; what is masked is never more.
    """
    number = round(crops * how.share)
    bounds = np.linspace(*how.ratio, number + 1)
    found = np.zeros((crops, side * side), dtype=np.bool_)
    for place, low, high in zip(random.permutation(crops)[:number], bounds, bounds[1:], strict=False):
        found[place] = _mask(side, int(side * side * random.uniform(low, high)), random).ravel()
    return found


def _mask(side: int, target: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """A mask (side, side) of at most `target` patches."""
    mask = np.zeros((side, side), dtype=np.bool_)
    while (left := target - int(mask.sum())) > 0:
        for _ in range(TRIES):
            area = random.uniform(min(LEAST, left), left)
            aspect = math.exp(random.uniform(math.log(SLENDER), -math.log(SLENDER)))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (0 < height <= side and 0 < width <= side):
                continue
            top, start = int(random.integers(side - height + 1)), int(random.integers(side - width + 1))
            block = mask[top : top + height, start : start + width]
            if 0 < np.count_nonzero(~block) <= left:
                block[:] = True
                break
        else:
            return mask
    return mask
