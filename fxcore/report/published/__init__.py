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
    """A cell of the paper's pretraining table, or of its table of organs, in percent, with a note where the print needs one."""

    baseline: float
    foundation_x: float
    note: str
    printed_difference: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Dice of three initialisations in percent, with a note where the print needs one."""

    ark: float
    popar: float
    foundation_x: float
    note: str

    def of(self, initialisation: str) -> float | None:
        """The number of an initialisation by its name here; None for any other."""
        found = {"Ark": self.ark, "POPAR": self.popar, "Foundation X": self.foundation_x}
        return found.get(initialisation)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the paper says, where, and how it is tested.

    `test` is the kind of test, `dataset`, `task` and `item` (organ, number of images, pair of runs, part of the method) are what it
    is about; the effect is held against `threshold`. `published` are words where no number is printed.
    """

    id: str
    text: str
    source: str
    test: str
    dataset: str
    task: str
    item: str
    threshold: float
    published: str


def rows(name: str) -> list[dict[str, str]]:
    """The lines of a file here, without parsing a number."""
    with (HERE / f"{name}.csv").open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def _pair(row: Mapping[str, str]) -> Pretraining:
    return Pretraining(float(row["baseline"]), float(row["foundation_x"]), row["note"], row["printed_difference"])


def _three(row: Mapping[str, str]) -> Transfer:
    return Transfer(float(row["ark"]), float(row["popar"]), float(row["foundation_x"]), row["note"])


@cache
def pretraining() -> Mapping[tuple[str, str], Pretraining]:
    """The paper's pretraining table by dataset key and task."""
    return {(row["dataset"], row["task"]): _pair(row) for row in rows("pretraining")}


@cache
def organs() -> Mapping[tuple[str, str, str], Pretraining]:
    """The paper's organs on VinDr-CXR by dataset key, task and organ."""
    return {(row["dataset"], row["task"], row["organ"]): _pair(row) for row in rows("organs")}


@cache
def transfer() -> Mapping[str, Transfer]:
    """The paper's segmentation of other datasets by dataset key."""
    return {row["dataset"]: _three(row) for row in rows("transfer")}


@cache
def few_shot() -> Mapping[tuple[str, int], Transfer]:
    """The paper's segmentation with few images by dataset key and number of images."""
    return {(row["dataset"], int(row["samples"])): _three(row) for row in rows("few_shot")}


@cache
def finetuning() -> Mapping[str, float]:
    """Best values of the paper's fine-tuning curves, `full`, `head` and `baseline`, read off the plot."""
    return {row["run"]: float(row["best"]) for row in rows("finetuning")}


@cache
def claims() -> tuple[Claim, ...]:
    """What the paper says, in its order."""
    return tuple(Claim(**{**row, "threshold": float(row["threshold"])}) for row in rows("claims"))  # type: ignore[arg-type]
