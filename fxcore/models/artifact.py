"""Our own weights files: one branch of one network, and a card that says what it is, beside it as a page to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from fxcore.errors import InputError
from fxcore.escaping import markdown, paragraph
from fxcore.files import write_text
from fxcore.models.foundation import FoundationX, shapes
from fxcore.params.blocks import Block, Name, Words
from fxcore.params.model import Model
from fxcore.passes import Task
from fxcore.tensorfile import read as read_tensors
from fxcore.tensorfile import write as write_tensors

SUFFIX = ".safetensors"
_MADE = (
    "weights files are made by `snakemake`, of runs that are listed under `release`, and of checkpoints that others released by"
    " `fxcore import-weights`"
)


class Measured(Block):
    """A metric of one head."""

    metric: str
    """Its name as in the metrics files."""
    value: float | None
    """0..1; None where it is undefined."""


class Data(Block):
    """A dataset that a network has heads for."""

    title: Words
    """As tables print it."""
    classes: dict[Task, tuple[Words, ...]]
    """Names of the outputs of each head, in order."""
    images: dict[Task, int] = {}
    """Training images seen for each head, repeats counted; empty where it is not known."""
    synthetic: bool | None = None
    """Whether its images were drawn; None where it is not known."""
    licence: str = ""
    """Terms of its images, where they are known."""
    validation: dict[Task, Measured] = {}
    """What each head reached on validation images, with exactly these weights."""


class Card(Block):
    """What a weights file says of itself."""

    title: Words
    """What the network is."""
    origin: dict[str, Any]
    """Where the weights are from: run and branch with who trained them, or the imported file with its checksum."""
    licence: str
    """Terms of the weights."""
    model: Model
    """Sizes of the network."""
    store_size: int | None = None
    """Side of the square that training images were reduced to before `model.image_size`; None: straight to it."""
    data: dict[Name, Data]
    """What it has heads for, by dataset."""

    @property
    def heads(self) -> dict[str, dict[Task, int]]:
        """The number of classes of every head."""
        return {key: {task: len(names) for task, names in one.classes.items()} for key, one in self.data.items()}


@dataclass(frozen=True, slots=True)
class Weights:
    """A network in evaluation mode, its card, and the checksum of its tensors."""

    model: FoundationX
    card: Card
    sha256: str


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> str:
    """Write weights and, as `<name>.md` beside them, their card; the checksum of the tensors."""
    digest = write_tensors(path, tensors, {"card": card.model_dump(mode="json")})
    write_text(path.with_suffix(".md"), page(card, path.name, digest))
    return digest


def read(path: Path) -> Weights:
    """A network from a file that `write` wrote.

    Raises:
        InputError: it is missing, damaged, or no weights file.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; {_MADE}")
    if path.suffix != SUFFIX:
        raise InputError(f"{path}: is no weights file ({SUFFIX}); {_MADE}")
    tensors, facts = read_tensors(path)
    try:
        card = Card.model_validate(facts["card"])
    except (KeyError, ValidationError) as error:
        raise InputError(f"{path}: is no weights file of this version; {_MADE}") from error
    try:
        expected = shapes(card.model, card.heads)
    except (InputError, ValueError) as error:
        raise InputError(f"{path}: its card is of no network: {error}") from error
    if other := expected.items() ^ {name: tensor.shape for name, tensor in tensors.items()}.items():
        raise InputError(
            f"{path}: its tensors are not those of its card, the first {min(other)[0]}; make the file again"
        )
    model = FoundationX(card.model, card.heads)
    model.load_state_dict(tensors)
    return Weights(model.eval(), card, facts["sha256"])


def page(card: Card, name: str, digest: str) -> str:
    """The model card as Markdown."""
    backbone = card.model.backbone
    origin = "".join(
        f"- {markdown(key)}: {markdown(str(value))}\n"
        for key, value in card.origin.items()
        if not isinstance(value, dict)
    )
    rows = [_row(one, task) for one in card.data.values() for task in one.classes]
    header = "| dataset | head | classes | images seen | on validation | terms of the data |\n| --- | --- | --- | --- | --- | --- |\n"
    heads = header + "".join(rows) if rows else "None: a part of a network, to start training from.\n"
    return (
        f"# {markdown(card.title)}\n\n`{name}`, SHA-256 of the tensors `{digest}`\n\n"
        "For research on chest radiographs. Not a medical device: its output is no diagnosis.\n\n"
        f"## Origin\n\n{origin}\n## Network\n\n"
        f"{backbone.name} with {dict(backbone.arguments)}, square images of {card.model.image_size} pixels,\n"
        f"grey values in 0..1 minus {card.model.mean}, divided by {card.model.std}.\n\n"
        f"## Heads\n\n{heads}\n## Licence\n\n{paragraph(card.licence)}\n"
    )


def _row(one: Data, task: Task) -> str:
    seen = f"{one.images[task]:,}" if task in one.images else "not known"
    cells = (
        f"{one.title}, phantoms" if one.synthetic else one.title,
        task,
        ", ".join(one.classes[task]),
        seen,
        _metric(one, task),
        one.licence or "see the dataset",
    )
    return f"| {' | '.join(map(markdown, cells))} |\n"


def _metric(one: Data, task: Task) -> str:
    found = one.validation.get(task)
    return "not measured" if found is None or found.value is None else f"{found.metric} {100 * found.value:.1f}"
