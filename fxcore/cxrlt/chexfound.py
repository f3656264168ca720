"""What the authors of CheXFound released: a teacher with its heads of self-supervision, and a head for the findings of CXR-LT.

Names are DINOv2's and ML-Decoder's (CXR-LT spec, follow-up: release format). Every tensor is loaded, skipped for a reason, or stops
the import.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fxcore.complaint import complaint
from fxcore.cxrlt import released
from fxcore.cxrlt.objective import Projector
from fxcore.cxrlt.released import BackboneCard, Card, HeadCard
from fxcore.cxrlt.vit import VisionNetwork
from fxcore.errors import InputError
from fxcore.files import sha256
from fxcore.models.weights import foreign
from fxcore.models.weights.foreign import Layout, Options, Rule, Tensors
from fxcore.params.cxrlt import Projection, Vit
from fxcore.params.registry import registry
from fxcore.passes import Task

LICENCE = (
    "The repository that the weights come from has no licence file. Treat them as not to be passed on: neither the released file,"
    " nor this one, nor what is trained from it, without the authors' leave. See the terms that came with the file."
)
DATASET = "cxr_lt_2024"
"""Whose classes the head has, in the order of its columns."""
HEADS = ("dino", "ibot")
"""Of self-supervision, as ours are called."""
_CHANNELS = 64
"""Of an attention head, in every published size."""
_ATTENTION = 8
"""Attention heads of the published ML-Decoder; its tensors do not tell."""

_BLOCK = r"^backbone\.blocks\.(?:\d+\.)?(\d+)\."
"""Of a block's names, whether blocks hang in chunks or not: the last number counts through all of them."""
_DIRECTIONS = "prototypes.parametrizations.weight.original"
"""Then 0 of their lengths, 1 of the directions themselves."""
BACKBONE = Layout(
    [
        Rule(r"^backbone\.patch_embed\.proj\.(weight|bias)$", r"backbone.net.patch_embed.proj.\1"),
        Rule(r"^backbone\.(cls_token|pos_embed)$", r"backbone.net.\1"),
        Rule(r"^backbone\.register_tokens$", "backbone.net.reg_token"),
        Rule(r"^backbone\.mask_token$", "backbone.mask_token"),
        Rule(r"^backbone\.norm\.(weight|bias)$", r"backbone.net.norm.\1"),
        Rule(_BLOCK + r"(norm[12]|attn\.qkv|attn\.proj)\.(weight|bias)$", r"backbone.net.blocks.\1.\2.\3"),
        Rule(_BLOCK + r"(ls[12])\.gamma$", r"backbone.net.blocks.\1.\2.gamma"),
        Rule(_BLOCK + r"mlp\.w12\.(weight|bias)$", r"backbone.net.blocks.\1.mlp.fc1.\2"),
        Rule(_BLOCK + r"mlp\.w3\.(weight|bias)$", r"backbone.net.blocks.\1.mlp.fc2.\2"),
        Rule(r"^(dino|ibot)_head\.mlp\.([024])\.(weight|bias)$", r"\1.mlp.\2.\3"),
        *(
            Rule(
                rf"^(dino|ibot)_head\.last_layer\.(?:weight_{old}|parametrizations\.weight\.original{new})$",
                rf"\1.{_DIRECTIONS}{new}",
            )
            for old, new in (("g", 0), ("v", 1))
        ),
    ],
    [],
)
_SWEEP = r"classifier_(?P<blocks>\d+)_blocks_avgpool_(?P<pooled>True|False)_lr_(?P<rate>[^.]+)"
"""A classifier of a sweep: the blocks that it sees, whether it sees the mean patch too, and its learning rate with `_` for the dot."""
_PREFIX = r"^(?:module\.)?(?:classifiers_dict\.)?(?:module\.)?"
_LAYER = r"multihead_attn\.(?:in_proj_weight|in_proj_bias|out_proj\.weight|out_proj\.bias)|(?:norm[123]|linear[12])\.(?:weight|bias)"


@dataclass(frozen=True, slots=True)
class Converted:
    """Tensors of ours with their card, and what became of every foreign one, as in `Imported`."""

    tensors: Tensors
    card: Card
    loaded: Mapping[str, str]
    skipped: Mapping[str, str]
    drawn: Mapping[str, str]

    def report(self) -> str:
        """A line a tensor, and a last line that counts them."""
        return foreign.report(
            self.loaded, self.skipped, self.drawn, {name: value.shape for name, value in self.tensors.items()}
        )


def backbone(path: Path, options: Options) -> Converted:
    """The teacher, its tensors named as a stage of a backbone names them.

    Args:
        path: the checkpoint; nothing in it is executed.
        options: `heads` of attention, by default one for every 64 channels.

    Raises:
        InputError: one line why it is not such a checkpoint.
    """
    theirs = foreign.tensors_of(foreign.load(path), path, "teacher")
    names, skipped = foreign.rename(theirs, BACKBONE, path)
    loaded = foreign.named(names, path)
    vit, side = _sizes(theirs, options, path)
    tensors = _placed({ours: theirs[name] for ours, name in loaded.items()})
    foreign.fits(tensors, _expected(tensors, vit, side * vit.patch), path)
    card = BackboneCard(
        title="CheXFound backbone",
        origin=_origin("chexfound", path),
        licence=LICENCE,
        vit=vit,
        resolution=side * vit.patch,
    )
    loaded["backbone.net.cls_token"] += " and the first of backbone.pos_embed"
    loaded["backbone.net.pos_embed"] += " but the first"
    drawn = {
        f"teacher.{head}": "the file has none; a stage that starts from it draws one"
        for head in HEADS
        if not any(name.startswith(f"{head}.") for name in tensors)
    }
    return Converted(
        {f"teacher.{name}": of.contiguous() for name, of in tensors.items()},
        card,
        {f"teacher.{name}": of for name, of in loaded.items()},
        skipped,
        drawn,
    )


