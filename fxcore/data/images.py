"""Reading radiographs: any picture file as 8-bit grey, and resizing without aliasing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fxcore.errors import InputError
from fxcore.files import is_there

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif")
DICOM = (".dcm", ".dicom")
MOST_PIXELS = 10**8
"""Of a picture; a radiograph has 2 · 10⁷ at most."""
_WIDE = ("I", "I;16", "I;16B", "I;16L", "F")


def read(path: Path, where: str) -> NDArray[np.uint8]:
    """The picture (height, width) as grey 0..255, bright is dense: DICOM, by name or content, MetaImage, or what Pillow reads.

    Deeper pictures are stretched from their least to their largest value; MetaImages from 0.

    Raises:
        InputError: the file is missing, is no picture, or is cut short.
    """
    if not is_there(path):
        raise InputError(f"{where}: no image {path}; put it there or remove the row")
    from fxcore.data import dicom  # pydicom only where a picture is read: planning names this function, too

    suffix = path.suffix.lower()
    if suffix in (".mha", ".mhd"):
        return _metaimage(path, where)
    if suffix in DICOM or (suffix not in PICTURES and dicom.has_magic(path)):
        return dicom.read(path, where)
    try:
        with Image.open(path) as picture:
            picture.load()
            if picture.mode not in _WIDE:
                return np.asarray(picture.convert("L"))
            deep = np.asarray(picture, dtype=np.float64)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{where}: {path} cannot be decoded ({error}); download it again or remove the row") from error
    low, high = float(deep.min()), float(deep.max())
    return np.round((deep - low) * (255 / max(high - low, 1))).astype(np.uint8)


def _metaimage(path: Path, where: str) -> NDArray[np.uint8]:
    import SimpleITK

    try:
        values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).squeeze().astype(np.float64)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(
            f"{where}: {path} cannot be decoded ({reason}); download it again or remove the row"
        ) from error
    if values.ndim != 2:
        raise InputError(f"{where}: {path} has {values.ndim} dimensions; expected a picture")
    return np.round(values.clip(0) * (255 / max(float(values.max()), 1.0))).astype(np.uint8)


def resize(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A square of `side` pixels, aspect not kept: area average when shrinking, bilinear when enlarging."""
    shrinks = min(image.shape) >= side
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((side, side), how))


def resize_mask(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """A square of `side` pixels that is set where at least half of the area was."""
    return resize(mask.astype(np.uint8) * 255, side) >= 128
