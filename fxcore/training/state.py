"""The whole state of a run between two stages, as one safe, checksummed file.

Safetensors hold tensors and text only: nothing in the file can execute. Names: `student.<parameter>`,
`teacher.<parameter>`, `optimizer.<moment>.<parameter>`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fxcore.errors import InputError
from fxcore.files import atomic


@dataclass(frozen=True, slots=True)
class TrainState:
    """Everything the next stage depends on: `tensors` by name, passes and updates done, and who made it."""

    tensors: Mapping[str, Tensor]
    passes: int
    updates: int
    provenance: Mapping[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """Tensors whose name starts with `name`, without it: "student", "teacher", "optimizer"."""
        return {
            key.removeprefix(f"{name}."): value for key, value in self.tensors.items() if key.startswith(f"{name}.")
        }

    def save(self, path: Path) -> None:
        """Write the state atomically, with the checksum of its tensors."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.tensors.items()}
        facts = {
            "passes": self.passes,
            "updates": self.updates,
            "provenance": self.provenance,
            "sha256": _digest(tensors),
        }
        with atomic(path) as part:
            # One entry: safetensors writes several in no fixed order, and equal states are to be equal files.
            save_file(tensors, part, {"fxcore": json.dumps(facts, sort_keys=True)})


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load(path: Path) -> TrainState:
    """Read a state back, on the CPU.

    Raises:
        InputError: the file is missing, cut short, altered, or no training state.
    """
    again = f"delete it and run the stage again: snakemake --cores all -- {path}"
    try:
        with safe_open(path, framework="pt") as opened:
            facts = json.loads((opened.metadata() or {}).get("fxcore", "{}"))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a training state ({error}); {again}") from error
    if facts.get("sha256") != _digest(tensors):
        raise InputError(f"{path}: its tensors do not have the checksum it was written with; {again}")
    return TrainState(tensors, facts["passes"], facts["updates"], facts["provenance"])


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Moments and step counts as `<moment>.<parameter>`; only of parameters that were ever stepped."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{moment}.{names[parameter]}": value
        for parameter, of in optimizer.state.items()
        for moment, value in of.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser without state the moments of `optimizer_tensors`, on each parameter's device."""
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        moment, _, name = key.partition(".")
        parameter = parameters[name]
        optimizer.state[parameter][moment] = value.clone().to(parameter.device)
