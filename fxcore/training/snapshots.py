"""Snapshots: copies of the teacher along the way, for the figure of focused and unfocused performance.

One file a stage; `<pass>.<parameter>` are its tensors, passes counted from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fxcore.passes import Pass
from fxcore.slices.train import TrainSlice
from fxcore.tensorfile import read, write
from fxcore.training.loop import Trainer


class Snapshots:
    """Collects the teachers of one stage."""

    def __init__(self, slice_: TrainSlice) -> None:
        self.slice = slice_
        self.tensors: dict[str, Tensor] = {}

    def take(self, trainer: Trainer, one: Pass) -> None:
        """Copy the teacher after a pass, if the run's parameters ask for it."""
        if trainer.teacher is not None and self.slice.snaps(one):
            for name, value in trainer.teacher.model.state_dict().items():
                self.tensors[f"{one.index + 1}.{name}"] = value.detach().cpu().clone()

    def save(self, path: Path, provenance: Mapping[str, Any]) -> None:
        """Write what was collected, which may be nothing, and who made it."""
        write(path, self.tensors, {"provenance": provenance})


def saved(files: Sequence[Path], slice_: TrainSlice) -> Iterator[tuple[Pass, dict[str, Tensor]]]:
    """Each snapshot of a run in the order of training: the pass it was taken after, and the teacher's tensors."""
    passes = {str(one.index + 1): one for one in slice_.passes(slice_.horizon_cycles)}
    for file in files:
        tensors, _ = read(file)
        for number in sorted({name.partition(".")[0] for name in tensors}, key=int):
            head = f"{number}."
            yield passes[number], {name.removeprefix(head): of for name, of in tensors.items() if name.startswith(head)}