def _sizes(tensors: Tensors, options: Options, path: Path) -> tuple[Vit, int]:
    """Sizes that the tensors tell, and patches along a side.

    Raises:
        InputError: a tensor that tells them is missing, or what they tell is impossible.
    """
    width, _, patch, _ = _shape(tensors, "backbone.patch_embed.proj.weight", 4, path)
    _, positions, _ = _shape(tensors, "backbone.pos_embed", 3, path)
    side = math.isqrt(max(positions - 1, 0))
    if side == 0 or side**2 != positions - 1:
        raise InputError(f"{path}: has {positions} position embeddings; expected those of [CLS] and of a square grid")
    registers = tensors.get("backbone.register_tokens")
    told = {
        "patch": patch,
        "width": width,
        "depth": foreign.count(tensors, _BLOCK),
        "heads": options.get("heads") or max(1, width // _CHANNELS),
        "registers": 0 if registers is None else registers.shape[1],
    }
    try:
        return Vit.model_validate(told), side
    except ValidationError as error:
        raise InputError(f"{path}: {complaint(error, Vit)}") from error


def _shape(tensors: Tensors, name: str, dimensions: int, path: Path) -> torch.Size:
    """Of a tensor that must be there.

    Raises:
        InputError: it is not, or has another number of dimensions.
    """
    if name not in tensors:
        raise InputError(f"{path}: has no tensor for {name}; is it cut down, or of another network?")
    if len(found := tensors[name].shape) != dimensions:
        raise InputError(f"{path}: {name} has shape {tuple(found)}; expected {dimensions} dimensions")
    return found


def _placed(tensors: Tensors) -> dict[str, Tensor]:
    """[CLS] with its position added, as ours has none for it; the mask as a vector.

    The first of the position embeddings (1, 1 + n², width) is that of [CLS].
    """
    made = dict(tensors)
    cls, positions = "backbone.net.cls_token", "backbone.net.pos_embed"
    if cls in made and made[cls].shape[-1] == made[positions].shape[-1]:
        made[cls] = made[cls] + made[positions][:, :1]
    made[positions] = made[positions][:, 1:]
    if "backbone.mask_token" in made:
        made["backbone.mask_token"] = made["backbone.mask_token"].flatten()
    return made


def _expected(tensors: Tensors, vit: Vit, resolution: int) -> dict[str, torch.Size]:
    """Names and shapes of a backbone with those of its heads that it has; a head is as wide as its biases and directions say."""
    parts: dict[str, nn.Module] = {}
    with torch.device("meta"):
        parts["backbone"] = VisionNetwork(vit, resolution)
        for head in HEADS:
            own = {
                name.removeprefix(f"{head}."): len(of) for name, of in tensors.items() if name.startswith(f"{head}.")
            }
            if own:
                how = Projection(hidden=own.get("mlp.0.bias", 1), prototypes=own.get(f"{_DIRECTIONS}0", 1))
                parts[head] = Projector(vit.width, own.get("mlp.4.bias", 1), how)
    return {f"{part}.{name}": of.shape for part, one in parts.items() for name, of in one.state_dict().items()}


def decoder(path: Path, options: Options) -> Converted:
    """A head of a sweep over learning rates.

    Args:
        path: the checkpoint; nothing in it is executed.
        options: `rate`, the head's learning rate or its name in the file, needed where the file has several; `heads` of
            attention, 8 by default.

    Raises:
        InputError: one line why it is not such a checkpoint, or which rates there are to choose from.
    """
    theirs = foreign.tensors_of(foreign.load(path), path, "model")
    sweep = _chosen(theirs, options.get("rate"), path)
    names, skipped = foreign.rename(theirs, _layout(sweep[0]), path)
    loaded = foreign.named(names, path)
    tensors = {ours: theirs[name].contiguous() for ours, name in loaded.items()}
    card = _head_card(tensors, sweep, options.get("heads") or _ATTENTION, path)
    foreign.fits(tensors, {name: of.shape for name, of in card.network().state_dict().items()}, path)
    return Converted(tensors, card, loaded, skipped, {})


def _chosen(tensors: Tensors, wanted: str | None, path: Path) -> re.Match[str]:
    """The classifier of a learning rate or name, or the only one.

    Raises:
        InputError: there is none, or several.
    """
    found = {match[0]: match for name in tensors if (match := re.search(_SWEEP, name))}
    if not found:
        raise InputError(
            f"{path}: has no classifier of a sweep, such as classifier_4_blocks_avgpool_False_lr_0_0005; it has"
            f" {', '.join(tensors)[:200]}"
        )
    rates = {name: _rate(of["rate"].replace("_", ".")) for name, of in found.items()}
    rate = None if wanted is None else _rate(wanted)
    taken = [of for name, of in found.items() if wanted in (None, name) or (rate is not None and rates[name] == rate)]
    if len(taken) == 1:
        return taken[0]
    told = [one for one in rates.values() if one is not None]
    known = ", ".join(map("{:g}".format, sorted(told)) if len(set(told)) == len(found) else sorted(found))
    if not taken:
        raise InputError(f"{path}: has no classifier {wanted}; give --rate with one of {known}")
    raise InputError(f"{path}: has {len(taken)} classifiers; choose with --rate, one of {known}")


def _rate(text: str) -> float | None:
    """A learning rate, if it is a number."""
    try:
        return float(text)
    except ValueError:
        return None


def _layout(sweep: str) -> Layout:
    """Names of one classifier; those of the others are not used."""
    begin = rf"{_PREFIX}{re.escape(sweep)}\.(?:module\.)?(?:decoder\.)*"
    rules = [
        Rule(rf"{begin}(?:embed_len_decoder|embed_standart|embed_standard)\.(weight|bias)$", r"project.\1"),
        Rule(rf"{begin}query_embed\.weight$", "queries"),
        Rule(rf"{begin}layers\.0\.({_LAYER})$", r"layer.\1"),
        Rule(rf"{begin}duplicate_pooling$", "head.weight"),
        Rule(rf"{begin}duplicate_pooling_bias$", "head.bias"),
    ]
    return Layout(rules, [(rf"{_PREFIX}(?!{re.escape(sweep)}\.){_SWEEP}\.", "of another learning rate")])


def _head_card(tensors: Tensors, sweep: re.Match[str], attention: int, path: Path) -> HeadCard:
    """Sizes that the tensors tell.

    Raises:
        InputError: they are not those of a head for the findings of CXR-LT.
    """
    classes = registry()[DATASET].classes(Task.CLASSIFICATION)
    (number,) = _shape(tensors, "head.bias", 1, path)
    if number != len(classes):
        raise InputError(
            f"{path}: its head has {number} classes; expected the {len(classes)} of {registry()[DATASET].title}, which hold"
            " those of its other tasks"
        )
    width, features = _shape(tensors, "project.weight", 2, path)
    groups, joined, _ = _shape(tensors, "head.weight", 3, path)
    feedforward, _ = _shape(tensors, "layer.linear1.weight", 2, path)
    if joined - width not in (0, features):
        raise InputError(
            f"{path}: its tokens are joined with {joined - width} numbers; expected none, or [CLS] of {features}"
        )
    if features % (blocks := int(sweep["blocks"])):
        raise InputError(f"{path}: its features have {features} channels, which {blocks} blocks cannot share equally")
    if width % attention:
        raise InputError(f"{path}: {attention} attention heads do not fit {width} channels; give others with --heads")
    return HeadCard(
        title="CheXFound head for CXR-LT",
        origin=_origin("chexfound-head", path) | {"classifier": sweep[0]},
        licence=LICENCE,
        blocks=blocks,
        features=features,
        width=width,
        heads=attention,
        feedforward=feedforward,
        groups=groups,
        skip=joined - width,
        classes=classes,
    )


def _origin(kind: str, path: Path) -> dict[str, Any]:
    return {"kind": kind, "file": path.name, "sha256": sha256(path)}


KINDS: dict[str, tuple[Callable[[Path, Options], Converted], tuple[str, ...]]] = {
    "chexfound": (backbone, ("heads",)),
    "chexfound-head": (decoder, ("heads", "rate")),
}
"""What makes each kind, and the options that it takes."""


def import_weights(kind: str, source: Path, output: Path, branch: str | None, options: Options) -> str:
    """Convert a checkpoint to a weights file with its card, and report every tensor.

    Raises:
        InputError: one line why it is not such a checkpoint, or that an option says nothing of it; nothing is written.
    """
    convert, taken = KINDS[kind]
    given = [*options, *([] if branch is None else ["branch"])]
    if stray := next((name for name in given if name not in taken), None):
        raise InputError(f"--{stray.replace('_', '-')}: says nothing of {kind}; leave it out")
    with foreign.told_by(source):
        found = convert(source, options)
    released.write(output, found.tensors, found.card)
    return found.report()
