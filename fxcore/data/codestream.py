"""Sizes that compressed pictures state themselves, beside those of the DICOM header around them: decoders take memory for the former."""

from __future__ import annotations

import struct

_J2K = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 stream, and of its sizes."""
_SOS, _DHP, _LS = 0xDA, 0xDE, 0xF7
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""Markers between 0xC0 and 0xCF that begin no frame."""
_BARE = (0x01, *range(0xD0, 0xD9))
"""Markers without a length."""


Size = tuple[int, int, int]
"""Height, width and components."""


def jpeg_2000(stream: bytes) -> set[Size]:
    """The sizes that every beginning of a JPEG 2000 stream states.

    Raises:
        struct.error: it is cut short there.
    """
    found: set[Size] = set()
    at = stream.find(_J2K)
    while at >= 0:
        right, bottom, left, top = struct.unpack_from(">4I", stream, at + 8)
        found.add((bottom - top, right - left, *struct.unpack_from(">H", stream, at + 40)))
        at = stream.find(_J2K, at + 1)
    return found


def jpeg(stream: bytes) -> set[Size]:
    """The sizes that the headers of a JPEG or JPEG-LS stream state, up to its first scan.

    Raises:
        struct.error: it is cut short in one of them.
    """
    found: set[Size] = set()
    at = 2
    while at < len(stream) - 1:
        marker = stream[at + 1]
        if stream[at] != 0xFF or marker == 0xFF or marker in _BARE:
            at += 1 if stream[at] != 0xFF or marker == 0xFF else 2
            continue
        if marker == _SOS:
            break
        if marker in (_DHP, _LS) or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME):
            found.add(struct.unpack_from(">HHB", stream, at + 5))
        at += 2 + max(2, struct.unpack_from(">H", stream, at + 2)[0])
    return found
