"""Table 6 as a picture: the test metric against the number of training images, a line an initialisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fxcore.errors import InputError
from fxcore.evaluation.headline import printed
from fxcore.report.drawn import Drawn
from fxcore.report.few_shot import Target, targets
from fxcore.report.finetuned import initialisation, visited
from fxcore.report.results import Results
from fxcore.report.style import LINES, STYLE, WIDTH

HEIGHT = 2.6
"""Of a panel in inches."""
APART = 0.012
"""Between the points of two lines at one number of images, as a part of the axis, so that bars do not cover one another."""


def few_shot(results: Results) -> Drawn:
    """A panel for each dataset and task: the mean over draws with its interval, and each draw.

    Raises:
        InputError: no run is trained on few images.
    """
    few = results.slice.few_shot
    if not few.runs:
        raise InputError("few_shot.runs is empty; the figure has nothing to show")
    found, keys = targets(results), visited(results, few.runs)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT * len(found) + 0.2), layout="constrained")
        for axis, target in zip(figure.subplots(len(found), squeeze=False).flat, found, strict=True):
            _panel(axis, results, target)
        figure.suptitle(results.kind(keys), x=0.01, ha="left", fontsize=7)
    caption = (
        f"{results.kind(keys)} Test split of {results.named(keys)}, in percent; one seed: runs of table 6, by number of training images. A"
        f" line joins means over draws of images, heads and order ({few.draws} each); bars are"
        f" {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals over test patients, with the draws as they are; grey"
        f" dots are the draws. Lines are moved apart a little so that bars can be seen. {results.split(keys)}"
    )
    return Drawn(figure, caption)


def _panel(axis: Axes, results: Results, target: Target) -> None:
    width = APART * (max(results.slice.few_shot.samples) or 1)
    for at, (name, style) in enumerate(zip(target.runs, LINES * len(target.runs), strict=False)):
        move = width * (at - (len(target.runs) - 1) / 2)
        label = initialisation(results, results.slice.runs[name]).label
        known = {int(number): one for number, one in target.runs[name]["samples"].items() if one["value"] is not None}
        _line(axis, known, move, label, style)
    metric = next(iter(target.runs.values()))["metric"]
    axis.set_title(f"{results.slice.titles[target.dataset]}, {target.task}", fontsize=7, loc="left")
    axis.set_xlabel("training images")
    axis.set_ylabel(printed(metric))
    axis.set_ylim(bottom=max(0.0, axis.get_ylim()[0]))
    axis.set_xticks(results.slice.few_shot.samples)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=6)


def _line(
    axis: Axes, known: Mapping[int, Mapping[str, Any]], move: float, label: str, style: Mapping[str, Any]
) -> None:
    numbers = sorted(known)
    places = [number + move for number in numbers]
    values = [100 * known[number]["value"] for number in numbers]
    axis.plot(places, values, label=label, zorder=3, **style)
    for place, number in zip(places, numbers, strict=True):
        one = known[number]
        if one["low"] is not None and one["high"] is not None:
            axis.plot([place] * 2, [100 * one["low"], 100 * one["high"]], color=style["color"], linewidth=0.8, zorder=2)
        draws = [100 * draw for draw in one["draws"] if draw is not None] if len(one["draws"]) > 1 else []
        axis.plot([place] * len(draws), draws, color="0.5", marker=".", markersize=3, linestyle="none", zorder=4)
