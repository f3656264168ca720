"""What an adapter says about one image: facts in native units, no policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from fxcore.data import images
from fxcore.params.datasets import View
from fxcore.passes import Split

Code = Literal[1, 0, -1] | None
"""Present, absent, uncertain, or not mentioned."""
CODES: dict[str, Code] = {"1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1, "": None}
"""As the datasets write them."""
Labels = Mapping[str, Code]
"""Codes by class."""
Reader = Callable[[Path, str], NDArray[np.uint8]]
"""Decodes a picture to (height, width) grey 0..255, bright is dense; the text says where the file is named, for messages."""


class Rle(TypedDict):
    """A COCO run-length encoding: `size` is [height, width], `counts` compressed."""

    size: list[int]
    counts: str


@dataclass(frozen=True, slots=True)
class Runs:
    """Run lengths as text of numbers.

    `relative`: column by column, each start counted from the end of the run before (SIIM, CANDID); else row by row, each start
    counted from 1 at the first pixel (CheXmask).
    """

    text: str
    relative: bool


@dataclass(frozen=True, slots=True)
class Polygon:
    """Corners (x, y) in native pixels of one closed ring."""

    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A picture that is above zero on the mask; each of its pixels is `scale` × `scale` of the image."""

    path: Path
    scale: int = 1


Shape = Rle | Runs | Polygon | MaskFile
"""A mask as its release writes it; `fxcore.data.shapes` decodes it."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box in native pixels: left, top, width, height; `reader` is who drew it, where several did."""

    label: str
    xywh: tuple[float, float, float, float]
    where: str
    reader: str | None = None


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask in native pixels; those of one class add up."""

    label: str
    shape: Shape
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

    `image` is unique in its dataset; `patient` is None where the release names none, and so is `study`: pictures taken together,
    by a name that no other study of the dataset has. Images of one `group` must never be divided between training and test,
    across all datasets. `split` is the release's own, None where it has none. `where` is the file and
    row it was read from; `stated` sizes must be those of the picture. `readers` are the labels of each reader where several read
    an image; a policy makes `labels` of them.
    """

    image: str
    file: Path
    patient: str | None
    group: str
    split: Split | None
    labels: Labels | None
    boxes: tuple[Box, ...] | None
    masks: tuple[Mask, ...] | None
    where: str
    stated: tuple[Stated, ...] = ()
    readers: tuple[Labels, ...] = ()
    view: View | None = None
    study: str | None = None
    read: Reader = images.read
