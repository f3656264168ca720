"""One radiograph with what a network says of it: boxes and masks on the picture, probabilities beside it.

Everything is placed in pixels of the picture that is written, so that nothing long makes the radiograph smaller: it makes the
picture wider.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fxcore.data import rle
from fxcore.files import atomic
from fxcore.predict.options import THRESHOLD
from fxcore.report.style import COLOURS, bright

TINT = 0.1
"""Opacity of a mask's colour."""
NOTE = "Model output, not a diagnosis"

DPI = 128
"""A power of two, so that whole pixels stay whole in inches."""
TALLEST, WIDEST = 900, 1400
"""Of the radiograph in pixels; smaller ones are enlarged."""
LEAST = 400
"""Sides of the black ground that a very narrow radiograph stands on."""
MARGIN, GAP, LINE, BAR, NAME = 18, 10, 18, 110, 300
"""Pixels: around everything, between things, a line of text, the longest bar, the longest name on one line."""

PAPER, INK, FAINT, WARNING = "#15181c", "#e8eaed", "#3a4048", "#ffb74d"
_PLAIN = FontProperties(family="DejaVu Sans", size=7.5)
_BOLD = FontProperties(family="DejaVu Sans", size=7.5, weight="bold")


class Area(NamedTuple):
    """A rectangle in pixels from the top left."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Area) -> float:
        """Pixels that both cover."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(across, 0.0) * max(down, 0.0)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a panel: text, already broken, and a probability 0..1 as a bar or a class's colour before it."""

    text: str
    value: float | None = None
    colour: str | None = None
    bold: bool = False

    @property
    def height(self) -> int:
        """In pixels."""
        return LINE * (self.text.count("\n") + 1)


@dataclass(frozen=True, slots=True)
class Mark:
    """A box or mask to draw: its class, what is written at it if anything, its area in pixels of the radiograph, and the mask."""

    name: str
    text: str
    area: Area
    mask: NDArray[np.bool_] | None = None


def draw(image: NDArray[np.uint8], found: Mapping[str, Any], output: Path, threshold: float = THRESHOLD) -> None:
    """Write a PNG of a radiograph (height, width) and what `found` says of it, as `fxcore predict` writes it to JSON.

    Boxes are drawn from a score of `threshold` on; equal input gives equal bytes.
    """
    figure = compose(image, found, threshold)
    with atomic(output) as part:
        figure.savefig(part, format="png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})


def compose(image: NDArray[np.uint8], found: Mapping[str, Any], threshold: float = THRESHOLD) -> Figure:
    """The picture that `draw` writes."""
    height, width = image.shape
    scale = min(TALLEST / height, WIDEST / width)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    ground = max(across, LEAST), max(down, LEAST)
    columns = flow([block(one, threshold) for one in found["datasets"].values()], ground[1])
    widths = [breadth(column) for column in columns]
    total = MARGIN + ground[0] + sum(MARGIN + one for one in widths) + MARGIN
    head = wrapped(f"{found['image']} · {width} × {height} pixels", total - 2 * MARGIN, _BOLD)
    foot = wrapped(_footer(found), total - 2 * MARGIN, _BOLD)
    top = MARGIN + LINE * (head.count("\n") + 1) + GAP
    bottom = top + ground[1] + GAP + LINE * (foot.count("\n") + 1) + MARGIN

    figure = Figure(figsize=(total / DPI, bottom / DPI), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, total), ylim=(bottom, 0), autoscale_on=False)
    axis.set_axis_off()
    _write(axis, MARGIN, MARGIN, head, font=_BOLD)
    _write(axis, MARGIN, top + ground[1] + GAP, foot, font=_BOLD, color=WARNING)
    left = MARGIN + ground[0]
    for column, one in zip(columns, widths, strict=True):
        _panel(axis, column, left + MARGIN, top, one)
        left += MARGIN + one
    stage = Area(MARGIN, top, MARGIN + ground[0], top + ground[1])
    _radiograph(axis, image, stage, (across, down), list(marks(found, threshold)))
    return figure


