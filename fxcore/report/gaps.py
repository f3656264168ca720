"""Cells without a number: why, and whether somebody may have expected one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gap:
    """A cell without a number.

    `meant`: the parameters ask for none, say since a run has no teacher. Any other was asked for and could not be had.
    """

    column: str
    why: str
    meant: bool


def undefined(reasons: Mapping[str, str]) -> str:
    """Which classes are missing from a mean, and why; `reasons` by class, as metrics files have them."""
    of_reason: dict[str, list[str]] = {}
    for label, reason in reasons.items():
        of_reason.setdefault(reason, []).append(label)
    return "; ".join(f"{reason} in test: {', '.join(labels)}" for reason, labels in of_reason.items())


def metric_gap(column: str, cell: Mapping[str, Any], branch: str, metric: str) -> list[Gap]:
    """The gap in a column that shows a branch's metric, if there is one; a branch that the run does not have is meant."""
    if branch not in cell:
        return [Gap(column, f"the run has no {branch}", True)]
    found = cell[branch][metric]
    if found["value"] is not None:
        return []
    return [Gap(column, undefined(found.get("undefined", {})) or f"{metric} is undefined in test", False)]


def paired_gap(column: str, found: Mapping[str, Any] | None, without: str) -> list[Gap]:
    """The gap in a column that shows a paired difference; `without` says why there is none to be had by the parameters."""
    if found is None:
        return [Gap(column, without, True)]
    if found["value"] is not None:
        return []
    return [Gap(column, "one of the two compared has no number", False)]


def noted(gaps: Iterable[Gap], *more: str) -> str:
    """Why cells are empty, and what else there is to say, for the column `note`."""
    columns: dict[str, dict[str, None]] = {}
    for gap in gaps:
        columns.setdefault(gap.why, {})[gap.column] = None
    return "; ".join([*(f"no {', '.join(of)}: {why}" for why, of in columns.items()), *filter(None, more)])


def missing(where: str, gaps: Iterable[Gap]) -> list[str]:
    """A line for each number that was asked for and could not be had, for `Table.missing`."""
    return [f"{where}, {gap.column}: {gap.why}" for gap in gaps if not gap.meant]
