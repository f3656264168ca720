"""Swin backbones: the names of timm (old and new) and of the authors' release, and the sizes that tensors tell.

Old names have a stage's patch merging at its end, as the authors' release; new ones at the start of the next stage.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fxcore.errors import InputError
from fxcore.models.weights.foreign import Layout, Options, Rule, Tensors, count

BUFFERS = (r"relative_position_index$|attn_mask$", "follows from the window size")
_SIDE = 224
"""Side of the images where the tensors do not tell it."""


def rules(prefix: str, tensors: Tensors) -> list[Rule]:
    """Names of the backbone's body below `prefix`, a pattern, in either numbering of patch merging.

    Ours are those of timm's `features_only` network.
    """
    old = any(name.endswith("layers.0.downsample.reduction.weight") for name in tensors)
    return [
        Rule(
            rf"^{prefix}layers\.(\d)\.downsample\.",
            lambda found: f"backbone.body.layers_{int(found[1]) + old}.downsample.",
        ),
        Rule(rf"^{prefix}layers\.(\d)\.blocks\.", r"backbone.body.layers_\1.blocks."),
        Rule(rf"^{prefix}patch_embed\.", "backbone.body.patch_embed."),
    ]


def sizes(tensors: Tensors, prefix: str, options: Options, path: Path, *, always_partition: bool) -> dict[str, Any]:
    """`image_size` and `backbone` of the parameters; `prefix` is how the backbone's names begin.

    Raises:
        InputError: it is no Swin of four stages.
    """
    try:
        first = tensors[f"{prefix}patch_embed.proj.weight"]
        depths = [count(tensors, rf"^{prefix}layers\.{stage}\.blocks\.(\d+)\.") for stage in range(4)]
        tables = [
            tensors[f"{prefix}layers.{stage}.blocks.0.attn.relative_position_bias_table"].shape for stage in range(4)
        ]
    except KeyError as error:
        raise InputError(f"{path}: has no tensor {error}; expected a Swin of four stages") from error
    window = (math.isqrt(tables[0][0]) + 1) // 2
    mask = tensors.get(f"{prefix}layers.0.blocks.1.attn_mask")
    side = _SIDE if mask is None else math.isqrt(len(mask)) * window * first.shape[-1]
    arguments = {
        "embed_dim": first.shape[0],
        "depths": depths,
        "num_heads": [heads for _, heads in tables],
        "window_size": window,
        "always_partition": always_partition,
    }
    return {
        "image_size": options.get("image_size") or side,
        "backbone": {"name": "swin_base_patch4_window7_224", "arguments": arguments},
    }


def layout(tensors: Tensors) -> Layout:
    """Every name of a backbone by itself."""
    unused = [BUFFERS, (r"^head\.", "classifies photographs")]
    return Layout([*rules("", tensors), Rule(r"^norm\.", "backbone.norm.")], unused)


def model(tensors: Tensors, options: Options, path: Path) -> dict[str, Any]:
    """The `model` block of the parameters for a backbone by itself, with timm's window shift.

    Raises:
        InputError: it is no Swin of four stages.
    """
    return sizes(tensors, "", options, path, always_partition=False)
