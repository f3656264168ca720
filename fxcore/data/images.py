"""Reading radiographs: any picture file as 8-bit grey, and resizing without aliasing."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fxcore.errors import InputError
from fxcore.files import is_there

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif")
DICOM = (".dcm", ".dicom")
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow is asked for: of some others it starts programs."""
MOST_PIXELS = 5 * 10**7
"""Of a picture; a radiograph has 2 · 10⁷ at most."""
DAMAGED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""What decoders raise on files that are cut or altered."""
_WIDE = ("I", "I;16", "I;16B", "I;16L", "F")
_DATA = re.compile(rb"ElementDataFile[ \t]*[=:]?[ \t]*([^\r\n]*)")
_BESIDE = re.compile(rb"LOCAL|(?!LIST\b)\w[\w.-]*")
"""Where the pixels of a MetaImage may be: in the file itself, or in another one of its folder."""


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
        with decoding():
            picture = load(path)
            if picture.mode not in _WIDE:
                return np.asarray(picture.convert("L"))
            deep = _numbers(np.asarray(picture, dtype=np.float64))
    except ValueError as error:
        raise InputError(f"{where}: {path} cannot be decoded ({error}); download it again or remove the row") from error
    low, high = float(deep.min()), float(deep.max())
    return np.round((deep - low) * (255 / max(high - low, 1))).astype(np.uint8)


@contextmanager
def decoding() -> Iterator[None]:
    """Whatever decoders raise as a ValueError with its last line, and none of what they warn of."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DAMAGED as error:
        raise ValueError((str(error).strip().splitlines() or [type(error).__name__])[-1]) from error


def load(path: Path) -> Image.Image:
    """A picture file of a usual format and of no more pixels than radiographs have, decoded; call it while `decoding`."""
    with Image.open(path, formats=FORMATS) as picture:
        _fits(picture.size)
        picture.load()
    return picture


def _fits(size: tuple[int, ...]) -> None:
    """Before there is memory for it."""
    if not 0 < prod(size) <= MOST_PIXELS:
        raise ValueError(f"it says {' × '.join(map(str, size))} pixels; a radiograph has {MOST_PIXELS:,} at most")


def _numbers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise ValueError("some of its values are no numbers")
    return values


def _metaimage(path: Path, where: str) -> NDArray[np.uint8]:
    import SimpleITK

    reader: Any = SimpleITK.ImageFileReader()  # type: ignore[no-untyped-call]
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    try:
        with decoding():
            _check_pixels(path)
            reader.ReadImageInformation()
            _fits(reader.GetSize())
            values = _numbers(SimpleITK.GetArrayFromImage(reader.Execute()).squeeze().astype(np.float64))
    except ValueError as error:
        raise InputError(f"{where}: {path} cannot be decoded ({error}); download it again or remove the row") from error
    if values.ndim != 2:
        raise InputError(f"{where}: {path} has {values.ndim} dimensions; expected a picture")
    return np.round(values.clip(0) * (255 / max(float(values.max()), 1.0))).astype(np.uint8)


def _check_pixels(path: Path) -> None:
    """A header may name any file of the machine as that of its pixels."""
    for name in _DATA.findall(path.read_bytes()):
        if not _BESIDE.fullmatch(name.strip()) or (path.parent / name.strip().decode()).is_symlink():
            raise ValueError("its header names pixels that are not beside it")


def resize(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A square of `side` pixels, aspect not kept: area average when shrinking, bilinear when enlarging."""
    shrinks = min(image.shape) >= side
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((side, side), how))


def resize_mask(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """A square of `side` pixels that is set where at least half of the area was."""
    return resize(mask.astype(np.uint8) * 255, side) >= 128
