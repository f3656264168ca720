"""The autosave of a stage of a run: trainer and snapshots as they are."""

from __future__ import annotations

import logging
from pathlib import Path

from fxcore.errors import InputError
from fxcore.training.history import Row
from fxcore.training.loop import Trainer
from fxcore.training.save import Save
from fxcore.training.snapshots import Snapshots
from fxcore.training.state import TrainState

log = logging.getLogger(__name__)

_SNAPSHOT = "snapshot."


class Autosave(Save):
    """That of a stage of a run."""

    def __init__(self, path: Path, minutes: float | None, stage: str, began: str | None) -> None:
        """`stage` is its name, `began` the checksum of the weights that it continues."""
        super().__init__(path, minutes, {"stage": stage, "began": began})
        self.stage = stage

    def offer(self, trainer: Trainer, rows: list[Row], snapshots: Snapshots) -> None:
        """Save if it is time; call after each update."""
        if not self.due:
            return
        state = trainer.state(self.stage)
        taken = {f"{_SNAPSHOT}{name}": value for name, value in snapshots.tensors.items()}
        self.write({**state.tensors, **taken}, {**state.facts, "within": trainer.within, "rows": rows})

    def restore(self, trainer: Trainer, snapshots: Snapshots) -> list[Row]:
        """Put trainer and snapshots where the last save left them; the rows of the updates done. Without a save that fits, nothing."""
        found = self.read()
        if found is None:
            return []
        tensors, facts = found
        try:
            own = {name: value for name, value in tensors.items() if not name.startswith(_SNAPSHOT)}
            trainer.restore(TrainState.of(own, facts), within=facts["within"])
            rows: list[Row] = facts["rows"]
        except (InputError, KeyError) as error:
            self.refuse(error)
            return []
        snapshots.tensors = {
            name.removeprefix(_SNAPSHOT): value for name, value in tensors.items() if name.startswith(_SNAPSHOT)
        }
        log.info("continuing %s after update %d, from an autosave", self.stage, trainer.updates)
        return rows
