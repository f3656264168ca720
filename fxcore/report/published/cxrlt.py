"""Numbers of the CXR-LT 2024 slides (Yang 2024), of the authors' code and of the challenge, each as it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from fxcore.report.published import rows

BOARD = ("map", "mauc", "mf1", "mece")
"""Metrics of the challenge, in its order."""


@dataclass(frozen=True, slots=True)
class Images:
    """How many images a source of self-supervision (by its `key`) or a part of the labelled data has."""

    use: str
    key: str
    title: str
    part: str
    images: int
    note: str


@dataclass(frozen=True, slots=True)
class Model:
    """What a row of the slides is of. An ensemble has several resolutions, and joins them with a plus."""

    architecture: str
    resolution: str
    head: str
    epochs: int
    aggregation: str
    """`none`, `average` or `concat`."""
    label_augmentation: bool

    @property
    def several(self) -> bool:
        """Whether it is an ensemble."""
        return "+" in self.resolution


@dataclass(frozen=True, slots=True)
class Development:
    """mAP on the development set by task, shares of one."""

    tasks: Mapping[str, Decimal]
    note: str


@dataclass(frozen=True, slots=True)
class Tested:
    """A system on the test set of a task: by metric of `BOARD` a share of one, and the rank on the board, where it has them."""

    task: str
    system: str
    values: Mapping[str, Decimal]
    ranks: Mapping[str, int]
    note: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as the slides, the authors' code and their log of the stage at 512 pixels have it; empty where they say nothing.

    A setting of a stage has its resolution before the dot of its key, one of the network has `vit`.
    """

    key: str
    title: str
    slides: str
    repository: str
    log: str
    note: str


@cache
def images() -> tuple[Images, ...]:
    """What was trained on."""
    return tuple(
        Images(row["use"], row["key"], row["title"], row["part"], int(row["images"]), row["note"])
        for row in rows("cxrlt_data")
    )


@cache
def development() -> Mapping[Model, Development]:
    """The slides' tables of the development set."""
    return {_model(row): Development(_shares(row, ("task1", "task2")), row["note"]) for row in rows("cxrlt_dev")}


@cache
def tested() -> tuple[Tested, ...]:
    """The board of the challenge as the slides have it (task 2), and other systems' test numbers."""
    return tuple(
        Tested(
            row["task"],
            row["system"],
            _shares(row, BOARD),
            {metric: int(rank) for metric in BOARD if (rank := row.get(f"{metric}_rank"))},
            row["note"],
        )
        for row in (*rows("cxrlt_test"), *rows("cxrlt_anchors"))
    )


@cache
def settings() -> tuple[Setting, ...]:
    """How the backbones were pretrained."""
    named = ("key", "title", "slides", "repository", "log", "note")
    return tuple(Setting(**{name: row[name] for name in named}) for row in rows("cxrlt_settings"))


def in_percent(share: Decimal) -> str:
    """A printed share of one as a percentage with every digit that is printed, and no other."""
    return f"{share.scaleb(2):f}"


def _model(row: Mapping[str, str]) -> Model:
    epochs, augmented = int(row["epochs"]), row["label_augmentation"] == "yes"
    return Model(row["architecture"], row["resolution"], row["head"], epochs, row["aggregation"], augmented)


def _shares(row: Mapping[str, str], columns: tuple[str, ...]) -> Mapping[str, Decimal]:
    return {column: Decimal(printed) for column in columns if (printed := row.get(column))}
