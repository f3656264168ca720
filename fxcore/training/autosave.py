"""Autosaves: what a stage that was killed continues from, at whichever update, to the same bits.

Everything random in an update derives from names, so the state of the trainer, how many updates of the current pass are done,
and what the stage is to write at its end are all there is to save.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from fxcore.errors import InputError
from fxcore.tensorfile import read, write
from fxcore.training.loop import Row, Trainer
from fxcore.training.snapshots import Snapshots
from fxcore.training.state import TrainState

log = logging.getLogger(__name__)

_SNAPSHOT = "snapshot."


class Autosave:
    """One file of a stage, written now and then, gone when the stage is done."""

    def __init__(self, path: Path, minutes: float | None, began: str | None) -> None:
        """`minutes` between two saves, None for never; `began` is the checksum of the weights that the stage continues."""
        self.path, self.minutes, self.began = path, minutes, began
        self.last = time.monotonic()

    def offer(self, trainer: Trainer, stage: str, rows: list[Row], snapshots: Snapshots) -> None:
        """Save if it is time; call after each update."""
        if self.minutes is None or time.monotonic() - self.last < 60 * self.minutes:
            return
        state = trainer.state(stage)
        taken = {f"{_SNAPSHOT}{name}": value for name, value in snapshots.tensors.items()}
        facts = {**state.facts, "within": trainer.within, "rows": rows, "began": self.began}
        write(self.path, {**state.tensors, **taken}, facts)
        self.last = time.monotonic()

    def restore(self, trainer: Trainer, stage: str, snapshots: Snapshots) -> list[Row]:
        """Put trainer and snapshots where the last save left them; the rows of the updates done. Without a save that fits, nothing."""
        if not self.path.exists():
            return []
        try:
            tensors, facts = read(self.path)
            if facts["began"] != self.began or facts["provenance"]["stage"] != stage:
                raise InputError(f"{self.path}: is of another stage, or continues other weights")
            own = {name: value for name, value in tensors.items() if not name.startswith(_SNAPSHOT)}
            trainer.restore(TrainState.of(own, facts), within=facts["within"])
            rows: list[Row] = facts["rows"]
        except (InputError, KeyError) as error:
            log.info("the stage starts at its beginning; its autosave does not fit: %s", error)
            return []
        snapshots.tensors = {
            name.removeprefix(_SNAPSHOT): value for name, value in tensors.items() if name.startswith(_SNAPSHOT)
        }
        log.info("continuing %s after update %d, from an autosave", stage, trainer.updates)
        return rows

    def remove(self) -> None:
        """The stage is written: the save has served."""
        self.path.unlink(missing_ok=True)
