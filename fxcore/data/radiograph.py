"""Reading what a user calls a radiograph, and refusing early what is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fxcore.data import dicom, images
from fxcore.errors import InputError
from fxcore.files import is_there

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
DICOM = (".dcm", ".dicom")
LEAST_SIDE = 32
"""Of a picture in pixels; smaller ones are icons and thumbnails."""
MOST_COLOUR = 8.0
"""Mean difference between the greatest and the least channel of a pixel, of 255, that noise of JPEG and small coloured
annotations stay below; photos have 20 and more."""
_COLOURLESS = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
_SIDE_OF_COLOUR = 512
"""Colour is judged on a picture reduced to this side."""


def read(path: Path) -> NDArray[np.uint8]:
    """The radiograph (height, width) as grey 0..255 from a DICOM file, by name or content, or a picture that Pillow reads.

    Raises:
        InputError: the file is missing or cannot be decoded, or is no radiograph: coloured, smaller than 32 pixels a side, or
            of one value throughout.
    """
    if not is_there(path):
        raise InputError(f"{path}: no such file; give a radiograph as PNG, JPEG or DICOM")
    is_dicom = path.suffix.lower() in DICOM or dicom.has_magic(path)
    picture = dicom.read(path, "radiograph") if is_dicom else _picture(path)
    height, width = picture.shape
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"{path}: is {width} × {height} pixels; expected a radiograph of at least {LEAST_SIDE} a side")
    if picture.min() == picture.max():
        raise InputError(f"{path}: every pixel has the value {picture.min()}; expected a radiograph, export it again")
    return picture


def _picture(path: Path) -> NDArray[np.uint8]:
    try:
        picture = images.read(path, "radiograph")
    except InputError as error:
        raise InputError(
            f"{path}: cannot be decoded ({error.__cause__}); expected a radiograph as PNG, JPEG or DICOM"
        ) from error
    if _colour(path) > MOST_COLOUR:
        raise InputError(f"{path}: is a colour picture; expected a radiograph, save it in grey if it is one")
    return picture


def _colour(path: Path) -> float:
    """Mean over pixels of greatest less least channel, 0..255; 0 for a picture without colour."""
    with images.decoding():
        picture = images.load(path)
        if picture.mode in _COLOURLESS:
            return 0.0
        picture.thumbnail((_SIDE_OF_COLOUR, _SIDE_OF_COLOUR))
        channels = np.asarray(picture.convert("RGB"), dtype=np.int16)
    return float(np.ptp(channels, axis=2).mean())


def radiographs(paths: Sequence[Path]) -> list[Path]:
    """The files given, and those below folders given in the order of their names, each once.

    Below a folder, a picture or DICOM file is known by its suffix, a DICOM file without one by its content; hidden files
    and folders are left out.

    Raises:
        InputError: a path is not there, or a folder holds no radiograph.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(_below(path))
            if not below:
                names = ", ".join(PICTURES + DICOM)
                raise InputError(f"{path}: no radiograph in this folder; expected files named {names}, or DICOM")
            found += below
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"{path}: no such file or folder; give radiographs as PNG, JPEG or DICOM")
    return list(dict.fromkeys(found))


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and (path.suffix.lower() in PICTURES + DICOM or _is_bare_dicom(path)):
            yield path


def _is_bare_dicom(path: Path) -> bool:
    """Whether a file without suffix is DICOM; what follows the last dot of a UID is none, and DICOMDIR only lists files."""
    suffix = path.suffix[1:]
    return (not suffix or suffix.isdecimal()) and path.name != "DICOMDIR" and dicom.has_magic(path)
