"""What a figure's builder gives: the picture, and the caption that says what it shows."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with its caption, which says what a table's does: which data and split, which run and branch, how many seeds."""

    figure: Figure
    caption: str
