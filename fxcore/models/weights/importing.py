"""Importing released weights of others: every tensor is loaded, skipped for a reason, or drawn anew and said so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from fxcore.complaint import complaint
from fxcore.errors import InputError
from fxcore.files import sha256
from fxcore.models.artifact import Card, Data, write
from fxcore.models.foundation import FoundationX, shapes
from fxcore.models.weights import ark, dino, foreign, foundation_x, swin
from fxcore.models.weights.foreign import Layout, Options, Tensors
from fxcore.params.model import Model
from fxcore.params.registry import registry
from fxcore.passes import Task

Classes = Mapping[str, Mapping[Task, tuple[str, ...]]]
DEFAULTS: Options = {"heads": 8, "points": 4, "image_size": None}
"""What tensors do not tell: attention heads and points as published; the image size is that of the windows, else 224."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of checkpoint: where its tensors are, what they are called, and the network they make."""

    title: str
    keys: tuple[str, ...]
    layout: Callable[[Tensors], Layout]
    sizes: Callable[[Tensors, Options, Path], dict[str, Any]]
    classes: Callable[[Tensors, Path], Classes]
    drawn: tuple[str, ...]
    """Parts that such a checkpoint does not have, as beginnings of our names."""
    licence: str


KINDS = {
    "foundation-x": Kind(
        "Foundation X",
        ("teacher_model", "model"),
        foundation_x.layout,
        foundation_x.sizes,
        foundation_x.classes,
        (),
        "Non-commercial; the method is patent-pending. See the terms that came with the file.",
    ),
    "ark": Kind(
        "Ark backbone",
        ("teacher", "state_dict"),
        ark.layout,
        ark.sizes,
        ark.classes,
        ("backbone.norms.",),
        "Non-commercial. See the terms that came with the file.",
    ),
    "swin": Kind(
        "Swin backbone",
        ("model", "state_dict"),
        swin.layout,
        swin.model,
        lambda *_: {},
        ("backbone.norms.",),
        "See the terms that came with the file.",
    ),
    "dino": Kind(
        "DINO detector",
        ("model",),
        dino.layout,
        dino.sizes,
        dino.classes,
        ("backbone.norm.", f"localization_heads.{dino.DATASET}.memory_proj."),
        "See the terms that came with the file.",
    ),
}


@dataclass(frozen=True, slots=True)
class Imported:
    """A network made from a checkpoint, in evaluation mode, and what became of every tensor.

    `loaded`: our name → theirs; `skipped`: their name → why; `drawn`: our names that the checkpoint does not have.
    """

    model: FoundationX
    card: Card
    loaded: Mapping[str, str]
    skipped: Mapping[str, str]
    drawn: Mapping[str, str]

    def report(self) -> str:
        """A line a tensor, and a last line that counts them."""
        shapes = {name: value.shape for name, value in self.model.state_dict().items()}
        return foreign.report(self.loaded, self.skipped, self.drawn, shapes)


def convert(kind: str, path: Path, branch: str | None = None, options: Options = DEFAULTS) -> Imported:
    """The network of a checkpoint.

    Args:
        kind: one of `KINDS`.
        path: the checkpoint; nothing in it is executed.
        branch: which of the state dicts in it, for example `teacher_model` or `model`; by default the first there is.
        options: values of `DEFAULTS` to replace.

    Raises:
        InputError: one line why it is not such a checkpoint.
    """
    how = KINDS[kind]
    content = foreign.load(path)
    if branch is not None and branch not in how.keys:
        raise InputError(f"--branch {branch}: a {kind} checkpoint has {' or '.join(how.keys)}")
    keys = how.keys if branch is None else (branch,)
    with foreign.told_by(path):
        return _converted(kind, content, path, keys, options)


def _converted(kind: str, content: Any, path: Path, keys: tuple[str, ...], options: Options) -> Imported:
    how = KINDS[kind]
    tensors = foreign.tensors_of(content, path, *keys)
    origin = {
        "kind": kind,
        "file": path.name,
        "sha256": sha256(path),
        "branch": next((k for k in keys if k in content), ""),
    }
    if kind == "foundation-x" and origin["branch"] == "teacher_model":
        tensors, borrowed = foundation_x.averaged(tensors, foreign.tensors_of(content, path, "model"))
        if borrowed:
            origin["statistics"] = "BatchNorm statistics of the student: the teacher's were never filled"
    try:
        model = Model.model_validate(how.sizes(tensors, {**DEFAULTS, **options}, path))
    except ValidationError as error:
        raise InputError(f"{path}: {complaint(error, Model)}") from error
    names, skipped = foreign.rename(tensors, how.layout(tensors), path)
    data = {key: Data(title=_title(key), classes=dict(of)) for key, of in how.classes(tensors, path).items()}
    card = Card(title=how.title, origin=origin, licence=how.licence, model=model, data=data)
    loaded = foreign.named(names, path)
    network, drawn = _fill(card, {ours: tensors[theirs] for ours, theirs in loaded.items()}, how.drawn, path)
    return Imported(network, card, loaded, skipped, drawn)


def _fill(card: Card, tensors: Tensors, parts: tuple[str, ...], path: Path) -> tuple[FoundationX, dict[str, str]]:
    """A network with these tensors; what it has beside them, and how that was drawn.

    Raises:
        InputError: a tensor is missing that such a checkpoint has, or has another shape.
    """
    own = shapes(card.model, card.heads)
    drawn = {name: "as a fresh network's" for name in own if name not in tensors and name.startswith(parts or "\0")}
    foreign.fits(tensors, {name: shape for name, shape in own.items() if name not in drawn}, path)
    network = FoundationX(card.model, card.heads)
    network.load_state_dict({**network.state_dict(), **tensors})
    for name in drawn:
        if ".memory_proj." in name:  # the identity, which is what a network without it computes
            value = network.get_parameter(name)
            with torch.no_grad():
                value.copy_(torch.eye(len(value)) if value.dim() == 2 else torch.zeros(len(value)))
            drawn[name] = "as the identity"
    return network.eval(), drawn


def _title(key: str) -> str:
    return registry()[key].title if key in registry() else key


def import_foundation_x(path: str | Path, branch: str = "teacher_model") -> FoundationX:
    """The published Foundation X, in evaluation mode.

    Raises:
        InputError: the file is no such checkpoint.
    """
    return convert("foundation-x", Path(path), branch).model


def import_weights(kind: str, source: Path, output: Path, branch: str | None, options: Options) -> str:
    """Convert a checkpoint to a weights file with its card, and report every tensor.

    Raises:
        InputError: one line why it is not such a checkpoint; nothing is written.
    """
    found = convert(kind, source, branch, options)
    write(output, found.model.state_dict(), found.card)
    return found.report()
