"""What Foundation X and DINO checkpoints share: the names of the encoder, and the sizes of the localization branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fxcore.errors import InputError
from fxcore.models.weights import swin
from fxcore.models.weights.foreign import Options, Rule, Tensors, count

LEVELS = 4
"""Of both networks: three stages of the backbone and one coarser."""
BACKBONE = "backbone.0."
"""How names of the backbone begin."""


def rules(tensors: Tensors) -> list[Rule]:
    """Names of the backbone's body, the encoder and what all decoders share."""
    return [
        *swin.rules(r"backbone\.0\.", tensors),
        Rule(r"^input_proj\.", "localization_encoder.input_proj."),
        Rule(r"^transformer\.level_embed$", "localization_encoder.level_embed"),
        Rule(r"^transformer\.encoder\.", "localization_encoder."),
        Rule(r"^transformer\.tgt_embed\.weight$", "queries.content"),
        Rule(r"^label_enc\.", "queries.labels."),
    ]


def sizes(tensors: Tensors, decoder: str, options: Options, path: Path) -> dict[str, Any]:
    """The `model` block of the parameters; `decoder` is how the names of a decoder begin.

    Raises:
        InputError: these are not the tensors of such a network, or `heads` and `points` do not fit them.
    """
    try:
        levels, width = tensors["transformer.level_embed"].shape
        attention = tensors["transformer.encoder.layers.0.self_attn.attention_weights.weight"]
        localization = {
            "width": width,
            "heads": options["heads"],
            "points": options["points"],
            "encoder_layers": count(tensors, r"^transformer\.encoder\.layers\.(\d+)\."),
            "decoder_layers": count(tensors, rf"^{decoder}layers\.(\d+)\."),
            "feedforward": len(tensors["transformer.encoder.layers.0.linear1.weight"]),
            "queries": len(tensors["transformer.tgt_embed.weight"]),
            "labels": len(tensors["label_enc.weight"]),
        }
    except KeyError as error:
        raise InputError(f"{path}: has no tensor {error}; is it a checkpoint of this kind?") from error
    if levels != LEVELS:
        raise InputError(f"{path}: has {levels} feature levels; expected {LEVELS}")
    if len(attention) != options["heads"] * options["points"] * levels:
        raise InputError(
            f"{path}: has {len(attention)} attention weights a query for {levels} levels; {options['heads']} heads and"
            f" {options['points']} points do not fit; give the right --heads and --points"
        )
    return swin.sizes(tensors, BACKBONE, options, path, always_partition=True) | {"localization": localization}
