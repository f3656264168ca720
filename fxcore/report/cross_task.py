"""Figure 2: what a dataset and task keep while the run trains on others.

After a pass on the cell itself the teacher is *focused* on it; after passes on other cells it is *unfocused*. The paper's point
is that the unfocused line stays near the focused one: what one dataset teaches is not lost to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fxcore.evaluation.headline import headline, printed
from fxcore.passes import Task
from fxcore.report.drawn import Drawn
from fxcore.report.results import Results
from fxcore.report.style import COLOURS, STYLE, WIDTH

COLUMNS = 3
HEIGHT = 1.7
"""Of a panel in inches."""
FOCUSED: dict[str, Any] = {"color": COLOURS[-1], "marker": "o", "markersize": 2.5, "linewidth": 1.2}
UNFOCUSED: dict[str, Any] = {"color": COLOURS[1], "marker": ".", "markersize": 2, "linewidth": 0.8}

Snapshots = Sequence[dict[str, Any]]


def cross_task(results: Results) -> Drawn:
    """A panel for each cell the joint run takes snapshots of: its validation metric along the passes, focused and unfocused."""
    joint, run = results.joint
    snapshots: Snapshots = results.choice(joint)["snapshots"]
    cells = list(dict.fromkeys((one["of"][0], one["of"][1]) for one in snapshots))
    rows = max(1, -(-len(cells) // COLUMNS))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, rows * HEIGHT + 0.5), layout="constrained")
        if not cells:
            reason = f"{run.title} takes no snapshots: set runs.{joint}.train.snapshots"
            figure.text(0.01, 0.5, reason)
            return Drawn(figure, f"{reason}.")
        axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
        for axis, cell in zip(axes, cells, strict=False):
            _panel(axis, results, cell, [one for one in snapshots if tuple(one["of"]) == cell])
        for axis in axes[len(cells) :]:
            axis.set_axis_off()
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower right", ncols=3, frameon=False, fontsize=6)
        kind = results.kind(name for name, _ in cells)
        figure.suptitle(kind, x=0.01, ha="left", fontsize=7)
    caption = (
        f"{kind} {run.title}'s teacher on the validation images of {results.named(name for name, _ in cells)}, in percent, by pass"
        " of training; one seed. A point is focused where the pass was on the same dataset and task, and unfocused where it was"
        " on others; the dashed line is the best focused one. A missing point is undefined on validation."
        f" {results.split(name for name, _ in cells)}"
    )
    return Drawn(figure, caption)


def _panel(axis: Axes, results: Results, cell: tuple[str, str], snapshots: Snapshots) -> None:
    name, task = cell
    known = [one for one in snapshots if one["value"] is not None]
    focused = [one for one in known if tuple(one["after"]) == cell]
    others = [one for one in known if tuple(one["after"]) != cell]
    axis.plot(*_points(others), label="after other passes (unfocused)", **UNFOCUSED)
    axis.plot(*_points(focused), label="after its own pass (focused)", **FOCUSED)
    if focused:
        best = max(100 * one["value"] for one in focused)
        axis.axhline(best, color=FOCUSED["color"], linestyle="--", linewidth=0.6, label="best focused")
    axis.set_title(f"{results.slice.titles[name]}, {task}", fontsize=7, loc="left")
    axis.set_ylabel(printed(headline(Task(task), results.slice.evaluate.iou)))
    axis.set_xlabel("pass")


def _points(snapshots: Snapshots) -> tuple[list[int], list[float]]:
    return [one["pass"] for one in snapshots], [100 * one["value"] for one in snapshots]
