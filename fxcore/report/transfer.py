"""Table 5: segmentation of datasets that the joint run has not seen, from one initialisation and another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fxcore.errors import InputError
from fxcore.evaluation.headline import headline, printed
from fxcore.evaluation.statistics import standing
from fxcore.passes import Task
from fxcore.report.finetuned import (
    HOW,
    NOT_SUPPLIED,
    PUBLISHED,
    UNPAIRED,
    UNPRINTED,
    Initialisation,
    absent,
    best,
    columns,
    described,
    in_paper,
    initialisation,
    ours,
    shown,
    text,
    visited,
)
from fxcore.report.gaps import Gap, metric_gap, missing, noted
from fxcore.report.published import transfer as published
from fxcore.report.render import Table, interval
from fxcore.report.results import Results, percent

WHERE = "table5_transfer"
ASKED = ("ImageNet", "Ark", "POPAR")
"""Initialisations of others that the paper or its readers hold Foundation X against; weights of none come with fxcore."""
MORE = ("iou", "dice_positive")
"""Further metrics of segmentation in percent, for the CSV, which has the surface distance `hd95` in pixels, too."""
Record = dict[str, Any]
Cell = tuple[Record, list[Gap]]


def table5_transfer(results: Results) -> Table:
    """Segmentation transfer (Table 5 of the paper): a row a dataset, a column an initialisation.

    Raises:
        InputError: no run is shown here.
    """
    names = shown(results, WHERE)
    if not names:
        raise InputError(f"runs: none with shown_in: {WHERE}; the table has nothing to show")
    targets = [(key, task) for key in visited(results, names) for task in Task if shown(results, WHERE, key, task)]
    tried = columns(results, names, ASKED)
    cells = [_cells(results, key, task, tried) for key, task in targets]
    records = [record for of_target in cells for record, _ in of_target]
    lacking = [
        line for of_target in cells for one, gaps in of_target for line in missing(f"{one['key']} {one['task']}", gaps)
    ]
    header = ["dataset", "metric", *(one.label for one in tried), "Δ", "against"]
    header += [*(f"published {name}" for name in PUBLISHED), "test images (patients)", "note"]
    rows = [_row(of_target) for of_target in cells]
    keys = [key for key, _ in targets]
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
    return Table("Table 5. Transfer", caption, records, header, rows, lacking)


def value(results: Results, name: str, dataset: str, task: Task) -> Mapping[str, Any]:
    """The headline of a run on a dataset and task, of the branch that stands for it."""
    cell = results.metrics(name)[dataset][task]
    found: Mapping[str, Any] = cell[standing(cell)][headline(task, results.slice.evaluate.iou)]
    return found


def _cells(results: Results, key: str, task: Task, tried: Sequence[Initialisation]) -> list[Cell]:
    names = shown(results, WHERE, key, task)
    runs = {initialisation(results, results.slice.runs[name]): name for name in names}
    mine = ours(results, names)
    other = best(results, names, lambda name: value(results, name, key, task)["value"])
    made = []
    for column in tried:
        run = runs.get(column)
        against = other if run is not None and run == mine else None
        gaps = _gaps(results, column, run, key, task, against)
        made.append((_record(results, column, run, key, task, against) | {"note": noted(gaps)}, gaps))
    return made


def _gaps(
    results: Results, column: Initialisation, run: str | None, key: str, task: Task, against: str | None
) -> list[Gap]:
    if run is None:
        return [absent(column)]
    cell = results.metrics(run)[key][task]
    gaps = list(metric_gap(column.label, cell, standing(cell), headline(task, results.slice.evaluate.iou)))
    if against and cell.get("differences", {}).get(against, {}).get("value") is None:
        gaps.append(Gap("Δ", f"no paired difference from {against}", False))
    return gaps


def _record(
    results: Results, column: Initialisation, run: str | None, key: str, task: Task, against: str | None
) -> Record:
    metric = headline(task, results.slice.evaluate.iou)
    cell = results.metrics(run)[key][task] if run else {}
    branch = standing(cell)
    of_branch = cell.get(branch, {})
    in_print = published().get(key)
    name = in_paper(column)
    surface = of_branch.get("hd95", {})
    return {
        "dataset": results.slice.titles[key],
        "key": key,
        "task": str(task),
        "metric": metric,
        **described(column),
        "run": run,
        "branch": branch if run else None,
        **percent("value", of_branch.get(metric, {})),
        **{end: number for metric in MORE for end, number in percent(metric, of_branch.get(metric, {})).items()},
        **{f"hd95{end}": surface.get(end.lstrip("_") or "value") for end in ("", "_low", "_high")},
        "against_run": against,
        **percent("difference", cell.get("differences", {}).get(against, {})),
        "published": in_print.of(name) if in_print and name else None,
        "test_images": of_branch.get("images"),
        "test_patients": of_branch.get("patients"),
    }


def _row(cells: Sequence[Cell]) -> tuple[str, ...]:
    records = [record for record, _ in cells]
    first = next(one for one in records if one["run"])
    mine = next((one for one in records if one["against_run"]), None)
    against = next((one for one in records if mine and one["run"] == mine["against_run"]), None)
    in_print = published().get(first["key"])
    gaps = [gap for _, of_record in cells for gap in of_record]
    gaps += [*([] if mine else [UNPAIRED]), *([] if in_print else [UNPRINTED])]
    return (
        first["dataset"],
        printed(first["metric"]),
        *(text(one) for one in records),
        interval(mine, "difference", "+") if mine else "no pair",
        against["initialisation"] if against else "none",
        *(f"{in_print.of(name):.2f}" if in_print else "not in the paper" for name in PUBLISHED),
        f"{first['test_images']:,} ({first['test_patients']:,})",
        noted(gaps),
    )
