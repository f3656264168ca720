"""Numbers as the papers print them, each with its source; never mixed with measured ones."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Pretraining:
    """A cell of the paper's pretraining table in percent, with a note where the print contradicts itself."""

    baseline: float
    foundation_x: float
    note: str


@cache
def pretraining() -> Mapping[tuple[str, str], Pretraining]:
    """The paper's pretraining table by dataset key and task."""
    with (HERE / "pretraining.csv").open(encoding="utf-8", newline="") as source:
        return {
            (row["dataset"], row["task"]): Pretraining(float(row["baseline"]), float(row["foundation_x"]), row["note"])
            for row in csv.DictReader(source)
        }
