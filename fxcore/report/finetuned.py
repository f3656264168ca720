"""Fine-tuned runs beside one another: what each starts from, and the best of those that Foundation X is held against."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from fxcore.params.runs import Run
from fxcore.params.training import Start
from fxcore.passes import Task
from fxcore.report.gaps import Gap
from fxcore.report.render import interval
from fxcore.report.results import Results

HOW = "docs/how-to/start-from-weights.md"
NOT_SUPPLIED = "not supplied"
PUBLISHED = ("Ark", "POPAR", "Foundation X")
"""Columns of the paper's tables."""
UNPAIRED = Gap("Δ", "Foundation X, or a run with a number beside it, is missing", True)
UNPRINTED = Gap("published", "not in the paper", True)
"""Why a row has no difference, and why no published numbers."""
HEAD_ONLY = "head only"


class Origin(IntEnum):
    """Where a run's first weights come from, in the order of columns."""

    RANDOM = 0
    FILE = 1
    RUN = 2
    JOINT = 3


@dataclass(frozen=True, slots=True)
class Initialisation:
    """A column: first weights as tables print them, and whether only the head is trained; `supplied` where a run has them."""

    label: str
    origin: Origin
    head: bool = False
    supplied: bool = True


def initialisation(results: Results, run: Run) -> Initialisation:
    """The column that a run belongs to."""
    start, head = run.train.start, run.train.tune == "head"
    if start is None:
        origin = Origin.RANDOM
    elif isinstance(start, Start):
        origin = Origin.FILE
    else:
        origin = Origin.JOINT if start.run == results.joint[0] else Origin.RUN
    lacks = head and HEAD_ONLY not in run.title.lower()
    return Initialisation(f"{run.title}, {HEAD_ONLY}" if lacks else run.title, origin, head)


def columns(results: Results, names: Iterable[str], asked: Sequence[str] = ()) -> list[Initialisation]:
    """Initialisations of runs in the order of columns; those of `asked` that no run has stand among the files, not supplied."""
    found = list(dict.fromkeys(initialisation(results, results.slice.runs[name]) for name in names))
    found += [Initialisation(name, Origin.FILE, supplied=False) for name in asked if not any(map(named(name), found))]
    return sorted(found, key=lambda one: (one.origin, one.head))


def named(name: str) -> Callable[[Initialisation], bool]:
    """Whether an initialisation goes by a name of the paper: Ark-6 is Ark."""
    word = re.compile(rf"\b{name}", re.IGNORECASE)
    return lambda one: word.search(one.label) is not None


def shown(results: Results, where: str, dataset: str | None = None, task: Task | None = None) -> list[str]:
    """Runs that are shown somewhere, those of a dataset and task where they are given."""
    return [
        name
        for name, run in results.slice.runs.items()
        if run.shown_in == where
        and any(dataset in (None, key) and (task is None or task in tasks) for key, tasks in run.train.visits.items())
    ]


def absent(column: Initialisation) -> Gap:
    """Why a column has no number in a row for which no run fills it."""
    return Gap(column.label, "no such run" if column.supplied else f"{NOT_SUPPLIED}; {HOW}", True)


def described(column: Initialisation) -> dict[str, str]:
    """A column's own values in a record of the CSV."""
    return {
        "initialisation": column.label,
        "origin": column.origin.name.lower() if column.supplied else NOT_SUPPLIED,
        "tune": "head" if column.head else "full",
    }


def in_paper(column: Initialisation) -> str | None:
    """The paper's column for the same weights, if it has one."""
    return next((name for name in PUBLISHED if named(name)(column) and not column.head), None)


def text(one: Mapping[str, Any]) -> str:
    """A record's value as the page prints it; where there is none, why in a word."""
    if one["run"] is None:
        return NOT_SUPPLIED if one["origin"] == NOT_SUPPLIED else "no run"
    return "undefined" if one["value"] is None else interval(one, "value")


def visited(results: Results, names: Iterable[str]) -> list[str]:
    """Datasets of runs, each once."""
    return list(dict.fromkeys(key for name in names for key in results.slice.runs[name].train.visits))


def ours(results: Results, names: Iterable[str]) -> str | None:
    """The run among `names` that goes on from the joint run as a whole: Foundation X."""
    found = (name for name in names if results.slice.runs[name].origin == results.joint[0])
    return next((name for name in found if results.slice.runs[name].train.tune == "full"), None)


def best(results: Results, names: Iterable[str], value: Callable[[str], float | None]) -> str | None:
    """The best of the runs that do not start from the joint run and train everything, by `value`, a mean over test images."""
    others = [
        (number, name)
        for name in names
        if results.slice.runs[name].origin != results.joint[0] and results.slice.runs[name].train.tune == "full"
        if (number := value(name)) is not None
    ]
    return max(others, key=lambda one: one[0])[1] if others else None
