"""The ablation table: what each part of the method is worth, by runs that lack it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from fxcore.errors import InputError
from fxcore.evaluation.headline import headline, printed
from fxcore.evaluation.statistics import standing
from fxcore.params.runs import Run, Training
from fxcore.passes import Task
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
    records = [record for name, run in runs.items() for record in _records(results, name, run)]
    metrics = [printed(headline(task, results.slice.evaluate.iou)) for task in Task]
    header = ["run", "changed", *(text for metric in metrics for text in (metric, f"Δ {metric}")), "images seen"]
    rows = [_row(results, run, [one for one in records if one["key"] == name]) for name, run in runs.items()]
    data = results.kind(dict.fromkeys(key for run in runs.values() for key in run.train.visits))
    caption = (
        f"{data} Test split, percent, means over the datasets of the run that have the task; the teacher, without one the"
        " student, of the cycle that validation chose; one seed. Δ is the mean difference from the run that is changed, paired"
        f" by image; in brackets, for how many of the datasets its {100 * results.slice.evaluate.confidence:.0f} % interval lies"
        " above zero (+) or below (−). The CSV has every dataset with its intervals."
    )
    return Table("Ablation", caption, records, header, rows)


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


def _records(results: Results, name: str, run: Run) -> Iterator[Record]:
    found, seen = results.metrics(name), results.seen(name)
    for dataset, tasks in run.order:
        for task in tasks:
            cell, metric = found[dataset][task], headline(task, results.slice.evaluate.iou)
            branch = standing(cell)
            yield {
                "key": name,
                "run": run.title,
                "dataset": results.slice.titles[dataset],
                "task": str(task),
                "metric": metric,
                "branch": branch,
                **percent("value", cell[branch][metric]),
                "against": run.of,
                **percent("difference", cell.get("differences", {}).get(run.of, {})),
                "images_seen": seen[dataset][task],
            }


def _row(results: Results, run: Run, records: Sequence[Record]) -> tuple[str, ...]:
    reference = results.slice.runs[run.of].train if run.of else None
    changed = "; ".join(changes(run.train, reference)) if reference else ""
    of_tasks = [[one for one in records if one["task"] == task] for task in Task]
    numbers = (text for cells in of_tasks for text in (_mean(cells), _moved(cells)))
    return (run.title, changed, *numbers, f"{sum(one['images_seen'] for one in records):,}")


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
