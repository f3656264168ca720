"""Reading radiographs: any picture file as 8-bit grey, and resizing without aliasing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fxcore.errors import InputError

_WIDE = ("I", "I;16", "I;16B", "I;16L", "F")


def read(path: Path, where: str) -> NDArray[np.uint8]:
    """The picture (height, width) as grey 0..255; deeper pictures are stretched from their least to their largest value.

    Raises:
        InputError: the file is missing, is no picture, or is cut short.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
            if picture.mode not in _WIDE:
                return np.asarray(picture.convert("L"))
            deep = np.asarray(picture, dtype=np.float64)
    except FileNotFoundError as error:
        raise InputError(f"{where}: no image {path}; put it there or remove the row") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{where}: {path} cannot be decoded ({error}); download it again or remove the row") from error
    low, high = float(deep.min()), float(deep.max())
    return np.round((deep - low) * (255 / max(high - low, 1))).astype(np.uint8)


def resize(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A square of `side` pixels, aspect not kept: area average when shrinking, bilinear when enlarging."""
    shrinks = min(image.shape) >= side
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((side, side), how))


def resize_mask(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """A square of `side` pixels that is set where at least half of the area was."""
    return resize(mask.astype(np.uint8) * 255, side) >= 128
