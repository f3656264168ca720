"""The ablation table: what each part of the method is worth, by runs that lack it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from fxcore.errors import InputError
from fxcore.evaluation.headline import headline, printed
from fxcore.evaluation.statistics import standing
from fxcore.params.runs import Run, Training
from fxcore.passes import Task
from fxcore.report.gaps import Gap, metric_gap, missing, noted, paired_gap
from fxcore.report.render import Table
from fxcore.report.results import Results, percent

Record = dict[str, Any]
BOOKKEEPING = ("horizon_cycles", "stage_cycles", "keep_every", "snapshots")
"""What two runs may differ in without being another method; the horizon goes with the cycles."""


def ablation(results: Results) -> Table:
    """Each ablation beside the run that it changes something of: its means over datasets, and how far they moved.

    A record is one dataset and task of one run; a row of the page is a run.

    Raises:
        InputError: no run is an ablation.
    """
    runs = {name: run for name, run in results.slice.runs.items() if run.role == "ablation"}
    if not runs:
        raise InputError("runs: none with role: ablation; the table has nothing to show")
    cells = {name: list(_cells(results, name, run)) for name, run in runs.items()}
    records = [cell.record for of_run in cells.values() for cell in of_run]
    metrics = [printed(headline(task, results.slice.evaluate.iou)) for task in Task]
    header = [
        "run",
        "changed",
        *(text for metric in metrics for text in (metric, f"Δ {metric}")),
        "images seen",
        "note",
    ]
    rows = [_row(results, run, cells[name]) for name, run in runs.items()]
    lacking = [line for of_run in cells.values() for cell in of_run for line in cell.missing()]
    keys = dict.fromkeys(key for run in runs.values() for key in run.train.visits)
    caption = (
        f"{results.kind(keys)} Test split, percent, means over the datasets of the run that have the task; the teacher, without one the"
        " student, of the cycle that validation chose; one seed. Δ is the mean difference from the run that is changed, paired"
        f" by image; in brackets, for how many of the datasets its {100 * results.slice.evaluate.confidence:.0f} % interval lies"
        " above zero (+) or below (−). The CSV has every dataset with its intervals."
        f" {results.split(keys)}"
    )
    return Table("Ablation", caption, records, header, rows, lacking)


def changes(run: Training, reference: Training) -> Iterator[str]:
    """What a run has other than its reference, a text a value."""
    ours, theirs = (_flat(one.model_dump(mode="json", exclude=set(BOOKKEEPING))) for one in (run, reference))
    for name in dict.fromkeys([*theirs, *ours]):
        mine, its = ours.get(name), theirs.get(name)
        if mine != its:
            yield f"{name.removeprefix('override.')}: {_text(mine)}" + (
                f" (not {_text(its)})" if name in theirs else ""
            )


def _flat(block: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in block.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of the CSV, one dataset and task of one run, and why it lacks numbers."""

    record: Record
    gaps: tuple[Gap, ...]

    def missing(self) -> list[str]:
        """Numbers that could not be had."""
        one = self.record
        return missing(f"{one['run']}, {one['key']} {one['task']}", self.gaps)


def _cells(results: Results, name: str, run: Run) -> Iterator[Cell]:
    found, seen = results.metrics(name), results.seen(name)
    for dataset, tasks in run.order:
        for task in tasks:
            cell, metric = found[dataset][task], headline(task, results.slice.evaluate.iou)
            branch, shown = standing(cell), printed(metric)
            alone = "no run that it changes" if run.of is None else f"{run.of} has no such dataset and task"
            gaps = (
                *metric_gap(shown, cell, branch, metric),
                *paired_gap(f"Δ {shown}", cell.get("differences", {}).get(run.of), alone),
            )
            record = {
                "run": name,
                "title": run.title,
                "dataset": results.slice.titles[dataset],
                "key": dataset,
                "task": str(task),
                "metric": metric,
                "branch": branch,
                **percent("value", cell[branch][metric]),
                "against_run": run.of,
                **percent("difference", cell.get("differences", {}).get(run.of, {})),
                "images_seen": seen[dataset][task],
                "note": noted(gaps),
            }
            yield Cell(record, gaps)


def _row(results: Results, run: Run, cells: Sequence[Cell]) -> tuple[str, ...]:
    reference = results.slice.runs[run.of].train if run.of else None
    changed = "; ".join(changes(run.train, reference)) if reference else ""
    records = [cell.record for cell in cells]
    of_tasks = {task: [one for one in records if one["task"] == task] for task in Task}
    numbers = (text for of_task in of_tasks.values() for text in (_mean(of_task), _moved(of_task)))
    untrained = [printed(headline(task, results.slice.evaluate.iou)) for task, found in of_tasks.items() if not found]
    gaps = [Gap(metric, "not trained for it", True) for metric in untrained]
    gaps += [
        gap if gap.meant else Gap(f"{gap.column} of {cell.record['dataset']}", gap.why, False)
        for cell in cells
        for gap in cell.gaps
    ]
    seen = f"{sum(one['images_seen'] for one in records):,}"
    return (run.title, changed, *numbers, seen, noted(gaps))


def _mean(cells: Sequence[Record]) -> str:
    values = [one["value"] for one in cells if one["value"] is not None]
    return f"{fmean(values):.1f}" if values else "–"


def _moved(cells: Sequence[Record]) -> str:
    moved = [one for one in cells if one["difference"] is not None]
    if not moved:
        return "–"
    known = [one for one in moved if one["difference_low"] is not None]
    above = sum(one["difference_low"] > 0 for one in known)
    below = sum(one["difference_high"] < 0 for one in known)
    signs = ", ".join(f"{number}{sign}" for number, sign in ((above, "+"), (below, "−")) if number) or "0"
    return f"{fmean(one['difference'] for one in moved):+.1f} ({signs} of {len(moved)})"
