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
    # Each of them, too: a sum of large ones may come round to the right number.
    if runs.min() < 0 or runs.max() > height * width or runs.sum() != height * width:
        raise ValueError(f"runs cover {runs.sum()} pixels; the image has {height} × {width} = {height * width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


_MANY = 1 << 31
"""More than the pixels of any picture."""
_NO_BLANKS = str.maketrans("", "", " \t\r\n")


def numbers(text: str) -> NDArray[np.int64]:
    """Pairs of start and length, (runs, 2), of run lengths written as numbers.

    Raises:
        ValueError: not pairs of whole numbers, the lengths above zero.
    """
    digits = text.translate(_NO_BLANKS)
    values = np.fromstring(text, dtype=np.int64, sep=" ") if digits.isascii() and digits.isdecimal() else None
    if values is None or len(values) % 2:
        raise ValueError(f"run lengths {_short(text)!r} are not pairs of start and length")
    pairs = values.reshape(-1, 2)
    if (values >= _MANY).any():
        raise ValueError(f"run lengths {_short(text)!r} go past any picture")
    if not (pairs[:, 1] > 0).all():
        raise ValueError(f"run lengths {_short(text)!r} have a run of length 0")
    return pairs


def relative(text: str) -> NDArray[np.int64]:
    """Starts and ends (runs, 2), from 0, column by column, of text whose starts count from the end of the run before.

    Raises:
        ValueError: the text is not of that form.
    """
    return np.cumsum(numbers(text).reshape(-1)).reshape(-1, 2)


def absolute(text: str) -> NDArray[np.int64]:
    """Starts and ends (runs, 2), from 0, row by row, of text whose starts count from 1 at the first pixel.

    Raises:
        ValueError: the text is not of that form, or a run begins before the last has ended.
    """
    pairs = numbers(text)
    starts = pairs[:, 0] - 1
    ends = starts + pairs[:, 1]
    if (starts < 0).any() or (starts[1:] < ends[:-1]).any():
        raise ValueError(f"run lengths {_short(text)!r} do not rise from 1 on")
    return np.stack([starts, ends], axis=1)


def fill(spans: NDArray[np.int64], pixels: int) -> NDArray[np.bool_]:
    """A line of pixels that is set in rising spans of start and end.

    Raises:
        ValueError: a span goes past the end.
    """
    if spans[-1, 1] > pixels:
        raise ValueError(f"a run ends at pixel {spans[-1, 1]}; the image has {pixels}")
    edges = np.concatenate([[0], spans.reshape(-1), [pixels]])
    return np.repeat(np.arange(len(edges) - 1) % 2 == 1, np.diff(edges))


def box(spans: NDArray[np.int64], across: int) -> tuple[int, int, int, int]:
    """The least box around spans of lines of `across` pixels: first pixel in a line, first line, pixels, lines.

    Raises:
        ValueError: lines have no pixels.
    """
    if across < 1:
        raise ValueError(f"the image is {across} pixels across")
    first, last = spans[:, 0], spans[:, 1] - 1
    lines = int(first[0] // across), int(last[-1] // across)
    wraps = bool((first // across != last // across).any())
    low, high = (0, across - 1) if wraps else (int((first % across).min()), int((last % across).max()))
    return low, lines[0], high - low + 1, lines[1] - lines[0] + 1


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:27]}…"
