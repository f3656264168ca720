"""Predictions on test images beside the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fxcore import paths, tablefile
from fxcore.data import rle
from fxcore.data.store import Store, open_stores
from fxcore.evaluation.statistics import BOXES
from fxcore.passes import Split, Task
from fxcore.report.drawn import Drawn
from fxcore.report.results import FigureResults
from fxcore.report.style import COLOURS, STYLE, WIDTH, bright
from fxcore.slices.data import Heads

TRUTH: dict[str, Any] = {"linestyle": "--", "linewidth": 1.3}
FOUND: dict[str, Any] = {"linestyle": "-", "linewidth": 0.9}
UNSURE: dict[str, Any] = {"linestyle": ":", "linewidth": 0.9}
"""Truth is dashed, predictions are solid, or dotted where none is sure."""
PLATE: dict[str, Any] = {"facecolor": "black", "alpha": 0.6, "pad": 1, "lw": 0}
"""Behind what is written on an image."""
LEGEND_COLUMNS = 8
TOP = 3
"""Findings shown on an image, the most probable."""
LETTERS = 18
"""Of a finding's name on an image; more would be wider than the image."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One test image: where to draw, its row in the store, its predictions, the classes, and the least score to draw."""

    axis: Axes
    store: Store
    row: int
    found: pd.DataFrame
    heads: Heads
    least: float


@dataclass(frozen=True, slots=True)
class Kind:
    """How one task is drawn: a panel, the legend of a dataset's classes, and what a reader must know."""

    task: Task
    draw: Callable[[Panel], None]
    legend: Callable[[tuple[str, ...]], list[Artist]]
    note: str


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]


def _number(label: int, classes: Sequence[str]) -> str:
    """What tells classes apart where several have one colour."""
    return f"{label + 1} " if len(classes) > len(COLOURS) else ""


def _tag(axis: Axes, at: Sequence[float] | NDArray[np.floating], text: str, label: int) -> None:
    """A few letters in a class's colour, readable on black and on white, at the top left of what `at` begins with."""
    if text:
        style: dict[str, Any] = {"va": "top", "fontsize": 4.5, "clip_on": True, "bbox": PLATE}
        axis.text(at[0] + 1, at[1] + 2, text, color=bright(_colour(label)), **style)


def _classes(panel: Panel) -> None:
    targets, known = panel.store.targets(panel.heads)
    classes = panel.heads.classes(Task.CLASSIFICATION)
    lines = []
    for label, score in panel.found.nlargest(TOP, "score")[["label", "score"]].itertuples(index=False):
        truth = "?" if not known[panel.row, label] else "+" if targets[panel.row, label] > 0.5 else "−"
        name = classes[int(label)]
        lines.append(f"{truth} {name if len(name) <= LETTERS else f'{name[: LETTERS - 1]}…'} {score:.2f}")
    place: dict[str, Any] = {"transform": panel.axis.transAxes, "va": "bottom", "fontsize": 5}
    # Words take no part in the layout: wide ones would shrink the images.
    panel.axis.text(0.02, 0.02, "\n".join(lines), color="white", bbox=PLATE, **place).set_in_layout(False)


def _boxes(panel: Panel) -> None:
    width, height = panel.store.native_size(panel.row)
    scale = panel.store.size / np.array([width, height, width, height])
    classes = panel.heads.classes(Task.LOCALIZATION)
    labels, truth = panel.store.boxes(panel.row)
    for label, box in zip(labels, truth * scale, strict=True):
        _rectangle(panel.axis, box, edgecolor=_colour(label), **TRUTH)
        _tag(panel.axis, box, _number(label, classes), label)
    sure = panel.found[panel.found["score"] >= panel.least]
    style = UNSURE if sure.empty else FOUND
    shown = panel.found.nlargest(1, "score") if sure.empty else sure
    for label, score, *box in shown[["label", "score", *BOXES]].itertuples(index=False):
        drawn = np.array(box) * scale
        _rectangle(panel.axis, drawn, edgecolor=_colour(int(label)), **style)
        _tag(panel.axis, drawn, f"{_number(int(label), classes)}{score:.2f}", int(label))


def _rectangle(axis: Axes, box: NDArray[np.floating], **style: Any) -> None:
    left, top, across, down = box
    axis.add_patch(Rectangle((left, top), across, down, fill=False, **style))


