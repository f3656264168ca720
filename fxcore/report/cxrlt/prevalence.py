"""AP of each class against how many training images have it: what a long tail costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter

from fxcore.errors import InputError
from fxcore.report.cxrlt.labels import Named, name_points
from fxcore.report.cxrlt.results import AVERAGE, DEV, TASK1, CxrltResults
from fxcore.report.cxrlt.rows import intervals, without
from fxcore.report.cxrlt.tasks import GROUPS
from fxcore.report.drawn import Drawn
from fxcore.report.style import STYLE, WIDTH

HEIGHT = 2.7
"""Of a panel in inches."""
MARKS: dict[str, dict[str, Any]] = {
    "head": {"color": "#0072B2", "marker": "o"},
    "medium": {"color": "#009E73", "marker": "s"},
    "tail": {"color": "#D55E00", "marker": "^"},
}
"""Groups of classes, told apart without colour, too; colours of the palette of Okabe and Ito."""
BAR: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.6, "zorder": 1}
"""Of an interval."""


@dataclass(frozen=True, slots=True)
class Point:
    """A class: prevalence in training and AP with its interval, in percent, and its group."""

    name: str
    prevalence: float
    ap: float
    low: float | None
    high: float | None
    group: str


def cxrlt_prevalence(results: CxrltResults) -> Drawn:
    """A panel for the best head on the development set and one for the best ensemble; without ensembles, for the best two heads.

    Raises:
        InputError: the parameters have no heads.
    """
    if not results.slice.heads:
        raise InputError("cxrlt.heads is empty; the figure has nothing to show")
    names, labels = shown(results), results.slice.labels
    found = {name: points(results, name) for name in names}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT * len(names) + 0.3), layout="constrained")
        axes = figure.subplots(len(names), squeeze=False, sharex=True, sharey=True).ravel()
        for axis, name in zip(axes, names, strict=True):
            _panel(axis, _heading(results, name), found[name])
        _limits(axes[0], [one for of in found.values() for one in of])
        axes[-1].set_xlabel("training images with the class, % (logarithmic)")
        axes[0].legend(loc="upper left", frameon=False, fontsize=6)
        figure.suptitle(results.kind([labels]), x=0.01, ha="left", fontsize=7)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axis, name in zip(axes, names, strict=True):
            name_points(axis, by_importance(found[name]), [(one.prevalence, one.ap) for one in found[name]])
    caption = (
        f"{results.kind([labels])} Development set of {results.named([labels])} (its validation split): average precision of each class"
        " against the share of training images that have it. A panel is the best head there by mAP, or the best ensemble, with the"
        f" mean probability over a study's images. {intervals(results)} Bars are the intervals; the broken line is a classifier"
        " that guesses, whose AP is the prevalence. Names stand where they fit, those of the rarest and the best"
        " classes first; grey lines lead to them."
        f"{_left_out(results, names)} {results.split([labels])}"
    )
    return Drawn(figure, caption)


def shown(results: CxrltResults) -> list[str]:
    """The best head and the best ensemble by mAP on the development set; without ensembles, the best two heads."""
    heads, ensembles = (_ranked(results, names) for names in (results.slice.heads, results.slice.ensembles))
    return [*heads[:1], *ensembles[:1]] if ensembles else heads[:2]


def _ranked(results: CxrltResults, names: Mapping[str, Any]) -> list[str]:
    def value(name: str) -> float:
        """mAP, below all others where it is undefined."""
        found = results.scored(name, DEV, TASK1)[AVERAGE].cell.get("map", {}).get("value")
        return -1.0 if found is None else found

    return sorted(names, key=value, reverse=True)


def points(results: CxrltResults, name: str) -> list[Point]:
    """Classes that have an AP and are in training at all."""
    facts, cell = results.metrics(name), results.scored(name, DEV, TASK1)[AVERAGE].cell
    prevalence, frequency = facts["prevalence"], facts["frequency"]
    return [
        Point(
            label,
            100 * prevalence[label],
            100 * one["value"],
            _percent(one["low"]),
            _percent(one["high"]),
            frequency[label],
        )
        for label, one in cell.get("map", {}).get("classes", {}).items()
        if one["value"] is not None and prevalence.get(label)
    ]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def by_importance(found: Sequence[Point]) -> Iterator[Named]:
    """The rarest and the best classes in turn, until all are named."""
    rarest = sorted(found, key=lambda one: one.prevalence)
    best = sorted(found, key=lambda one: one.ap, reverse=True)
    ordered = dict.fromkeys(one for one in chain.from_iterable(zip_longest(rarest, best)) if one)
    return (Named(one.prevalence, one.ap, one.name) for one in ordered)


def _panel(axis: Axes, heading: str, found: Sequence[Point]) -> None:
    for group, mark in MARKS.items():
        some = [one for one in found if one.group == group]
        for one in some:
            if one.low is not None and one.high is not None:
                axis.plot([one.prevalence] * 2, [one.low, one.high], color=mark["color"], **BAR)
        places = [one.prevalence for one in some], [one.ap for one in some]
        axis.plot(
            *places, linestyle="none", markersize=3.2, zorder=3, label=f"{GROUPS[group]}: {len(some)} classes", **mark
        )
    guess = np.geomspace(0.01, 100, num=200)
    axis.plot(guess, guess, color="0.5", linestyle="--", linewidth=0.7, zorder=2)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g}"))
    axis.xaxis.set_minor_formatter(LogFormatter())  # the usual one writes formulas
    axis.set_title(heading, fontsize=7, loc="left")
    axis.set_ylabel("AP, %")


def _limits(axis: Axes, every: Sequence[Point]) -> None:
    """Limits of all panels, which share them: around the points, with room for names."""
    top = max((one.high or one.ap for one in every), default=100.0)
    axis.set_ylim(0, min(103.0, 1.1 * top + 5))  # the upper half of a marker at 100
    if every:
        shares = [one.prevalence for one in every]
        axis.set_xlim(min(shares) / 1.8, min(100.0, max(shares) * 1.8))


def _heading(results: CxrltResults, name: str) -> str:
    found = results.scored(name, DEV, TASK1)[AVERAGE].cell.get("map", {})
    value = found.get("value")
    return f"{results.title(name)}: mAP {'undefined' if value is None else f'{100 * value:.1f}'}"


def _left_out(results: CxrltResults, names: Sequence[str]) -> str:
    """Which classes have no point."""
    unlearnt: dict[str, None] = {}
    reasons: dict[str, None] = {}
    for name in names:
        one, prevalence = results.scored(name, DEV, TASK1)[AVERAGE], results.metrics(name)["prevalence"]
        unlearnt |= dict.fromkeys(
            label for label in one.cell.get("map", {}).get("classes", {}) if not prevalence.get(label)
        )
        reasons |= dict.fromkeys(filter(None, [without(one, ("map",))]))
    said = [*reasons, *([f"no training image has {', '.join(unlearnt)}"] if unlearnt else [])]
    return f" Not shown: {'; '.join(said)}." if said else ""