def _footer(found: Mapping[str, Any]) -> str:
    parts = [NOTE, f"weights {found['weights']['file']}"]
    if found.get("synthetic"):
        parts.append("trained on synthetic pictures, says nothing of patients")
    return " · ".join(parts)


def written(text: str) -> str:
    """Text on one line, with an empty square for each letter that the font lacks."""
    font = get_font(findfont(_PLAIN))
    return "".join(letter if font.get_char_index(ord(letter)) else "□" for letter in " ".join(text.split()))


def measure(text: str, font: FontProperties = _PLAIN) -> float:
    """Width of the longest line in pixels."""
    ruler = RendererAgg(1, 1, DPI)
    return max(ruler.get_text_width_height_descent(line, font, ismath=False)[0] for line in text.split("\n"))


def wrapped(text: str, limit: float, font: FontProperties = _PLAIN) -> str:
    """Text broken into lines of at most `limit` pixels, between words where it can be."""
    text = made = written(text)
    letters = len(text)
    while measure(made, font) > limit and letters > 1:
        letters = min(letters - 1, int(letters * limit / measure(made, font)) + 1)
        made = "\n".join(textwrap.wrap(text, letters))
    return made


def block(of: Mapping[str, Any], threshold: float) -> list[Line]:
    """What the panel says of one dataset's heads: every class by falling probability, then how many boxes and masks."""
    lines = [Line(wrapped(of["title"], NAME, _BOLD), bold=True)]
    for name, value in sorted(of.get("classification", {}).items(), key=lambda item: (-item[1], item[0])):
        lines.append(Line(wrapped(name, NAME), value))
    if "localization" in of:
        scores = [box["score"] for box in of["localization"]]
        sure = sum(score >= threshold for score in scores)
        lines.append(Line(f"Boxes: {sure} drawn, {len(scores) - sure} below {percent(threshold)}"))
    if "segmentation" in of:
        shares = {name: _share(mask) for name, mask in of["segmentation"].items()}
        for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0])):
            if share:
                lines.append(Line(wrapped(f"Mask: {name}, {share:.1%} of the picture".replace("%", " %"), NAME)))
        if not any(shares.values()):
            lines.append(Line("Masks: none"))
    return lines


def percent(value: float) -> str:
    """A probability 0..1 in whole percent."""
    return f"{value * 100:.0f} %"


def _share(mask: Mapping[str, Any]) -> float:
    height, width = mask["size"]
    return float(rle.counts(mask["counts"])[1::2].sum()) / (height * width)


def flow(blocks: Iterable[Sequence[Line]], capacity: int) -> list[list[Line]]:
    """Blocks in columns of `capacity` pixels, an empty line between two; a block is broken only if it is taller than one."""
    columns: list[list[Line]] = []
    used = 0
    for lines in blocks:
        if columns and used + LINE + sum(line.height for line in lines) <= capacity:
            columns[-1].append(Line(""))
            used += LINE
        else:
            columns.append([])
            used = 0
        for line in lines:
            if used and used + line.height > capacity:
                again = Line(f"{lines[0].text}, continued", bold=True)
                columns.append([again])
                used = again.height
            columns[-1].append(line)
            used += line.height
    return columns


def _names(column: Iterable[Line]) -> float:
    return max((measure(line.text) for line in column if line.value is not None), default=0.0)


def breadth(column: Sequence[Line]) -> int:
    """Of a column in pixels: its longest name with a bar and a number, or its longest other line."""
    names = _names(column)
    bars = names + GAP + BAR + GAP + measure("100 %") if names else 0.0
    return round(max(bars, *(measure(line.text, _font(line)) for line in column))) + 1


def _font(line: Line) -> FontProperties:
    return _BOLD if line.bold else _PLAIN