def _masks(panel: Panel) -> None:
    size, classes = panel.store.size, panel.heads.classes(Task.SEGMENTATION)
    table = panel.found.sort_values("label")
    found = [rle.decode({"size": [size, size], "counts": counts}) for counts in table["counts"]]
    for label, (truth, ours) in enumerate(zip(panel.store.mask(panel.row), found, strict=True)):
        for mask, style in ((truth, TRUTH), (ours, FOUND)):
            if mask.any() and not mask.all():
                line: dict[str, Any] = {"linestyles": style["linestyle"], "linewidths": style["linewidth"]}
                panel.axis.contour(mask, levels=[0.5], colors=_colour(label), **line)
                rows, columns = np.nonzero(mask)
                _tag(panel.axis, (columns[0], rows[0]), _number(label, classes), label)


def _outlines(classes: tuple[str, ...]) -> list[Artist]:
    grey: dict[str, Any] = {"color": "0.3"}
    lines = [
        Line2D([], [], label=f"{_number(label, classes)}{name}", color=_colour(label), linewidth=2)
        for label, name in enumerate(classes)
    ]
    return [*lines, Line2D([], [], label="truth", **grey, **TRUTH), Line2D([], [], label="prediction", **grey, **FOUND)]


def _no_legend(_: Iterable[str]) -> list[Artist]:
    return []


KINDS = {
    "panels_classification": Kind(
        Task.CLASSIFICATION,
        _classes,
        _no_legend,
        "The most probable findings with their predicted probability; before each, the truth: + present, − absent, ? unknown.",
    ),
    "panels_localization": Kind(
        Task.LOCALIZATION,
        _boxes,
        _outlines,
        "Boxes that score at least {least:g} solid, where there is none the best one dotted, with their score; the truth dashed.",
    ),
    "panels_segmentation": Kind(
        Task.SEGMENTATION,
        _masks,
        _outlines,
        "Outlines of masks: of a probability above one half solid, the truth dashed.",
    ),
}
"""By name."""


def panels(kind: Kind, results: FigureResults) -> Drawn:
    """A row of test images for each dataset that the joint run trains for the task, predicted by its chosen branch.

    Images are picked at even distances through the test split, not by result.
    """
    joint, run = results.joint
    how = results.slice.report
    keys = [key for key, tasks in run.order if kind.task in tasks]
    predictions = tablefile.read(paths.predictions(results.root, joint))
    predictions = predictions[(predictions["task"] == kind.task) & (predictions["split"] == Split.TEST)]
    side = WIDTH / how.panels
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, max(1, len(keys)) * (side + 0.45) + 0.2), layout="constrained")
        for part, key in zip(figure.subfigures(max(1, len(keys)), squeeze=False).flat, keys, strict=False):
            branch = results.metrics(joint)[key][kind.task]["choice"]
            mine = predictions[(predictions["dataset"] == key) & (predictions["branch"] == branch)]
            _row(part, results, key, kind, branch, mine)
    if not keys:
        nothing = f"{run.title} is not trained for {kind.task}."
        figure.text(0.5, 0.5, nothing, ha="center", va="center")
        return Drawn(figure, nothing)
    caption = (
        f"{results.kind(keys)} Test images of {results.named(keys)}, taken at even distances through the split and not by result,"
        f" predicted by {run.title}: of each dataset the branch and the cycle that validation chose, the branch named above the"
        f" images; one seed. {kind.note.format(least=how.panel_score)} {results.split(keys)}"
    )
    return Drawn(figure, caption)


def _row(part: SubFigure, results: FigureResults, key: str, kind: Kind, branch: str, found: pd.DataFrame) -> None:
    how = results.slice.report
    (store,) = open_stores(results.root, [key], results.slice.store_size).values()
    heads = store.heads((kind.task,))
    phantom = ", phantom" if store.manifest["synthetic"] else ""
    part.suptitle(f"{results.slice.titles[key]}{phantom}: {branch}", x=0.01, ha="left", fontsize=7)
    if handles := kind.legend(heads.classes(kind.task)):
        columns = min(len(handles), LEGEND_COLUMNS)
        part.legend(handles=handles, loc="outside lower left", ncols=columns, frameon=False, fontsize=5)
    rows = store.rows(kind.task, Split.TEST)
    picked = np.unique(np.linspace(0, len(rows) - 1, min(how.panels, len(rows))).round().astype(int))
    axes = part.subplots(1, how.panels, squeeze=False).flat
    for axis in axes:
        axis.set_axis_off()
    for axis, row in zip(part.axes, rows[picked], strict=False):
        axis.imshow(store.image(row), cmap="gray", vmin=0, vmax=255, interpolation="lanczos")
        kind.draw(Panel(axis, store, int(row), found[found["row"] == row], heads, how.panel_score))
