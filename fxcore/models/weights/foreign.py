"""Checkpoints of others: reading them safely, and giving their tensors our names."""

from __future__ import annotations

import pickle
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fxcore.errors import InputError

Tensors = Mapping[str, Tensor]
Options = Mapping[str, Any]
"""What tensors do not tell, by name: `heads`, `points`, `image_size`."""

_MOST_OF_BYTES = 20
"""Numbers of tensors for each byte of their file: heads that layers share are there once."""
_DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(TypeError, ValueError, struct.error, tarfile.TarError, zipfile.BadZipFile),
)
"""What reading raises of files that are cut, altered, or of another kind."""
_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMPY: list[Any] = [
    *(np.dtype, *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")), _SCALAR),
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name before NumPy 2
]
"""Training scripts keep their last loss as a NumPy number; nothing of these can run code."""


class Rule(NamedTuple):
    """A pattern of foreign names, and our name: a template, or a function of the match."""

    pattern: str
    name: str | Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of checkpoint: its names to ours, and the names that have none, each with the reason."""

    rules: Sequence[Rule]
    unused: Sequence[tuple[str, str]]


def load(path: Path) -> Any:
    """The content of a checkpoint, on the CPU; nothing in it is executed.

    Raises:
        InputError: it is missing, cut short, or holds more than tensors and plain values.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        packed = zipfile.is_zipfile(path)
        if packed and any(one.compress_type for one in zipfile.ZipFile(path).infolist()):
            raise ValueError("PyTorch packs nothing, and this would unpack to any size")
        with warnings.catch_warnings(), torch.serialization.safe_globals(_NUMPY):
            warnings.simplefilter("ignore")  # of a newer pickle than is usual
            # Mapped where the format allows it: optimisers in such files are larger than what is taken from them.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=packed)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():
            raise InputError(
                f"{path}: holds objects beside tensors, which could run code; it is not opened; save its state_dict alone"
            ) from error
        raise InputError(f"{path}: is no checkpoint, or cut short; download it again") from error
    except (*_DAMAGED, SafetensorError) as error:
        raise InputError(f"{path}: is no checkpoint, or cut short; download it again") from error


@contextmanager
def told_by(path: Path) -> Iterator[None]:
    """While tensors tell what network they make: names and shapes that no such network has are a mistake of the file."""
    try:
        yield
    except _DAMAGED as error:
        raise InputError(
            f"{path}: its tensors make no such network ({type(error).__name__}: {error}); is it of another kind?"
        ) from error


def tensors_of(content: Any, path: Path, *names: str) -> Tensors:
    """The state dict of a checkpoint: the first of `names` it has, or the checkpoint itself; `module.` of parallel training gone.

    Half precision becomes float32.

    Raises:
        InputError: there is none.
    """
    found = next((content[name] for name in names if isinstance(content, dict) and name in content), content)
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        has = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: no tensors under {' or '.join(names)}; it has {has[:200]}")
    _check(found, path)
    return {
        name.removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in found.items()
    }


def _check(found: Mapping[Any, Tensor], path: Path) -> None:
    """Refuse tensors that a file does not hold: without storage, larger than it, or the same one under many names.

    Raises:
        InputError: one is none that a network could have, or all are far larger than their file.
    """
    for name, value in found.items():
        plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
        whole = plain and 0 < value.numel() * value.element_size() <= value.untyped_storage().nbytes()
        if not isinstance(name, str) or not name.isprintable() or not whole or value.is_complex():
            raise InputError(f"{path}: the tensor {name!r} is none of a network; download the file again")
    if sum(value.numel() for value in found.values()) > _MOST_OF_BYTES * path.stat().st_size:
        raise InputError(f"{path}: its tensors are many times larger than the file; download it again")


def rename(names: Iterable[str], layout: Layout, path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Our name of each foreign tensor, and why the others are not used.

    Raises:
        InputError: a name that such a checkpoint does not have.
    """
    ours: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for name in names:
        if reason := next((reason for pattern, reason in layout.unused if re.search(pattern, name)), None):
            skipped[name] = reason
            continue
        rule = next((rule for rule in layout.rules if re.search(rule.pattern, name)), None)
        if rule is None:
            raise InputError(
                f"{path}: has a tensor {name}, which such a checkpoint does not have; is it of another kind?"
            )
        ours[name] = re.sub(rule.pattern, rule.name, name)
    return ours, skipped


def named(names: Mapping[str, str], path: Path) -> dict[str, str]:
    """The foreign name of each of ours, of what `rename` found.

    Raises:
        InputError: two foreign tensors are the same one of ours.
    """
    found: dict[str, str] = {}
    for theirs, ours in names.items():
        if found.setdefault(ours, theirs) != theirs:
            raise InputError(f"{path}: {found[ours]} and {theirs} are both {ours}; expected one of them")
    return found


def fits(tensors: Tensors, expected: Mapping[str, torch.Size], path: Path) -> None:
    """Refuse tensors, under our names, that are not those of a network.

    Raises:
        InputError: one is missing, is of another shape, or is one too many.
    """
    for name, shape in expected.items():
        if name not in tensors:
            raise InputError(f"{path}: has no tensor for {name}; is it cut down, or of another network?")
        if tensors[name].shape != shape:
            raise InputError(
                f"{path}: {name} has shape {tuple(tensors[name].shape)}; expected {tuple(shape)} in such a network"
            )
    if surplus := next((name for name in tensors if name not in expected), None):
        raise InputError(f"{path}: has a tensor for {surplus}, which such a network does not have")


def report(
    loaded: Mapping[str, str], skipped: Mapping[str, str], drawn: Mapping[str, str], shapes: Mapping[str, torch.Size]
) -> str:
    """What became of every tensor: a line each, and a last line that counts them.

    Args:
        loaded: our name → theirs.
        skipped: their name → why.
        drawn: our name, or what ours have in common → how.
        shapes: of ours.
    """

    def shape(name: str) -> str:
        """With a space before it."""
        return f" {tuple(shapes[name])}" if name in shapes else ""

    lines = [f"loaded   {theirs} → {ours}{shape(ours)}" for ours, theirs in loaded.items()]
    lines += [f"skipped  {theirs}: {why}" for theirs, why in skipped.items()]
    lines += [f"drawn    {ours}{shape(ours)}: {how}" for ours, how in drawn.items()]
    counts = f"{len(loaded)} tensors loaded, {len(skipped)} skipped, {len(drawn)} drawn anew"
    return "\n".join([*lines, counts]) + "\n"


def count(tensors: Tensors, pattern: str) -> int:
    """How many numbers the first group of a pattern takes among the names."""
    return len({found[1] for name in tensors if (found := re.search(pattern, name))})


def alike(tensors: Tensors, pattern: str, path: Path) -> None:
    """Refuse copies that differ: tensors whose names are equal but for the first group of a pattern.

    Raises:
        InputError: the checkpoint is of another wiring.
    """
    first: dict[str, str] = {}
    for name in tensors:
        if found := re.search(pattern, name):
            key = f"{name[: found.start(1)]}*{name[found.end(1) :]}"
            if not torch.equal(tensors[name], tensors[first.setdefault(key, name)]):
                raise InputError(
                    f"{path}: {first[key]} and {name} differ; the published network has one head for all layers"
                )
