"""Telling how far a job is: a plain line now and then, with step, rate and time left."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

INTERVAL = 10.0
"""Seconds between two lines of one job."""


def duration(seconds: float) -> str:
    """A length of time as a reader would say it: 40 s, 12 min 5 s, 3 h 20 min."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def amount(value: float, unit: str) -> str:
    """Three digits with a decimal prefix: 172 GB, 18.3 EFLOP."""
    prefixes = " kMGTPEZ"
    at = 0
    while value >= 999.5 and at < len(prefixes) - 1:
        value, at = value / 1000, at + 1
    return f"{value:.3g} {prefixes[at].strip()}{unit}"


class Progress:
    """Counts steps of a known number and logs at most one line every `INTERVAL` seconds, and one at the end."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        """`unit` in the plural: "images", "updates"."""
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self.begun = self.said = time.monotonic()

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Count `steps`; `detail` is appended to a line that is due."""
        self.done += steps
        now = time.monotonic()
        last = self.done >= self.total
        if not last and now - self.said < INTERVAL:
            return
        self.said = now
        rate = self.done / max(now - self.begun, 1e-9)
        left = "" if last else f", {duration((self.total - self.done) / rate)} left"
        log.info(
            "%s: %d of %d %s, %.3g/s%s%s",
            self.name,
            self.done,
            self.total,
            self.unit,
            rate,
            left,
            f" · {detail}" if detail else "",
        )
