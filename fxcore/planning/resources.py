"""What jobs ask a cluster for: estimates on the safe side, more with every attempt.

Local runs ignore them, and no result depends on them.
"""

from __future__ import annotations

import math

BASE_MB, THREAD_MB = 12_000, 2_000
"""Memory of a job: PyTorch with a network's state on its way to disk, and what each thread holds of the data."""
START_MINUTES, MARGIN = 15, 2.0
"""Before the first image; and times the work that is expected, for slow disks and shared nodes."""
LONGEST_MINUTES = 3 * 24 * 60
"""Asked for at most, and where nothing is known; the authors' own jobs had three days."""
DECODED_PER_SECOND = 10.0
"""Images that a thread decodes and scales at least; large JPEGs are the slowest."""


def memory(threads: int, attempt: int) -> int:
    """Megabytes; `attempt` counts from 1."""
    return attempt * (BASE_MB + THREAD_MB * threads)


def minutes(images: int | None, per_second: float, attempt: int) -> int:
    """Minutes for so many images; the longest time where their number is unknown."""
    if images is None:
        return LONGEST_MINUTES
    return min(LONGEST_MINUTES, attempt * math.ceil(START_MINUTES + MARGIN * images / per_second / 60))