def _panel(axis: Axes, column: Sequence[Line], left: float, top: float, width: float) -> None:
    start = left + _names(column) + GAP
    for line in column:
        _write(axis, left, top, line.text, font=_font(line))
        if line.value is not None:
            for length, colour in ((1.0, FAINT), (min(max(line.value, 0.0), 1.0), COLOURS[1])):
                _fill(axis, Area(start, top + 4, start + BAR * length, top + LINE - 4), color=colour)
            number = percent(line.value)
            _write(axis, left + width - measure(number), top, number)
        top += line.height


def _write(axis: Axes, left: float, top: float, text: str, font: FontProperties = _PLAIN, **style: Any) -> None:
    for at, line in enumerate(text.split("\n")):
        place = left, top + LINE * (at + 0.75)
        axis.text(*place, line, fontproperties=font, parse_math=False, **({"color": INK} | style))


def marks(found: Mapping[str, Any], threshold: float) -> Iterator[Mark]:
    """Boxes that score `threshold` and more, the surest first, then masks that are not empty.

    Where several datasets have something to draw, each mark names its own; a mask of a class that has a box there is known by
    the colour, without a label.
    """
    boxes, masks = [], []
    for of in found["datasets"].values():
        for box in of.get("localization", ()):
            if box["score"] >= threshold:
                left, top, width, height = box["box"]
                boxes.append((box["score"], box["label"], of["title"], Area(left, top, left + width, top + height)))
        for name, mask in of.get("segmentation", {}).items():
            if _share(mask):
                masks.append((name, of["title"], rle.decode({"size": mask["size"], "counts": mask["counts"]})))
    several = len({title for *_, title, _ in [*boxes, *masks]}) > 1
    for score, name, title, area in sorted(boxes, key=lambda box: -box[0]):
        yield Mark(name, " · ".join([f"{name} {percent(score)}", *([title] if several else [])]), area)
    for name, title, mask in masks:
        boxed = any((name, title) == box[1:3] for box in boxes)
        text = "" if boxed else " · ".join([name, *([title] if several else [])])
        yield Mark(name, text, _around(mask, found), mask)


