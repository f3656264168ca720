"""Tables of the results in parquet, sealed.

The SHA-256 of all other bytes stands between pages and footer, where no reader of parquet looks: its own checksums are of
pages only, and a flipped bit of the footer is another type or another number of rows.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pandas as pd

from fxcore.errors import InputError
from fxcore.files import again, atomic

_TAIL = 8
"""Bytes: length of the footer, and PAR1."""


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a table, without its index, atomically.

    Raises:
        InputError: the file cannot be written.
    """
    made = io.BytesIO()
    table.to_parquet(made, index=False)
    content = made.getbuffer()
    at = _footer(content)
    with atomic(path) as part, part.open("wb") as sink:
        sink.writelines((content[:at], hashlib.sha256(content).digest(), content[at:]))


def read(path: Path) -> pd.DataFrame:
    """A table that `write` wrote.

    Raises:
        InputError: it is missing, or not what was written; how to make it again.
    """
    try:
        content = path.read_bytes()
        if not _whole(memoryview(content)):
            raise ValueError("it does not have the checksum that it was written with")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({error}); {again(path)}") from error
    return pd.read_parquet(io.BytesIO(content))


def _whole(content: memoryview) -> bool:
    at = _footer(content) if len(content) >= _TAIL else 0
    start = at - hashlib.sha256().digest_size
    if start < 0:
        return False
    made = hashlib.sha256(content[:start])
    made.update(content[at:])
    return made.digest() == content[start:at]


def _footer(content: memoryview) -> int:
    """Where the footer begins."""
    return len(content) - _TAIL - int.from_bytes(content[-_TAIL : 4 - _TAIL], "little")
