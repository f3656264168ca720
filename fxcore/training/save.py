"""Saving what a job has done so far: one file, which a killed job continues from, at whichever update, to the same bits.

Everything random in an update derives from names, so the state of what trains, how far it is, and what the job is to write at
its end are all there is to save.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fxcore.errors import InputError
from fxcore.tensorfile import read, write

log = logging.getLogger(__name__)


class Save:
    """One file of a job, written now and then, gone when the job is done."""

    def __init__(self, path: Path, minutes: float | None, expected: Mapping[str, Any]) -> None:
        """`minutes` between two saves, None for never; a file whose facts differ from `expected` is of another job."""
        self.path, self.minutes, self.expected = path, minutes, dict(expected)
        self.last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return self.minutes is not None and time.monotonic() - self.last >= 60 * self.minutes

    def write(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Put this in the place of what was saved before."""
        write(self.path, tensors, {**facts, **self.expected})
        self.last = time.monotonic()

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was saved last; None where nothing was, or nothing that is whole and of this job."""
        if not self.path.exists():
            return None
        try:
            tensors, facts = read(self.path)
            if other := [name for name, value in self.expected.items() if facts.get(name) != value]:
                raise InputError(f"{self.path}: is of another job, or continues other weights: {', '.join(other)}")
        except InputError as error:
            self.refuse(error)
            return None
        return tensors, facts

    def refuse(self, error: Exception) -> None:
        """Say why what was saved is not used."""
        log.info("starting at the beginning; the autosave does not fit: %s", error)

    def remove(self) -> None:
        """The job's outputs are written: the save has served."""
        self.path.unlink(missing_ok=True)
