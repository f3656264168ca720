"""Boxes, arrows and words for drawn figures, in units of a hundredth of the figure's width."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from fxcore.passes import Task
from fxcore.report.style import WIDTH

UNITS = 100
"""Across a figure."""
INKS = {Task.CLASSIFICATION: "#0072B2", Task.LOCALIZATION: "#D55E00", Task.SEGMENTATION: "#009E73"}
"""Of tasks; of the palette of Okabe and Ito."""
GREY = "0.45"
SMALL = 5.5
"""Points, of words in boxes."""
LETTER = 0.62
"""Width of a letter at that size in units, on average and a little more."""


class Canvas:
    """A page of `height` units; the origin is at the lower left."""

    def __init__(self, height: float) -> None:
        self.figure = Figure(figsize=(WIDTH, WIDTH * height / UNITS))
        self.axis: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axis.set(xlim=(0, UNITS), ylim=(0, height))
        self.axis.set_axis_off()

    def box(self, left: float, bottom: float, width: float, height: float, words: str = "", **style: Any) -> None:
        """A rounded box with centred words; `ink` is its colour, `fill` how much of it is inside."""
        ink, fill = style.pop("ink", "black"), style.pop("fill", 0.0)
        shape = {"boxstyle": "round,pad=0,rounding_size=0.8", "linewidth": 0.8, **style}
        place = (left, bottom), width, height
        self.axis.add_patch(FancyBboxPatch(*place, facecolor=(ink, fill), edgecolor=ink, **shape))
        if words:
            self.words(left + width / 2, bottom + height / 2, words)

    def block(self, left: float, bottom: float, width: float, height: float, **style: Any) -> None:
        """A rectangle."""
        self.axis.add_patch(Rectangle((left, bottom), width, height, **style))

    def words(self, x: float, y: float, words: str, **style: Any) -> None:
        """Words, centred on a point unless told otherwise."""
        self.axis.text(x, y, words, **{"ha": "center", "va": "center", "fontsize": SMALL, "linespacing": 1.25, **style})

    def arrow(self, start: tuple[float, float], end: tuple[float, float], **style: Any) -> None:
        """An arrow from point to point."""
        drawn = {"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.8, "color": "black", **style}
        self.axis.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **drawn))
