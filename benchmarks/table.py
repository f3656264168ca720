"""What benchmarks share: times of ways that are compared, and rows of the tables that they write."""

from __future__ import annotations

import time
from collections.abc import Callable

COLUMNS = ("what", "against", "ours", "theirs", "ratio", "aim")


def timed(rounds: int, *ways: Callable[[], object]) -> list[float]:
    """Seconds of the best round of each way; ways take turns within a round, to and fro, so that none always follows the same."""
    best = [float("inf")] * len(ways)
    for number in range(rounds):
        for place, way in list(enumerate(ways))[:: -1 if number % 2 else 1]:
            begun = time.perf_counter()
            way()
            best[place] = min(best[place], time.perf_counter() - begun)
    return best


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |\n"


def heading(*columns: str) -> str:
    """The two lines above the rows; `COLUMNS` if none are given."""
    names = columns or COLUMNS
    return row(*names) + row(*["---"] * len(names))


def ratio(what: str, against: str, ours: float, theirs: float, aim: str, unit: str = "s") -> str:
    """A row under `COLUMNS`."""
    return row(what, against, f"{ours:.3g} {unit}", f"{theirs:.3g} {unit}", f"{ours / theirs:.3f}", aim)
