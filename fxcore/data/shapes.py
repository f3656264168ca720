"""Masks as releases write them, decoded: the one place that knows what a code means in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon as filled

from fxcore.data import images, rle
from fxcore.data.records import Mask, MaskFile, Polygon, Runs
from fxcore.errors import InputError

Bitmap = NDArray[np.bool_]
MOST_CORNERS = 10_000
"""Of a polygon: every pixel is held against each of them."""
OVERHANG = 1.0
"""Pixels by which a corner of a polygon or box may pass the image's edge, for sources that round."""


def bitmap(mask: Mask, height: int, width: int) -> Bitmap:
    """A mask as pixels (height, width) of its image.

    Raises:
        InputError: it is not of that size, or cannot be decoded.
    """
    try:
        match mask.shape:
            case Runs(text, relative=True):
                return rle.fill(rle.relative(text), height * width).reshape(width, height).T
            case Runs(text, relative=False):
                return rle.fill(rle.absolute(text), height * width).reshape(height, width)
            case Polygon(points):
                return _filled(points, height, width)
            case MaskFile() as file:
                return _picture(file, height, width)
            case {"size": [int(high), int(wide)], "counts": str(counts)}:
                if (high, wide) != (height, width):
                    raise ValueError(f"the mask has {wide} × {high} pixels, its image {width} × {height}")
                return rle.decode({"size": [high, wide], "counts": counts})
            case _:
                raise ValueError("the mask is of no form that is known")
    except ValueError as error:
        raise InputError(f"{mask.where}: {mask.label}: {error}; correct the mask or download the file again") from error


def box(shape: Runs | Polygon, height: int, width: int) -> tuple[float, float, float, float]:
    """The least box around a mask, left, top, width, height: of run lengths the pixels', of a polygon its corners'.

    Raises:
        ValueError: it cannot be decoded.
    """
    match shape:
        case Runs(text, relative=True):
            top, left, down, across = rle.box(rle.relative(text), height)
            return left, top, across, down
        case Runs(text):
            return rle.box(rle.absolute(text), width)
        case Polygon(points):
            xs, ys = zip(*points, strict=True)
            return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _filled(points: tuple[tuple[float, float], ...], height: int, width: int) -> Bitmap:
    """Pixels whose centre, half a pixel from its corner, lies inside (even-odd)."""
    if not 3 <= len(points) <= MOST_CORNERS:
        raise ValueError(f"a polygon of {len(points)} points; expected three at least, and {MOST_CORNERS:,} at most")
    xs, ys = np.array(points, dtype=np.float64).T
    inside = min(xs.min(), ys.min()) >= -OVERHANG and xs.max() <= width + OVERHANG and ys.max() <= height + OVERHANG
    if not inside:  # nor where a corner is no number
        raise ValueError(
            f"a corner at ({xs.max():g}, {ys.max():g}) or before (0, 0) leaves the image of {width} × {height} pixels"
        )
    made = np.zeros((height, width), dtype=np.bool_)
    made[filled(ys - 0.5, xs - 0.5, shape=(height, width))] = True
    return made


def _picture(file: MaskFile, height: int, width: int) -> Bitmap:
    try:
        with images.decoding():
            made: Bitmap = np.asarray(images.load(file.path).convert("L")) > 0
    except ValueError as error:
        raise ValueError(f"{file.path} cannot be decoded ({error})") from error
    high, wide = (side * file.scale for side in made.shape)
    if (high, wide) != (height, width):
        raise ValueError(f"{file.path} has {wide} × {high} pixels of the image, which has {width} × {height}")
    return made.repeat(file.scale, axis=0).repeat(file.scale, axis=1)
