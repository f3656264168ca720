"""Table 5: segmentation of datasets that the joint run has not seen, from one initialisation and another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fxcore.errors import InputError
from fxcore.evaluation.headline import headline
from fxcore.evaluation.statistics import standing
from fxcore.passes import Task
from fxcore.report.finetuned import (
    HOW,
    NOT_SUPPLIED,
    Initialisation,
    Record,
    cells,
    columns,
    compared_row,
    described,
    header,
    in_paper,
    lacking,
    shown,
    visited,
)
from fxcore.report.gaps import Gap, metric_gap
from fxcore.report.published import transfer as published
from fxcore.report.render import Table
from fxcore.report.results import Results, percent

WHERE = "table5_transfer"
ASKED = ("ImageNet", "Ark", "POPAR")
"""Initialisations of others that the paper or its readers hold Foundation X against; weights of none come with fxcore."""
MORE = ("iou", "dice_positive")
"""Further metrics of segmentation in percent, for the CSV, which has the surface distance `hd95` in pixels, too."""


def table5_transfer(results: Results) -> Table:
    """Segmentation transfer (Table 5 of the paper): a row a dataset, a column an initialisation.

    Raises:
        InputError: no run is shown here.
    """
    names = shown(results, WHERE)
    if not names:
        raise InputError(f"runs: none with shown_in: {WHERE}; the table has nothing to show")
    targets = [
        Target(results, key, task)
        for key in visited(results, names)
        for task in Task
        if shown(results, WHERE, key, task)
    ]
    tried = columns(results, names, ASKED)
    rows = [cells(results, target, tried) for target in targets]
    keys = [target.key for target in targets]
    caption = (
        f"{results.kind(keys)} Test split of {results.named(keys)}, percent, with"
        f" {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals over patients; one seed; the teacher, without one"
        " the student, of the cycle that validation chose. A column is what training starts from. Δ is Foundation X, all of it"
        " trained, minus the best of the others that train everything, paired by image; the best is the one with the highest mean"
        f" on these test images, which favours it a little. “{NOT_SUPPLIED}”: the weights are not ours to give; {HOW} says how to"
        " add them. Dice is the mean over images, an empty mask predicted empty counting as 1; the CSV has further metrics."
        " Published numbers are of the paper's data and splits (one run, no intervals; Islam et al. 2025)."
        f" {results.split(keys)}"
    )
    return Table(
        "Table 5. Transfer",
        caption,
        [record for row in rows for record, _ in row],
        header(tried),
        [compared_row(row, published().get(target.key)) for target, row in zip(targets, rows, strict=True)],
        lacking(rows, lambda one: f"{one['key']} {one['task']}"),
    )


@dataclass(frozen=True, slots=True)
class Target:
    """A dataset and task that the joint run has not seen, with the runs that are shown for it."""

    results: Results
    key: str
    task: Task

    @property
    def runs(self) -> list[str]:
        """Runs that the table shows."""
        return shown(self.results, WHERE, self.key, self.task)

    @property
    def metric(self) -> str:
        """The headline."""
        return headline(self.task, self.results.slice.evaluate.iou)

    def cell(self, run: str) -> Mapping[str, Any]:
        """A run's test metrics, a branch each."""
        found: Mapping[str, Any] = self.results.metrics(run)[self.key][self.task]
        return found

    def value(self, run: str) -> float | None:
        """The headline of the branch that stands for a run."""
        cell = self.cell(run)
        found: float | None = cell[standing(cell)][self.metric]["value"]
        return found

    def differences(self, run: str) -> Mapping[str, Mapping[str, Any]]:
        """What a run has over others, paired by image."""
        found: Mapping[str, Mapping[str, Any]] = self.cell(run).get("differences", {})
        return found

    def gaps(self, column: Initialisation, run: str) -> list[Gap]:
        """Why a run's cell has no number."""
        cell = self.cell(run)
        return metric_gap(column.label, cell, standing(cell), self.metric)

    def record(self, column: Initialisation, run: str | None, against: str | None) -> Record:
        """A row of the CSV, with further metrics."""
        cell = self.cell(run) if run else {}
        branch = standing(cell)
        of_branch = cell.get(branch, {})
        in_print = published().get(self.key)
        name = in_paper(column)
        surface = of_branch.get("hd95", {})
        return {
            "dataset": self.results.slice.titles[self.key],
            "key": self.key,
            "task": str(self.task),
            "metric": self.metric,
            **described(column),
            "run": run,
            "branch": branch if run else None,
            **percent("value", of_branch.get(self.metric, {})),
            **{end: number for metric in MORE for end, number in percent(metric, of_branch.get(metric, {})).items()},
            **{f"hd95{end}": surface.get(end.lstrip("_") or "value") for end in ("", "_low", "_high")},
            "against_run": against,
            **percent("difference", cell.get("differences", {}).get(against, {})),
            "published": in_print.of(name) if in_print and name else None,
            "test_images": of_branch.get("images"),
            "test_patients": of_branch.get("patients"),
        }
