"""Names beside points, as many as fit without covering one another or a point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

SIZE = 5.0
"""Of names in points."""
HALF = 2.4
"""Half the side of the square around a point, in points, that no name enters."""
AWAY = 3.4
"""Distance of a name from its point, in points."""
STEP, STEPS = 6.5, 16
"""A name that does not fit beside its point stands above it on a stem, so many points higher at a time, so many times."""
APART = 0.6
"""Between names, in points."""


Across = Literal["left", "center", "right"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name may stand: so far from its point, in points, and how it is aligned there."""

    right: float
    up: float
    across: Across
    along: Literal["bottom", "center", "top"]
    stem: bool = False


class Named(NamedTuple):
    """A point in the units of the data, and its name."""

    x: float
    y: float
    name: str


ASLANT = 0.7 * AWAY
ACROSS: tuple[Across, ...] = ("right", "center", "left")
PLACES = (
    *(Place(AWAY, 0, "left", "center"), Place(-AWAY, 0, "right", "center")),
    *(Place(0, AWAY, "center", "bottom"), Place(0, -AWAY, "center", "top")),
    *(Place(ASLANT, ASLANT, "left", "bottom"), Place(-ASLANT, ASLANT, "right", "bottom")),
    *(Place(ASLANT, -ASLANT, "left", "top"), Place(-ASLANT, -ASLANT, "right", "top")),
    *(Place(0, AWAY + STEP * step, one, "bottom", stem=True) for step in range(1, STEPS + 1) for one in ACROSS),
)
"""In the order in which they are tried."""


def name_points(axis: Axes, wanted: Iterable[Named], points: Sequence[tuple[float, float]]) -> list[str]:
    """Write names beside or above their points, the first ones first; one that fits nowhere is left out.

    The layout of the figure must be final: names are measured where they stand.

    Args:
        axis: where the points are; no name covers its legend.
        wanted: the points to name, by falling importance.
        points: all points, in the units of the data; no name covers one.

    Returns:
        The names that are written.
    """
    figure = axis.get_figure(root=True)
    assert figure is not None
    point = figure.dpi / 72
    renderer: Any = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    places = (axis.transData.transform(one) for one in points)
    taken = [_around(across, up, HALF * point) for across, up in places]
    if legend := axis.get_legend():
        taken.append(legend.get_window_extent(renderer))
    page, written = axis.get_window_extent(), []
    for one in wanted:
        for place in PLACES:
            text = _write(axis, one, place)
            boxes = [words(text, renderer).padded(APART * point)]
            if place.stem:
                x, y = axis.transData.transform((one.x, one.y))
                boxes.append(Bbox.from_extents(x - point / 2, y + HALF * point + 1, x + point / 2, boxes[0].y0))
            if _inside(boxes[0], page) and not any(box.overlaps(other) for box in boxes for other in taken):
                taken += boxes
                written.append(one.name)
                break
            text.remove()
    return written


def _write(axis: Axes, one: Named, place: Place) -> Annotation:
    end = {"left": 0.0, "center": 0.5, "right": 1.0}[place.across]
    stem = {"arrowstyle": "-", "linewidth": 0.35, "color": "0.6", "shrinkA": 0, "shrinkB": HALF, "relpos": (end, 0)}
    return axis.annotate(
        one.name,
        (one.x, one.y),
        xytext=(place.right, place.up),
        textcoords="offset points",
        ha=place.across,
        va=place.along,
        fontsize=SIZE,
        zorder=5,
        path_effects=[withStroke(linewidth=1.0, foreground="white")],
        arrowprops=stem if place.stem else None,
    )


def words(text: Annotation, renderer: Any) -> Bbox:
    """Where a name is on the page, without its stem."""
    text.update_positions(renderer)
    return Text.get_window_extent(text, renderer)


def _around(across: float, up: float, half: float) -> Bbox:
    return Bbox.from_extents(across - half, up - half, across + half, up + half)


def _inside(box: Bbox, page: Bbox) -> bool:
    return bool(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1)
