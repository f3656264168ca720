"""A phantom of a dataset, for a writer to put into a native format: the picture, what a class means in it, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fxcore.data.records import Code
from fxcore.params.datasets import Labels
from fxcore.passes import Split
from fxcore.phantom.labels import MEANS, ORGANS, plain, present
from fxcore.phantom.scene import Phantom

SIDE = 160
"""Pixels of a phantom's width and height."""
CONSPICUITY = (0.75, 1.0)
"""Of findings; faint ones would need more pictures than a laptop trains on."""
BLANK, HEDGED = 0.7, 0.1
"""Where blanks mean absence: share of absent classes that are not mentioned, and of training labels that are uncertain."""

Mask = NDArray[np.bool_]


class Source(NamedTuple):
    """The picture of another release that a phantom is: its name here, the other adapter, its number and name there.

    `patient` is its group there, None where nobody is told that it is the same picture.
    """

    name: str
    adapter: str
    number: int
    image: str
    patient: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """One phantom: its number in the release, the split it is meant for, what was drawn, and randomness for the writer."""

    number: int
    split: Split
    findings: tuple[str, ...]
    phantom: Phantom
    random: np.random.Generator
    source: Source | None = field(default=None, kw_only=True)
    """Of a picture that is another release's."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture (height, width), bright is dense."""
        return self.phantom.pixels

    def has(self, label: str) -> bool:
        """Whether a class applies."""
        return present(label, self.findings)

    def shapes(self, label: str) -> list[Mask]:
        """What a class marks in the picture, an instance each."""
        key = plain(label)
        if key in ORGANS:
            return [np.logical_or.reduce([self.phantom.organs[organ] for organ in ORGANS[key]])]
        return [mask for finding in MEANS.get(key, ()) for mask in self.phantom.findings.get(finding, ())]

    def code(self, label: str, policy: Labels) -> Code:
        """A label as the dataset's kind states it: by a report parser where blanks mean absence, else by readers."""
        there = self.has(label)
        if policy.blank == "blank_zero":
            if self.split is Split.TRAIN and there and self.random.random() < HEDGED:
                return -1
            if not there and self.random.random() < BLANK:
                return None
        return 1 if there else 0


def extent(shape: Mask) -> tuple[int, int, int, int]:
    """The least box around a mask: left, top, width, height in pixels."""
    rows, columns = np.nonzero(shape)
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top


def framed(
    picture: NDArray[np.uint8], left: int = 0, right: int = 0, top: int = 0, bottom: int = 0
) -> NDArray[np.uint8]:
    """A picture or mask with unexposed borders of some pixels, so that it is not square; the content moves by (left, top)."""
    return np.pad(picture, ((top, bottom), (left, right)))
