"""How much of each test set is of groups that some training list has, as a map a policy."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fxcore.data.leakage import POLICIES
from fxcore.passes import Split
from fxcore.report.drawn import Drawn
from fxcore.report.leakage import read
from fxcore.report.results import Results
from fxcore.report.style import STYLE, WIDTH

EMPTY = "0.93"
"""Where nothing is shared."""


def leakage(results: Results) -> Drawn:
    """A panel a policy: rows are test lists, columns training lists, those that share something under any policy."""
    rows = [
        one
        for one in read(results, "lists")
        if one["policy"] in POLICIES and (one["held_split"], one["other_split"]) == (Split.TEST, Split.TRAIN)
    ]
    tests, trains = (
        [key for key in results.titles if any(one[side] == key for one in rows)]
        for side in ("held_dataset", "other_dataset")
    )
    with mpl.rc_context(STYLE):
        height = 1.7 + 0.17 * max(len(tests), 1)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(1, len(POLICIES), sharey=True)
        shares = np.full((len(POLICIES), len(tests), len(trains)), np.nan)
        for one in rows:
            at = tests.index(one["held_dataset"]), trains.index(one["other_dataset"])
            shares[POLICIES.index(one["policy"]), *at] = 100 * int(one["affected"]) / int(one["of"])
        most = max(10.0, float(np.nanmax(shares, initial=0)))
        names = [[results.titles[key] for key in side] for side in (tests, trains)]
        for axis, policy, share in zip(axes, POLICIES, shares, strict=True):
            _panel(axis, policy, share, most, *names)
        axes[0].set_ylabel("tested", fontsize=6)
    caption = (
        f"{results.kind(results.titles)} Percent of each test list (rows) that are of a group, a patient or patients who share a"
        " picture, of which a training list (columns) has an image, under each policy of splitting; grey: none. Lists that share"
        " nothing with any other under any policy are left out. Lists are counted; of models nothing here is measured."
    )
    return Drawn(figure, caption)


def _panel(
    axis: mpl.axes.Axes, policy: str, share: np.ndarray, most: float, tests: list[str], trains: list[str]
) -> None:
    axis.set_facecolor(EMPTY)
    if share.size:
        axis.imshow(share, cmap="OrRd", vmin=0, vmax=most, aspect="auto")
    for row, column in np.argwhere(~np.isnan(share)):
        value = float(share[row, column])
        ink = "white" if value > most / 2 else "black"
        axis.text(column, row, f"{value:.{0 if value >= 1 else 1}f}", ha="center", va="center", fontsize=5, color=ink)
    if np.isnan(share).all():
        axis.text(0.5, 0.5, "nothing is shared", transform=axis.transAxes, ha="center", va="center", fontsize=6)
    axis.set_title(f"{policy}: % of what is tested", fontsize=7)
    axis.set_xlabel("trained on", fontsize=6)
    axis.set_xticks(range(len(trains)), trains, rotation=90, fontsize=5)
    axis.set_yticks(range(len(tests)), tests, fontsize=5)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
