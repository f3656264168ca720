"""DINO's Swin 4-scale detectors: one decoder, heads tied to the refinement, no view of the memory of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fxcore.models.weights import swin, transformer
from fxcore.models.weights.foreign import Layout, Options, Rule, Tensors, alike
from fxcore.passes import Task

DATASET = "coco"
"""What its decoder is called here."""


def _doubled(name: str) -> Any:
    """Linear layers are numbered without the activations between them; ours with them."""
    return lambda found: name.format(2 * int(found[1]))


def layout(tensors: Tensors) -> Layout:
    """Every name of such a file."""
    decoder, head = f"decoders.{DATASET}.", f"localization_heads.{DATASET}."
    rules = [
        *transformer.rules(tensors),
        Rule(r"^backbone\.0\.norm(\d)\.", lambda found: f"backbone.norms.{int(found[1]) - 1}."),
        Rule(r"^transformer\.decoder\.(?=layers|norm)", decoder),
        Rule(r"^transformer\.decoder\.ref_point_head\.layers\.(\d)\.", _doubled(f"{decoder}reference_proj.{{}}.")),
        Rule(r"^transformer\.enc_output\.", f"{decoder}proposal_proj."),
        Rule(r"^transformer\.enc_output_norm\.", f"{decoder}proposal_norm."),
        Rule(r"^transformer\.enc_out_bbox_embed\.layers\.(\d)\.", _doubled(f"{head}proposal_box.{{}}.")),
        Rule(r"^transformer\.enc_out_class_embed\.", f"{head}proposal_class."),
        Rule(r"^bbox_embed\.0\.layers\.(\d)\.", _doubled(f"{head}box_head.{{}}.")),
        Rule(r"^class_embed\.0\.", f"{head}class_head."),
    ]
    unused = [
        swin.BUFFERS,
        (r"^transformer\.decoder\.(bbox|class)_embed\.", "is bbox_embed, class_embed again"),
        (r"^(bbox|class)_embed\.[1-9]", "is the first layer's again: one head for all layers"),
    ]
    return Layout(rules, unused)


def sizes(tensors: Tensors, options: Options, path: Path) -> dict[str, Any]:
    """The `model` block of the parameters for these tensors.

    Raises:
        InputError: these are not the tensors of such a detector.
    """
    alike(tensors, r"^(?:bbox|class)_embed\.(\d)\.", path)
    return transformer.sizes(tensors, r"transformer\.decoder\.", options, path)


def classes(tensors: Tensors, _: Path) -> dict[str, dict[Task, tuple[str, ...]]]:
    """Its outputs by number: they are categories of photographs."""
    return {DATASET: {Task.LOCALIZATION: tuple(f"id {one}" for one in range(len(tensors["class_embed.0.weight"])))}}
