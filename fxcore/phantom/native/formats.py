"""Pictures in the file formats of the datasets: DICOM, MetaImage, raw, 16-bit PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

Grey = NDArray[np.uint8]
Syntax = Literal["explicit", "jpeg", "jpeg2000", "rle"]
SECONDARY_CAPTURE = UID("1.2.840.10008.5.1.4.1.1.7")


def dicom(
    path: Path,
    picture: Grey,
    uid: str,
    syntax: Syntax = "explicit",
    bits: int = 8,
    inverted: bool = False,
    **tags: object,
) -> None:
    """Write a picture 0..255 as DICOM: really compressed where `syntax` says so; `bits` stored, 8 to 16; `inverted` as MONOCHROME1.

    `tags` by keyword, for example `PatientID`.
    """
    values = picture if bits == 8 else np.round(picture * ((2**bits - 1) / 255)).astype(np.uint16)
    if inverted:
        values = (2**bits - 1) - values
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    meta.MediaStorageSOPInstanceUID = UID(uid)
    made = Dataset()
    made.file_meta = meta
    made.SOPClassUID, made.SOPInstanceUID = SECONDARY_CAPTURE, uid
    made.Modality = "CR"
    made.Rows, made.Columns = picture.shape
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = (8 if bits == 8 else 16), bits, bits - 1
    made.PixelRepresentation = 0
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    _pixels(made, values, syntax)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)


def _pixels(made: Dataset, values: NDArray[np.unsignedinteger], syntax: Syntax) -> None:
    match syntax:
        case "explicit":
            made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            data = values.astype("<u2" if values.itemsize == 2 else "u1").tobytes()
            made.PixelData = data + b"\0" * (len(data) % 2)
        case "rle":
            made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            made.PixelData = values.astype("<u2" if values.itemsize == 2 else "u1").tobytes()
            made.compress(RLELossless)
        case "jpeg":
            made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
            made.PixelData = encapsulate([_encoded(values, "JPEG", quality=95)])
            made["PixelData"].is_undefined_length = True
        case "jpeg2000":
            made.file_meta.TransferSyntaxUID = JPEG2000Lossless
            made.PixelData = encapsulate([_encoded(values, "JPEG2000", irreversible=False, no_jp2=True)])
            made["PixelData"].is_undefined_length = True


def _encoded(values: NDArray[np.unsignedinteger], kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(values).save(sink, kind, **options)
    return sink.getvalue()


def metaimage(path: Path, values: NDArray[np.uint16]) -> None:
    """Write a MetaImage: a text header and the values in the same file."""
    height, width = values.shape
    header = (
        "ObjectType = Image\nNDims = 2\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        f"ElementSpacing = 1 1\nDimSize = {width} {height}\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
    )
    path.write_bytes(header.encode() + values.astype("<u2").tobytes())


def raw(path: Path, picture: Grey) -> None:
    """Write a headerless square of big-endian 16-bit values with 12 significant bits, high is dark (JSRT)."""
    values = 4095 - np.round(picture * (4095 / 255)).astype(np.uint16)
    path.write_bytes(values.astype(">u2").tobytes())


def deep_png(path: Path, picture: Grey, least: int, most: int) -> None:
    """Write a 16-bit grey PNG whose values run from `least` to `most` (PadChest)."""
    values = np.round(least + picture * ((most - least) / 255)).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
