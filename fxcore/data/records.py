"""What an adapter says about one image: facts in native units, no policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from fxcore.passes import Split

Code = Literal[1, 0, -1] | None
"""Present, absent, uncertain, or not mentioned."""


class Rle(TypedDict):
    """A COCO run-length encoding: `size` is [height, width], `counts` compressed."""

    size: list[int]
    counts: str


@dataclass(frozen=True, slots=True)
class Box:
    """A box in native pixels: left, top, width, height."""

    label: str
    xywh: tuple[float, float, float, float]
    where: str


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask in native pixels."""

    label: str
    rle: Rle
    where: str


@dataclass(frozen=True, slots=True)
class Stated:
    """The size of an image in pixels as an annotation file states it."""

    width: int
    height: int
    where: str


@dataclass(frozen=True, slots=True)
class Record:
    """One image and what is known of it; an annotation that is None is unknown, an empty one says that nothing is there.

    `image` is unique in its dataset; `patient` is the image itself where the release names none; images of one `group`
    must never be divided between training and test, across all datasets. `where` is the file and row it was read from;
    `stated` sizes must be those of the picture.
    """

    image: str
    file: Path
    patient: str
    group: str
    split: Split
    labels: Mapping[str, Code] | None
    boxes: tuple[Box, ...] | None
    masks: tuple[Mask, ...] | None
    where: str
    stated: tuple[Stated, ...] = ()