def _around(mask: NDArray[np.bool_], found: Mapping[str, Any]) -> Area:
    """The least area of the radiograph that holds the largest part of a mask, which may be of another size."""
    parts, _ = ndimage.label(mask)
    largest = np.bincount(parts.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(parts)[largest]
    across, down = found["width"] / mask.shape[1], found["height"] / mask.shape[0]
    return Area(columns.start * across, rows.start * down, columns.stop * across, rows.stop * down)


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each class: as far as can be the same on every picture, and no two alike while there are enough."""
    found: dict[str, str] = {}
    for name in sorted(set(names)):
        first = crc32(name.encode()) % len(COLOURS)
        turned = COLOURS[first:] + COLOURS[:first]
        found[name] = next((colour for colour in turned if colour not in found.values()), turned[0])
    return found


def _radiograph(
    axis: Axes, image: NDArray[np.uint8], stage: Area, size: tuple[int, int], found: Sequence[Mark]
) -> None:
    """The picture in the middle of `stage`, `size` pixels wide and high, its marks and their labels."""
    left = stage.left + (stage.right - stage.left - size[0]) // 2
    top = stage.top + (stage.bottom - stage.top - size[1]) // 2
    place = Area(left, top, left + size[0], top + size[1])
    _fill(axis, stage, color="black", zorder=0)
    how = Image.Resampling.BOX if image.shape[0] > size[1] else Image.Resampling.LANCZOS
    _paint(axis, np.asarray(Image.fromarray(image).resize(size, how)), place)
    shades = colours(mark.name for mark in found)
    areas = [_placed(mark.area, place, (size[0] / image.shape[1], size[1] / image.shape[0])) for mark in found]
    for mark in found:
        if mark.mask is not None:
            _mask(axis, mark.mask, place, shades[mark.name])
    for mark, area in zip(found, areas, strict=True):
        if mark.mask is None:
            _outline(axis, area, shades[mark.name])
    taken: list[Area] = []
    for mark, area in zip(found, areas, strict=True):
        if not mark.text:
            continue
        text = wrapped(mark.text, stage.right - stage.left - GAP)
        room = measure(text) + 6, LINE * (text.count("\n") + 1)
        taken.append(free(room, area._replace(top=area.top - 2, bottom=area.bottom + 2), stage, taken, areas))
        _label(axis, text, taken[-1], shades[mark.name])


def _placed(area: Area, place: Area, scale: tuple[float, float]) -> Area:
    """An area of the radiograph where it is drawn, without what goes over the edge."""
    columns = (place.left + scale[0] * edge for edge in (area.left, area.right))
    rows = (place.top + scale[1] * edge for edge in (area.top, area.bottom))
    left, right = (min(max(edge, place.left), place.right) for edge in columns)
    top, bottom = (min(max(edge, place.top), place.bottom) for edge in rows)
    return Area(left, top, right, bottom)


def _fill(axis: Axes, area: Area, **style: Any) -> None:
    across, down = area.right - area.left, area.bottom - area.top
    axis.add_patch(Rectangle(area[:2], across, down, **({"linewidth": 0} | style)))


def _paint(axis: Axes, pixels: NDArray[Any], place: Area) -> None:
    extent = (place.left, place.right, place.bottom, place.top)
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="none", aspect="auto", zorder=1)


def _outline(axis: Axes, area: Area, colour: str) -> None:
    effects = [withStroke(linewidth=2.6, foreground="black", alpha=0.6)]
    _fill(axis, area, fill=False, edgecolor=colour, linewidth=1.2, path_effects=effects, zorder=2)


def _mask(axis: Axes, mask: NDArray[np.bool_], place: Area, colour: str) -> None:
    """A light tint and an outline, which is closed where the mask ends with the picture."""
    size = int(place.right - place.left), int(place.bottom - place.top)
    cover = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX), dtype=float)
    tint = np.zeros((size[1], size[0], 4))
    tint[..., :3], tint[..., 3] = to_rgb(colour), TINT * cover / 255
    _paint(axis, tint, place)
    columns, rows = (np.arange(-1, length + 1) + 0.5 for length in size)
    lines = axis.contour(
        columns + place.left, rows + place.top, np.pad(cover, 1), levels=[127.5], colors=colour, linewidths=1.1
    )
    lines.set_path_effects([withStroke(linewidth=2.4, foreground="black", alpha=0.5)])


def free(size: tuple[float, float], of: Area, within: Area, taken: Sequence[Area], contents: Sequence[Area]) -> Area:
    """Where a label of `size` (width, height) at the area `of` hides least.

    Over another label is worst, then over the content of other areas, then of its own, then away from its area.
    """
    width, height = size
    beside = [(of.left, of.top - height), (of.right - width, of.top - height), (of.left, of.bottom)]
    beside += [(of.right - width, of.bottom), (of.right, of.top), (of.left - width, of.top)]
    beside += [(of.right, of.bottom - height), (of.left - width, of.bottom - height)]
    inside = [(of.left, of.top), (of.left, of.bottom - height), (of.right - width, of.top)]
    places = [(corner, 0) for corner in (*beside, *inside)]
    for away in (1, 2, 3):
        places += [((of.left, of.top - height * (1 + away)), away), ((of.left, of.bottom + height * away), away)]

    def clamped(left: float, top: float) -> Area:
        """The label with its corner there, moved as far as it must be to stay within."""
        left = max(within.left, min(left, within.right - width))
        top = max(within.top, min(top, within.bottom - height))
        return Area(left, top, left + width, top + height)

    def hidden(place: Area, away: int) -> float:
        """How bad a place is, in pixels that it hides."""
        labels, areas = (sum(place.overlap(other) for other in others) for others in (taken, contents))
        return 10 * labels + 1.5 * areas - 0.5 * place.overlap(of) + 0.4 * away * width * height

    return min(((clamped(*corner), away) for corner, away in places), key=lambda one: hidden(*one))[0]


def _label(axis: Axes, text: str, place: Area, colour: str) -> None:
    _fill(axis, place, color="black", alpha=0.75, zorder=2)
    _write(axis, place.left + 3, place.top, text, color=bright(colour))
