"""Figure 3: what fine-tuning reaches, and how soon: all of the network, its head alone, and a baseline from other weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fxcore.errors import InputError
from fxcore.evaluation.headline import headline, printed
from fxcore.evaluation.statistics import standing
from fxcore.passes import Task
from fxcore.report.drawn import Drawn
from fxcore.report.finetuned import initialisation, shown, visited
from fxcore.report.published import finetuning as published
from fxcore.report.results import Results
from fxcore.report.style import LINES, STYLE, WIDTH

WHERE = "figure3_finetuning"
HEIGHT = 2.6
"""Of a panel in inches."""
Points = list[tuple[int, float]]


def figure3_finetuning(results: Results) -> Drawn:
    """A panel for each dataset and task: the validation metric against cycles, a line a run, the best value marked.

    Raises:
        InputError: no run is shown here.
    """
    names = shown(results, WHERE)
    if not names:
        raise InputError(f"runs: none with shown_in: {WHERE}; the figure has nothing to show")
    cells = [(key, task) for key in visited(results, names) for task in Task if shown(results, WHERE, key, task)]
    keys = dict.fromkeys(key for key, _ in cells)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT * len(cells) + 0.2), layout="constrained")
        for axis, (key, task) in zip(figure.subplots(len(cells), squeeze=False).flat, cells, strict=True):
            _panel(axis, results, shown(results, WHERE, key, task), key, task)
        figure.suptitle(results.kind(keys), x=0.01, ha="left", fontsize=7)
    best = ", ".join(f"{value:g} ({name})" for name, value in published().items())
    caption = (
        f"{results.kind(keys)} Validation images of {results.named(keys)}, in percent, after each cycle whose weights are kept; the"
        " teacher, without one the student; one seed, so that lines differ by chance, too. A ring marks the best value. Test numbers"
        " of the same runs are in metrics/. The paper's figure shows disease localization on VinDr-CXR, mAP40 against epochs; its"
        f" best values, read off the plot, are {best}. {results.split(keys)}"
    )
    return Drawn(figure, caption)


def _panel(axis: Axes, results: Results, names: Sequence[str], key: str, task: Task) -> None:
    for name, style in zip(names, LINES * len(names), strict=False):
        points = _points(results, name, key, task)
        label = initialisation(results, results.slice.runs[name]).label
        if not points:
            axis.plot([], [], label=f"{label}: undefined on validation", **style)
            continue
        cycle, value = max(points, key=lambda point: point[1])
        axis.plot(*zip(*points, strict=True), label=f"{label}: best {value:.1f} after cycle {cycle}", **style)
        ring: dict[str, Any] = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "clip_on": False}
        axis.plot([cycle], [value], color=style["color"], linestyle="none", **ring)
    axis.set_title(f"{results.slice.titles[key]}, {task}", fontsize=7, loc="left")
    axis.set_xlabel("cycle")
    axis.set_ylabel(printed(headline(task, results.slice.evaluate.iou)))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.margins(y=0.12)
    axis.set_ylim(bottom=max(0.0, axis.get_ylim()[0]))
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=6)


def _points(results: Results, name: str, key: str, task: Task) -> Points:
    """Cycles with the validation metric in percent, of the branch that stands for the run."""
    found = [one for one in results.choice(name)["candidates"] if (one["dataset"], one["task"]) == (key, task)]
    branch = standing({one["branch"] for one in found})
    known = (
        (one["cycle"], 100 * one["value"]) for one in found if one["branch"] == branch and one["value"] is not None
    )
    return sorted(known)
