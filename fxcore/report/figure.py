"""Figures: predictions on test images beside the truth. One style, colour-blind safe, readable in print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fxcore import paths
from fxcore.data import rle
from fxcore.data.store import Store
from fxcore.evaluation.statistics import BOXES
from fxcore.files import atomic
from fxcore.passes import Split, Task
from fxcore.report.results import Results
from fxcore.slices.data import Heads

TRUTH, FOUND = "#0072B2", "#E69F00"
"""Blue and orange of Okabe and Ito's colour-blind safe palette; truth is dashed besides."""
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "figure.dpi": 150,
    "pdf.fonttype": 42,
    "svg.hashsalt": "fxcore",
}
WIDTH = 7.0
"""Of a figure in inches: the text width of a two-column page."""


def panels_classification(results: Results) -> Figure:
    """Test images with the most probable findings; findings that are present in truth are marked."""
    return _panels(results, Task.CLASSIFICATION, _draw_classes)


def panels_localization(results: Results) -> Figure:
    """Test images with boxes: truth dashed blue, predictions above the score of `report.panel_score` orange."""
    return _panels(results, Task.LOCALIZATION, _draw_boxes)


def panels_segmentation(results: Results) -> Figure:
    """Test images with outlines of masks: truth dashed blue, predictions orange."""
    return _panels(results, Task.SEGMENTATION, _draw_masks)


FIGURES: dict[str, Callable[[Results], Figure]] = {
    builder.__name__: builder for builder in (panels_classification, panels_localization, panels_segmentation)
}
"""By name."""


def write(figure: Figure, png: Path, pdf: Path) -> None:
    """Write both formats, without dates, so that equal figures are equal files."""
    with mpl.rc_context(STYLE), atomic(png) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
    with mpl.rc_context(STYLE), atomic(pdf) as part:
        figure.savefig(part, format="pdf", metadata={"CreationDate": None, "Producer": None, "Creator": None})


@dataclass(frozen=True, slots=True)
class Panel:
    """One test image: where to draw, its row in the store, its predictions, the classes, and the least score to draw."""

    axis: Axes
    store: Store
    row: int
    found: pd.DataFrame
    heads: Heads
    least: float


Draw = Callable[[Panel], None]


def _panels(results: Results, task: Task, draw: Draw) -> Figure:
    """A row of test images for each dataset that the joint run trains for the task, predicted by the joint run's chosen branch."""
    name, run = results.joint
    columns = results.slice.report.panels
    keys = [key for key, tasks in run.order if task in tasks]
    predictions = pd.read_parquet(paths.predictions(results.root, name))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, max(1, len(keys)) * (WIDTH / columns + 0.25) + 0.3), layout="constrained")
        handles = [
            Line2D([], [], color=TRUTH, linestyle="--", label="truth"),
            Line2D([], [], color=FOUND, label=run.title),
        ]
        if task is not Task.CLASSIFICATION:
            figure.legend(handles=handles, loc="outside lower right", ncols=2, frameon=False)
        for part, key in zip(figure.subfigures(max(1, len(keys)), squeeze=False).flat, keys, strict=False):
            branch = results.metrics(name)[key][task]["choice"]
            mine = predictions.query(
                "dataset == @key and task == @task.value and branch == @branch and split == 'test'"
            )
            store = Store(paths.store(results.root, key, results.slice.store_size))
            title = f"{results.slice.datasets[key].title}, test, {branch}"
            part.suptitle(title + (", phantom" if store.manifest["synthetic"] else ""), x=0.01, ha="left", fontsize=8)
            rows = _spread(store.rows(task, Split.TEST), columns)
            heads = Heads.of(results.slice.datasets[key], (task,))
            for axis, row in zip(
                part.subplots(1, columns, squeeze=False).flat, [*rows, *[None] * (columns - len(rows))], strict=True
            ):
                axis.set_axis_off()
                if row is not None:
                    axis.imshow(store.images[row], cmap="gray", vmin=0, vmax=255, interpolation="lanczos")
                    draw(
                        Panel(axis, store, int(row), mine[mine["row"] == row], heads, results.slice.report.panel_score)
                    )
    return figure


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """`count` rows at even distances, the first and the last among them; no pick by result."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))]


def _draw_classes(panel: Panel) -> None:
    targets, known = panel.store.targets(panel.heads)
    classes = panel.heads.classes(Task.CLASSIFICATION)
    lines = []
    for label, score in panel.found.nlargest(3, "score")[["label", "score"]].itertuples(index=False):
        truth = "?" if not known[panel.row, label] else "+" if targets[panel.row, label] > 0.5 else "−"
        lines.append(f"{truth} {classes[int(label)]} {score:.2f}")
    box = {"facecolor": "black", "alpha": 0.6, "pad": 1, "lw": 0}
    place: dict[str, Any] = {"transform": panel.axis.transAxes, "va": "bottom", "fontsize": 5}
    panel.axis.text(0.02, 0.02, "\n".join(lines), color="white", bbox=box, **place)


def _draw_boxes(panel: Panel) -> None:
    width, height = panel.store.native_size(panel.row)
    scale = panel.store.size / np.array([width, height, width, height])
    classes = panel.heads.classes(Task.LOCALIZATION)
    _, truth = panel.store.boxes(panel.row)
    for left, top, across, down in truth * scale:
        panel.axis.add_patch(_rectangle(left, top, across, down, edgecolor=TRUTH, linestyle="--", linewidth=1.2))
    sure = panel.found[panel.found["score"] >= panel.least]
    for label, score, *box in sure[["label", "score", *BOXES]].itertuples(index=False):
        left, top, across, down = np.array(box) * scale
        panel.axis.add_patch(_rectangle(left, top, across, down, edgecolor=FOUND, linewidth=1.0))
        name = f"{classes[int(label)]} {score:.2f}"
        panel.axis.text(left + 1, top + 1, name, va="top", fontsize=4, color=FOUND)


def _rectangle(left: float, top: float, across: float, down: float, **style: Any) -> Rectangle:
    return Rectangle((left, top), across, down, fill=False, **style)


def _draw_masks(panel: Panel) -> None:
    size = panel.store.size
    found = [rle.decode({"size": [size, size], "counts": counts}) for counts in panel.found["counts"]]
    for mask in panel.store.mask(panel.row):
        if mask.any():
            panel.axis.contour(mask, levels=[0.5], colors=TRUTH, linewidths=1.2, linestyles="--")
    for mask in found:
        if mask.any():
            panel.axis.contour(mask, levels=[0.5], colors=FOUND, linewidths=1.0)
