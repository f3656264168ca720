"""Fine-tuned runs beside one another: what each starts from, and the best of those that Foundation X is held against."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from fxcore.evaluation.headline import printed
from fxcore.params.runs import Run
from fxcore.params.training import Start
from fxcore.passes import Task
from fxcore.report.gaps import Gap, missing, noted
from fxcore.report.published import Transfer
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
Record = dict[str, Any]
Cell = tuple[Record, list[Gap]]
"""A row of the CSV, an initialisation's, and why it lacks numbers."""


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


class Target(Protocol):
    """A row of a page: what its runs, one an initialisation, are trained on and tested with."""

    @property
    def runs(self) -> Iterable[str]:
        """Runs that are tried on it."""

    def value(self, run: str) -> float | None:
        """The mean over test images."""

    def differences(self, run: str) -> Mapping[str, Mapping[str, Any]]:
        """What a run has over others, paired by image."""

    def gaps(self, column: Initialisation, run: str) -> Iterable[Gap]:
        """Why a run's own cell lacks numbers."""

    def record(self, column: Initialisation, run: str | None, against: str | None) -> Record:
        """A row of the CSV, without its note."""


def cells(results: Results, target: Target, tried: Iterable[Initialisation]) -> list[Cell]:
    """A cell for each column; Foundation X is held against the best of the others."""
    runs = {initialisation(results, results.slice.runs[name]): name for name in target.runs}
    mine, other = ours(results, target.runs), best(results, target.runs, target.value)
    made = []
    for column in tried:
        run = runs.get(column)
        against = other if run is not None and run == mine else None
        gaps = [absent(column)] if run is None else list(target.gaps(column, run))
        if run and against and target.differences(run).get(against, {}).get("value") is None:
            gaps.append(Gap("Δ", f"no paired difference from {against}", False))
        made.append((target.record(column, run, against) | {"note": noted(gaps)}, gaps))
    return made


def lacking(rows: Iterable[Sequence[Cell]], where: Callable[[Record], str]) -> list[str]:
    """Lines for `Table.missing`; `where` says which row a record is of."""
    return [line for row in rows for one, gaps in row for line in missing(where(one), gaps)]


def header(tried: Iterable[Initialisation], *more: str) -> list[str]:
    """Columns of a page: those that say which row, `more` last of them, then initialisations and what is held against what."""
    columns = ["dataset", "metric", *more, *(one.label for one in tried), "Δ", "against"]
    return [*columns, *(f"published {name}" for name in PUBLISHED), "test images (patients)", "note"]


def compared_row(
    row: Sequence[Cell], in_print: Transfer | None, *more: str, text: Callable[[Record], str] = text, remark: str = ""
) -> tuple[str, ...]:
    """The row of a page under `header`; `text` prints a record's value."""
    records = [record for record, _ in row]
    first = next(one for one in records if one["run"])
    mine = next((one for one in records if one["against_run"]), None)
    against = next((one for one in records if mine and one["run"] == mine["against_run"]), None)
    gaps = [gap for _, of_record in row for gap in of_record]
    gaps += [*([] if mine else [UNPAIRED]), *([] if in_print else [UNPRINTED])]
    return (
        first["dataset"],
        printed(first["metric"]),
        *more,
        *map(text, records),
        interval(mine, "difference", "+") if mine else "no pair",
        against["initialisation"] if against else "none",
        *(f"{in_print.of(name):.2f}" if in_print else "not in the paper" for name in PUBLISHED),
        f"{first['test_images']:,} ({first['test_patients']:,})",
        noted(gaps, remark),
    )
