"""Weights files made from what others released for the study: a backbone or a head, with a card that says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from fxcore.cxrlt.decoder import MlDecoder
from fxcore.errors import InputError
from fxcore.escaping import markdown, paragraph
from fxcore.files import write_text
from fxcore.models.weights import foreign
from fxcore.params.blocks import LARGEST, Block, Classes, Size
from fxcore.params.cxrlt import Vit
from fxcore.tensorfile import read as read_tensors
from fxcore.tensorfile import write as write_tensors

SIZES = ("patch", "width", "depth", "heads", "registers")
"""Of a vision transformer, on which its weights depend."""


class Card(Block):
    """What a file says of itself."""

    title: str
    """What it is."""
    origin: dict[str, Any]
    """The file that it was made from, with its checksum."""
    licence: str
    """Terms of the weights."""


class BackboneCard(Card):
    """Of a vision transformer with the heads of self-supervision that it came with."""

    vit: Vit
    """Sizes; those of training are not known."""
    resolution: int
    """Side of the images that its position embeddings are of."""


class HeadCard(Card):
    """Of an ML-Decoder."""

    blocks: Size
    """Last blocks of the backbone whose outputs make up a feature."""
    features: Size
    """Channels of a feature."""
    width: Size
    """Channels of queries and memory."""
    heads: Size
    """Attention heads."""
    feedforward: Size
    """Hidden units."""
    groups: Size
    """Queries."""
    skip: Annotated[int, Field(ge=0, le=LARGEST)]
    """Width of the [CLS] features that tokens are joined with, 0 for none."""
    classes: Classes
    """Of the logits, in order."""

    def network(self) -> MlDecoder:
        """A fresh one of these sizes."""
        sizes = (self.width, self.heads, self.feedforward, self.groups)
        return MlDecoder(self.features, len(self.classes), *sizes, skip=self.skip)


Kind = TypeVar("Kind", bound=Card)


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> str:
    """Write tensors and, as `<name>.md` beside them, their card; the checksum of the tensors.

    Classes of a head lie where the study's own heads have them.
    """
    facts = {"classes": list(card.classes)} if isinstance(card, HeadCard) else {}
    digest = write_tensors(path, tensors, {**facts, "card": card.model_dump(mode="json")})
    write_text(path.with_suffix(".md"), page(card, path.name, digest))
    return digest


def read(path: Path, kind: type[Kind]) -> tuple[dict[str, Tensor], Kind, str]:
    """Tensors, card and checksum of a file that `write` wrote.

    Raises:
        InputError: it is missing, damaged, or no such file.
    """
    tensors, facts = read_tensors(path)
    try:
        return tensors, kind.model_validate(facts["card"]), facts["sha256"]
    except (KeyError, ValidationError) as error:
        what, word = ("backbone", "chexfound") if kind is BackboneCard else ("head", "chexfound-head")
        raise InputError(f"{path}: is no released {what}; make one with: fxcore import-weights {word}") from error


def head(path: Path) -> tuple[MlDecoder, HeadCard]:
    """A released head, in evaluation mode.

    Raises:
        InputError: the file is missing, damaged, or no head.
    """
    tensors, card, _ = read(path, HeadCard)
    try:
        with torch.device("meta"):
            expected = {name: of.shape for name, of in card.network().state_dict().items()}
    except (ArithmeticError, AssertionError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: its card is of no head ({error})") from error
    foreign.fits(tensors, expected, path)
    network = card.network()
    network.load_state_dict(tensors)
    return network.eval(), card


def page(card: Card, name: str, digest: str) -> str:
    """The card as Markdown."""
    origin = "".join(f"- {markdown(key)}: {markdown(str(value))}\n" for key, value in card.origin.items())
    own = card.model_dump(mode="json", exclude=set(Card.model_fields))
    if "vit" in own:
        own["vit"] = {key: own["vit"][key] for key in SIZES}
    sizes = "".join(f"- {key}: {markdown(_plain(value))}\n" for key, value in own.items())
    return (
        f"# {markdown(card.title)}\n\n`{name}`, SHA-256 of the tensors `{digest}`\n\n"
        "For research on chest radiographs. Not a medical device: its output is no diagnosis.\n\n"
        f"## Origin\n\n{origin}\n## Network\n\n{sizes}\n## Licence\n\n{paragraph(card.licence)}\n"
    )


def _plain(value: Any) -> str:
    """As a parameter file has it."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {of}' for key, of in value.items())}}}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
