"""Run-length codes between masks and COCO's compressed text, vectorised and safe for text from strangers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fxcore.data.records import Rle


def encode(mask: NDArray[np.bool_]) -> Rle:
    """A mask (height, width) as COCO's compressed run lengths."""
    made = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in made["size"]], "counts": made["counts"].decode()}


def counts(text: str) -> NDArray[np.int64]:
    """Lengths of alternating runs, zeros first, from COCO's compressed text.

    Each number is written in groups of five bits, low first, from the character '0' on; bit 5 says that more follow, bit 4 of
    the last is the sign; from the fourth number on, the difference to the number two before is written.

    Raises:
        ValueError: the text is not of that form.
    """
    groups = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) - 48
    if len(groups) == 0 or groups.min() < 0 or groups.max() > 63 or groups[-1] & 0x20:
        raise ValueError("not COCO's compressed run lengths")
    last = (groups & 0x20) == 0
    start = np.flatnonzero(np.concatenate([[True], last[:-1]]))
    place = np.arange(len(groups)) - np.repeat(start, np.diff([*start, len(groups)]))
    if place.max() > 6:
        raise ValueError("a run length of more than 35 bits")
    values = np.add.reduceat((groups & 0x1F) << (5 * place), start)
    negative = (groups[last] & 0x10) != 0
    values[negative] -= 1 << (5 * (place[last][negative] + 1))
    runs = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    return runs


def decode(rle: Rle) -> NDArray[np.bool_]:
    """The mask (height, width) of COCO's compressed run lengths.

    Raises:
        ValueError: the text is not of that form, or its runs do not fill the size exactly.
    """
    height, width = rle["size"]
    runs = counts(rle["counts"])
    if runs.min() < 0 or runs.sum() != height * width:
        raise ValueError(f"runs cover {runs.sum()} pixels; the image has {height} × {width} = {height * width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T
