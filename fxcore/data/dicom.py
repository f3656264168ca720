"""Reading DICOM radiographs as a viewer shows them: rescale, window, one inversion, 8 bit (DICOM PS3.3, C.11 and C.7.6.3).

No message carries anything out of a file but its transfer syntax and kind of picture: a header names a patient.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000TransferSyntaxes, RLELossless
from scipy.special import expit

from fxcore.data import codestream
from fxcore.data.images import MOST_PIXELS
from fxcore.errors import InputError

MAGIC = b"DICM"
"""At byte `OFFSET` of every DICOM file."""
OFFSET = 128

Values = NDArray[np.float64]

# pydicom logs what it warns of, and quotes values of the header: names of patients, in a log that is kept.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_MOST_BYTES = 4 * MOST_PIXELS
_GREY = ("MONOCHROME1", "MONOCHROME2")
_AGAIN = "copy or export it again"
_DAMAGED = (
    *(ArithmeticError, AttributeError, BytesLengthException, EOFError, LookupError, MemoryError, OSError),
    *(RuntimeError, TypeError, ValueError, struct.error, zlib.error),
)
"""What pydicom and the decoders raise on files that are cut or altered."""


def has_magic(path: Path) -> bool:
    """Whether a file says that it is DICOM, whatever its name; one that cannot be opened does not."""
    try:
        with path.open("rb") as source:
            return source.read(OFFSET + len(MAGIC))[OFFSET:] == MAGIC
    except OSError:
        return False


def read(path: Path, where: str) -> NDArray[np.uint8]:
    """The radiograph (height, width) as grey 0..255, bones bright.

    Values go through the modality table or rescale, the first VOI table or window, and are inverted if MONOCHROME1. Without
    a VOI, 8-bit pictures stay as they are and others are stretched from their least to their greatest value.

    Raises:
        InputError: the file is missing, is no DICOM, has no picture, several, or a coloured one, is in a transfer syntax that
            cannot be decoded, or is cut short.
    """
    with readable(path, where):
        dataset = opened(path)
        _check(dataset, f"{where}: {path}")
        pixels = dataset.pixel_array
        if pixels.shape != (dataset.Rows, dataset.Columns):
            raise ValueError("another number of pixels than stated")
        shown = _shown(dataset, pixels)
        if not np.isfinite(shown).all():
            raise ValueError("a table or window makes no numbers of them")
        inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    # The one place that inverts: pydicom leaves pixels as stored, and PresentationLUTShape only repeats MONOCHROME1.
    grey = np.round(shown.clip(0, 1) * 255).astype(np.uint8)
    return 255 - grey if inverted else grey


def opened(path: Path, **how: Any) -> FileDataset:
    """The content of a DICOM file, which is inflated only as far as a radiograph goes; `how` are options of pydicom.

    Raises:
        ValueError: it would go further; anything that pydicom raises.
    """
    with path.open("rb") as source:
        read_preamble(source, force=False)
        meta = _read_file_meta_info(source)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            inflate.decompress(source.read(), _MOST_BYTES)
            if not inflate.eof:
                raise ValueError("more than a radiograph takes")
    return dcmread(path, **how)


@contextmanager
def readable(path: Path, where: str) -> Iterator[None]:
    """Say in one line what a decoder says in many ways, and keep its warnings from the user.

    Causes are cut off (`from None`), since pydicom quotes values of the header.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileNotFoundError:
        raise InputError(f"{where}: no image {path}; put it there or remove the row") from None
    except (IsADirectoryError, PermissionError) as error:
        raise InputError(f"{where}: {path} cannot be opened ({error.strerror}); let your user read it") from None
    except InvalidDicomError:
        raise InputError(
            f"{where}: {path} is no DICOM file (no 'DICM' at byte {OFFSET}); {_AGAIN}, or give a PNG or JPEG"
        ) from None
    except _DAMAGED:
        raise InputError(
            f"{where}: {path} cannot be decoded, it is cut short or damaged; expected a whole DICOM file, {_AGAIN}"
        ) from None


