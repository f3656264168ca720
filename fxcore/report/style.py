"""One look for all figures: colour-blind safe, readable in print."""

from __future__ import annotations

from typing import Any

from matplotlib.colors import to_rgb

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")
"""The colour-blind safe palette of Okabe and Ito, those that show on grey."""
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "text.parse_math": False,  # a title with two dollars is no formula
    "figure.dpi": 200,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "pdf.fonttype": 42,
    "svg.hashsalt": "fxcore",
}
WIDTH = 7.0
"""Of a figure in inches: the text width of a two-column page."""
LINES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o", "markersize": 3, "linewidth": 1.2},
    {"color": "#D55E00", "linestyle": "--", "marker": "s", "markersize": 3, "linewidth": 1.2},
    {"color": "#009E73", "linestyle": "-.", "marker": "^", "markersize": 3, "linewidth": 1.2},
    {"color": "#CC79A7", "linestyle": ":", "marker": "D", "markersize": 3, "linewidth": 1.2},
    {"color": "#E69F00", "linestyle": (0, (5, 1)), "marker": "v", "markersize": 3, "linewidth": 1.2},
    {"color": "#56B4E9", "linestyle": (0, (3, 1, 1, 1)), "marker": "P", "markersize": 3, "linewidth": 1.2},
)
"""Lines that are told apart without colour, too."""


def bright(colour: str) -> tuple[float, float, float]:
    """A colour halfway to white, for letters on black."""
    red, green, blue = to_rgb(colour)
    return (red + 1) / 2, (green + 1) / 2, (blue + 1) / 2
