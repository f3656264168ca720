"""Outlines of masks, for formats that write polygons."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fxcore.phantom.case import Mask

Ring = list[tuple[int, int]]
"""Corners (x, y) in pixels of one closed ring; the first is not repeated."""


def rings(mask: Mask) -> list[Ring]:
    """One ring around each connected part of a mask, along the edges of its pixels; holes are filled.

    A pixel lies inside exactly if it was set or in a hole, so that nothing is lost by writing polygons.
    """
    parts, count = ndimage.label(mask)
    return [_ring(ndimage.binary_fill_holes(parts == number)) for number in range(1, count + 1)]


def filled(mask: Mask) -> Mask:
    """The pixels inside `rings(mask)`."""
    parts, count = ndimage.label(mask)
    holes: list[Mask] = [ndimage.binary_fill_holes(parts == number) for number in range(1, count + 1)]
    return np.logical_or.reduce([mask, *holes])


def _ring(part: Mask) -> Ring:
    """Follow the border clockwise; a filled part that is connected by edges passes each corner once."""
    padded = np.pad(part, 1)
    steps: dict[tuple[int, int], tuple[int, int]] = {}
    # Shift to the neighbour that is not set, and the border's start and end at that side of pixel (0, 0).
    for (down, across), start, end in (
        ((-1, 0), (0, 0), (1, 0)),
        ((0, 1), (1, 0), (1, 1)),
        ((1, 0), (1, 1), (0, 1)),
        ((0, -1), (0, 1), (0, 0)),
    ):
        border = padded & ~np.roll(padded, (-down, -across), axis=(0, 1))
        for y, x in np.argwhere(border[1:-1, 1:-1]).tolist():
            steps[x + start[0], y + start[1]] = (x + end[0], y + end[1])
    walk = [next(iter(steps))]
    while (after := steps[walk[-1]]) != walk[0]:
        walk.append(after)
    turns = zip(walk[-1:] + walk[:-1], walk, walk[1:] + walk[:1], strict=True)
    return [here for before, here, after in turns if not (before[0] == after[0] or before[1] == after[1])]
