"""Which groups are held out where a release does not say: by a hash of their names, one group at a time."""

from __future__ import annotations

from fxcore.passes import Split
from fxcore.seeding import derive

_SPAN = 2**63


def position(group: str, seed: int) -> float:
    """Where a group lies in [0, 1), by its name and the seed alone: whatever else there is, it stays there."""
    return derive("split", seed, group) / _SPAN


def part(position: float, val: float, test: float) -> Split:
    """The split of a group at a position: the first `test` of the groups are for testing, the next `val` for validation."""
    if position < test:
        return Split.TEST
    return Split.VAL if position < test + val else Split.TRAIN
