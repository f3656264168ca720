"""The whole state of a run between two stages, as two safe, checksummed files: weights, and what continuing needs beside them.

Safetensors hold tensors and text only: nothing in a file can execute. Names: `student.<parameter>`,
`teacher.<parameter>`, `optimizer.<moment>.<parameter>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from fxcore.errors import InputError
from fxcore.slices.data import Heads
from fxcore.slices.train import TrainSlice
from fxcore.tensorfile import again, part, read, write


@dataclass(frozen=True, slots=True)
class TrainState:
    """Everything the next stage depends on.

    `tensors` by name, passes and updates done, training images `seen` of each dataset and task (repeats counted), and who
    made it: `provenance` with the run's slice as `params`, the name of the `stage`, and the `heads`.
    """

    tensors: Mapping[str, Tensor]
    passes: int
    updates: int
    seen: Mapping[str, Mapping[str, int]]
    provenance: Mapping[str, Any]
    scaler: Mapping[str, Any] = field(default_factory=dict)
    """Of the loss, in half precision; empty otherwise."""
    sha256: str | None = None
    """Of the weights, where it was read from a file."""

    @property
    def slice(self) -> TrainSlice:
        """The parameters it was trained with."""
        return TrainSlice.model_validate(self.provenance["params"])

    @property
    def heads(self) -> dict[str, Heads]:
        """Classes and label policies of each dataset it was trained on."""
        return {name: Heads.model_validate(one) for name, one in self.provenance["heads"].items()}

    def check(self, slice_: TrainSlice, heads: Mapping[str, Heads]) -> None:
        """Refuse a state that another experiment left under this name.

        Raises:
            InputError: it belongs to another run, or was trained with other parameters or heads.
        """
        mine = self.slice
        if mine.run != slice_.run:
            raise InputError(f"a state of run {mine.run}; expected {slice_.run}")
        if mine != slice_ or self.heads != heads:
            other = [name for name in TrainSlice.model_fields if getattr(mine, name) != getattr(slice_, name)]
            raise InputError(
                f"{self.provenance['stage']} of {mine.run} was trained with other {', '.join(other) or 'heads'};"
                " delete the run's checkpoints and train it again"
            )

    @property
    def facts(self) -> dict[str, Any]:
        """All but the tensors."""
        names = ("passes", "updates", "seen", "provenance", "scaler")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Self:
        """A state from the content of a file.

        Raises:
            KeyError: the facts are not those of a state.
        """
        names = ("passes", "updates", "seen", "provenance", "scaler", "sha256")
        return cls(tensors, **{name: facts[name] for name in names})

    def part(self, name: str) -> dict[str, Tensor]:
        """Tensors whose name starts with `name`, without it: "student", "teacher", "optimizer"."""
        return part(self.tensors, name)

    def save(self, weights: Path, optimizer: Path) -> None:
        """Write both files, each atomically and with the checksum of its tensors."""
        moments = {name: value for name, value in self.tensors.items() if name.startswith("optimizer.")}
        models = {name: value for name, value in self.tensors.items() if name not in moments}
        digest = write(weights, models, self.facts)
        write(optimizer, moments, {"weights": digest, "provenance": self.provenance})


def load(weights: Path, optimizer: Path | None = None) -> TrainState:
    """Read a state back, on the CPU; without `optimizer` to look at, not to continue from.

    Raises:
        InputError: a file is missing, cut short, altered, or no training state, or the two do not belong together.
    """
    tensors, facts = read(weights)
    if optimizer is not None:
        moments, more = read(optimizer)
        if more.get("weights") != facts["sha256"]:
            raise InputError(f"{optimizer}: does not belong to {weights}; delete both and run the stage again")
        tensors |= moments
    try:
        return TrainState.of(tensors, facts)
    except KeyError as error:
        raise InputError(f"{weights}: is no training state, it has no {error}; {again(weights)}") from error