def _check(dataset: FileDataset, file: str) -> None:
    """Raise InputError unless the file holds one grey picture that a decoder is there for."""
    if "PixelData" not in dataset:
        raise InputError(
            f"{file} has no pixel data or was cut short; expected one radiograph, {_AGAIN} or leave it out"
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise InputError(f"{file} has {frames} frames; expected one radiograph, export a single image")
    kind = str(dataset.get("PhotometricInterpretation", ""))
    if dataset.get("SamplesPerPixel", 1) != 1 or kind not in _GREY:
        raise InputError(f"{file} is a colour picture; expected {' or '.join(_GREY)}, export the radiograph in grey")
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:
        decodable = get_decoder(syntax).is_available
    except NotImplementedError:
        decodable = False
    if not decodable:
        raise InputError(
            f"{file}: no decoder for its transfer syntax {syntax.name!r}; export it as Explicit VR Little Endian"
        )
    height, width = int(dataset.Rows), int(dataset.Columns)
    if height * width > MOST_PIXELS:
        raise InputError(f"{file} has {width} × {height} pixels; expected a radiograph, of {MOST_PIXELS:,} at most")
    if syntax.is_encapsulated and syntax != RLELossless:
        sizes = codestream.jpeg_2000 if syntax in JPEG2000TransferSyntaxes else codestream.jpeg
        if sizes(get_frame(dataset.PixelData, 0, number_of_frames=1)) != {(height, width, 1)}:
            raise ValueError("the picture is of another size than the file says")


def _shown(dataset: Dataset, pixels: NDArray[np.integer]) -> Values:
    """Stored pixels as brightness 0..1, before any inversion."""
    values = _modality(dataset, pixels.astype(np.float64))
    if tables := dataset.get("VOILUTSequence"):
        return _look_up(values, tables[0], dataset) / (2.0 ** _descriptor(tables[0])[2] - 1)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    centre, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    least = 0.0 if function in ("LINEAR_EXACT", "SIGMOID") else 1.0
    if centre is not None and width is not None and width >= least and width > 0:
        return window(values, centre, width, function)
    if dataset.BitsStored == 8 and dataset.PixelRepresentation == 0 and np.array_equal(values, pixels):
        return values / 255
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low or 1.0)


def _modality(dataset: Dataset, values: Values) -> Values:
    if tables := dataset.get("ModalityLUTSequence"):
        return _look_up(values, tables[0], dataset)
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    return values * (1.0 if slope is None else slope) + (intercept or 0.0)


def window(values: Values, centre: float, width: float, function: str = "LINEAR") -> Values:
    """Values as brightness 0..1 by a VOI window: C.11.2.1.2.1 for LINEAR and any other name, C.11.2.1.3 for the rest.

    `width` is at least 1 for LINEAR, above 0 for LINEAR_EXACT and SIGMOID.
    """
    if function == "SIGMOID":
        curve: Values = expit(4 * (values - centre) / width)
        return curve
    if function != "LINEAR_EXACT":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0, 1)


def _look_up(values: Values, table: Dataset, dataset: Dataset) -> Values:
    """Entries of a modality or VOI table; values before its first and after its last entry get these (C.11.1.1)."""
    count, first, _ = _descriptor(table)
    data = table.LUTData
    if isinstance(data, bytes):
        _, little = dataset.original_encoding
        wide = np.dtype("<u2" if little else ">u2")
        data = np.frombuffer(data, dtype=np.uint8 if len(data) < 2 * count else wide)
    entries = np.asarray(data, dtype=np.float64)[:count]
    found: Values = entries[np.clip(np.round(values) - first, 0, len(entries) - 1).astype(np.intp)]
    return found


def _descriptor(table: Dataset) -> tuple[int, int, int]:
    """Number of entries, the value that the first is for, and bits an entry; 2¹⁶ entries are written as 0."""
    count, first, bits = table.LUTDescriptor
    return int(count) or 1 << 16, int(first), int(bits)


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of a decimal string, None where there is none."""
    value = dataset.get(keyword)
    if value is None or isinstance(value, str | bytes):
        return None
    first = next(iter(value), None) if hasattr(value, "__iter__") else value
    return float(first) if first is not None and isfinite(first) else None
