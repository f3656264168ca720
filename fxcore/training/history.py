"""Numbers of every update of a training, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from fxcore.files import atomic

Row = dict[str, float | int | str]


def write_history(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write a row an update; floats to six significant digits, blank where a row lacks a column."""
    with atomic(path) as part, part.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, columns, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )
