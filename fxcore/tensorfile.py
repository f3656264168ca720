"""Files of tensors with facts about them: safe (safetensors, no pickle), checksummed, written whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fxcore import paths
from fxcore.errors import InputError
from fxcore.files import atomic, sealed, snakemake, unsealed


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """Write tensors and facts as one file, atomically, with the checksum it returns; equal content gives equal bytes.

    Raises:
        InputError: the file cannot be written, for example because the disk is full; what was there before is still there.
    """
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    found = digest(whole)
    try:
        with atomic(path) as part:
            # One entry: safetensors writes several in no fixed order.
            save_file(whole, part, {"fxcore": sealed(json.dumps({**facts, "sha256": found}, sort_keys=True))})
    except SafetensorError as error:
        raise InputError(f"{path}: cannot be written ({error}); make room or rights there, and start again") from error
    return found


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts that `write` wrote, on the CPU.

    Raises:
        InputError: the file is missing, cut short or altered.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            facts = unsealed((opened.metadata() or {}).get("fxcore", "{}"))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
        if not isinstance(facts, dict):
            raise ValueError("its facts are none")
    except (LookupError, MemoryError, OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {again(path)}") from error
    if facts.get("sha256") != digest(tensors):
        raise InputError(f"{path}: its tensors do not have the checksum it was written with; {again(path)}")
    return tensors, facts


def part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Those whose name starts with `name` and a dot, without it."""
    head = f"{name}."
    return {key.removeprefix(head): value for key, value in tensors.items() if key.startswith(head)}


def again(path: Path) -> str:
    """What to do about a file that is not right; what is kept of a run is a second name of its checkpoints (`training/keep.py`)."""
    for folder in path.parents:
        if folder.parent.name == "kept" and (folder / paths.MANIFEST).exists():
            other = paths.checkpoints(folder.parents[1], folder.name) / path.relative_to(folder)
            both = f"delete it and {other}, and make both again"
            return f"{both} with: {snakemake('--force', '--', str(folder / paths.MANIFEST))}"
    return f"if a run made it, delete it and make it again with: {snakemake('--', str(path))}"


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and contents."""
    made = hashlib.sha256()
    for name in sorted(tensors):
        made.update(name.encode())
        made.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return made.hexdigest()
