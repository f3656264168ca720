"""Claims about many cells at once: in what share of them our runs agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from fxcore.passes import Task, Visits
from fxcore.report.ablation import changes
from fxcore.report.effects import NO_RUN, Effect, Interval
from fxcore.report.published import Claim, pretraining
from fxcore.report.results import Results

PARTS = {"lock": {"lock"}, "cycles": {"cycles", "repeats"}}
"""What an ablation changes that tests a part of the method, and nothing else."""
CELLS = "the interval takes cells as independent, which they are not: they share weights and images"


def _share(hits: int, cells: int, datasets: Iterator[str], runs: tuple[str, str | None], note: str) -> Effect:
    """A share of cells with its Wilson interval, as if cells were independent."""
    keys = tuple(dict.fromkeys(datasets))
    if not cells:
        return Effect(Interval(), keys, runs, lacks=NO_RUN)
    low, high = wilson(hits, cells)
    found = Interval(*(round(100 * one, 2) for one in (hits / cells, low, high)))
    return Effect(found, keys, runs, f"{hits} of {cells} cells", f"{note}; {CELLS}" if note else CELLS)


def wilson(hits: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's interval of a share, 95 % with the default `z`."""
    share, spread = hits / of, z**2 / of
    middle, half = share + spread / 2, z * math.sqrt(share * (1 - share) / of + spread / of / 4)
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def _wins(results: Results, _: Claim) -> Effect:
    joint, run = results.joint
    won = list(_differences(results, joint, run.order, results.baseline))
    share = _share(sum(one > 0 for *_, one in won), len(won), (key for key, *_ in won), (joint, None), "")
    lacking = set(pretraining()) - {(key, str(task)) for key, task, _ in won}
    of = f"{NO_RUN} for {len(lacking)} of {len(pretraining())} cells"
    return replace(share, lacks=share.lacks or of) if lacking else share


def _differences(
    results: Results, name: str, order: Visits, against: Callable[[str, str], str | None]
) -> Iterator[tuple[str, Task, float]]:
    """The paired differences of a run that have a value, by dataset and task."""
    found = results.metrics(name)
    for key, tasks in order:
        for task in tasks:
            differences: Mapping[str, Any] = found[key][task].get("differences", {})
            value = differences.get(against(key, task) or "", {}).get("value")
            if value is not None:
                yield key, task, value


def _unfocused(results: Results, _: Claim) -> Effect:
    joint, _run = results.joint
    known = [one for one in results.choice(joint)["snapshots"] if one["value"] is not None]
    hits: dict[tuple[str, ...], bool] = {}
    for cell in dict.fromkeys(tuple(one["of"]) for one in known):
        mine = [one for one in known if tuple(one["of"]) == cell]
        focused = [one["value"] for one in mine if tuple(one["after"]) == cell]
        others = [one["value"] for one in mine if tuple(one["after"]) != cell]
        if focused and others:
            hits[cell] = max(others) >= max(focused)
    note = "on validation; the best of more values is higher by itself"
    return _share(sum(hits.values()), len(hits), (key for key, _ in hits), (joint, None), note)


def _ablation(results: Results, claim: Claim) -> Effect:
    runs = results.slice.runs
    for name, run in runs.items():
        full = run.of
        if full is None or not _lacks(results, name, claim.item):
            continue
        moved = list(_differences(results, name, run.order, _always(full)))
        note = f"cells in which {runs[full].title} is better than {run.title}"
        return _share(sum(one < 0 for *_, one in moved), len(moved), (key for key, *_ in moved), (full, name), note)
    return Effect(lacks=NO_RUN)


def _always(run: str) -> Callable[[str, str], str]:
    return lambda *_: run


def _lacks(results: Results, name: str, part: str) -> bool:
    """Whether an ablation lacks a part of the method and is otherwise the run that it changes."""
    run = results.slice.runs[name]
    reference = results.slice.runs[run.of or name].train
    without = not run.train.lock if part == "lock" else run.train.cycles == 1
    return without and {text.partition(":")[0] for text in changes(run.train, reference)} == PARTS[part]


SHARES: dict[str, Callable[[Results, Claim], Effect]] = {
    "wins": _wins,
    "unfocused": _unfocused,
    "ablation": _ablation,
}
"""By kind of test."""
