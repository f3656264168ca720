"""The published Foundation X: names and sizes (the file's layout, and the wiring it was trained with)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fxcore.errors import InputError
from fxcore.models.weights import swin, transformer
from fxcore.models.weights.foreign import Layout, Options, Rule, Tensors, alike, count
from fxcore.params.registry import registry
from fxcore.passes import Task

CLASSIFICATION = (
    *("tbx11k", "node21", "candid_ptx", "rsna_pneumonia", "chestx_det", "siim_acr"),
    *("chexpert", "nih14", "vindr_cxr", "shenzhen", "mimic_cxr"),
)
"""Datasets in the order of the classification heads; the first six also have a decoder and a segmentation head each."""
LOCALIZATION = CLASSIFICATION[:6]
SEGMENTATION = {2: "candid_ptx", 4: "chestx_det", 5: "siim_acr"}
"""The segmentation heads that were trained, of six."""
_NUMBERED_FROM_1 = ("chestx_det", "node21")
"""Datasets whose localization logits are known: logit 0 is of no class."""


def _dataset(template: str, names: tuple[str, ...] | dict[int, str]) -> Any:
    """Our name from a match whose first group is a head's number; `{0}` is the dataset, `{1}` twice the second group."""
    return lambda found: template.format(
        names[int(found[1])], 2 * int(found[2]) if found.lastindex and found.lastindex > 1 else ""
    )


def layout(tensors: Tensors) -> Layout:
    """Every name of the published file."""
    rules = [
        *transformer.rules(tensors),
        Rule(r"^backbone\.0\.norm\.", "backbone.norm."),
        Rule(r"^backbone\.0\.Locnorm(\d)\.", lambda found: f"backbone.norms.{int(found[1]) - 1}."),
        Rule(r"^backbone\.0\.classification_heads\.(\d+)\.", _dataset("classification_heads.{0}.", CLASSIFICATION)),
        Rule(r"^backbone\.0\.segmentation_heads\.([245])\.", _dataset("segmentation_heads.{0}.", SEGMENTATION)),
        Rule(
            r"^backbone\.0\.segmentation_PPN\.stages\.(\d)\.([12])\.",
            lambda found: f"segmentation_decoder.pooling.branches.{found[1]}.{int(found[2]) - 1}.",
        ),
        Rule(r"^backbone\.0\.segmentation_PPN\.bottleneck\.", "segmentation_decoder.pooling.bottleneck."),
        Rule(r"^backbone\.0\.segmentation_FPN\.conv1x1\.", "segmentation_decoder.lateral."),
        Rule(r"^backbone\.0\.segmentation_FPN\.smooth_conv\.0\.", "segmentation_decoder.smooth."),
        Rule(r"^backbone\.0\.segmentation_FPN\.conv_fusion\.", "segmentation_decoder.fusion."),
        Rule(r"^transformer\.decoder\.(\d)\.(?=layers|norm)", _dataset("decoders.{0}.", LOCALIZATION)),
        Rule(
            r"^transformer\.decoder\.(\d)\.ref_point_head\.layers\.(\d)\.",
            _dataset("decoders.{0}.reference_proj.{1}.", LOCALIZATION),
        ),
        Rule(r"^transformer\.enc_output\.(\d)\.", _dataset("decoders.{0}.proposal_proj.", LOCALIZATION)),
        Rule(r"^transformer\.enc_output_norm\.(\d)\.", _dataset("decoders.{0}.proposal_norm.", LOCALIZATION)),
        _head(r"transformer\.enc_outputMem_LinearProjection\.(\d)\.", "memory_proj."),
        _head(r"transformer\.decoder\.(\d)\.bbox_embed\.0\.layers\.(\d)\.", "refine_head.{1}."),
        _head(r"transformer\.enc_out_bbox_embed\.(\d)\.layers\.(\d)\.", "proposal_box.{1}."),
        _head(r"transformer\.enc_out_class_embed\.(\d)\.", "proposal_class."),
        _head(r"bbox_embed_\.(\d)\.0\.layers\.(\d)\.", "box_head.{1}."),
        _head(r"class_embed_\.(\d)\.0\.", "class_head."),
    ]
    unused = [
        swin.BUFFERS,
        (r"^backbone\.0\.(Segnorm\d|head)\.", "is on no path"),
        (r"^backbone\.0\.segmentation_heads\.[013]\.", "was never trained"),
        (r"^backbone\.0\.segmentation_FPN\.smooth_conv\.[12]\.", "is smooth_conv.0 again"),
        (r"^(bbox|class)_embed\.", "is transformer.decoder's again"),
        (r"^transformer\.decoder\.\d\.class_embed\.", "is on no path"),
        (r"^transformer\.decoder\.\d\.bbox_embed\.[1-9]", "is bbox_embed.0 again: one head for all layers"),
        (r"^(bbox|class)_embed_\.\d\.[1-9]", "is the first layer's again: one head for all layers"),
    ]
    return Layout(rules, unused)


def _head(pattern: str, name: str) -> Rule:
    return Rule(f"^{pattern}", _dataset(f"localization_heads.{{0}}.{name}", LOCALIZATION))


def sizes(tensors: Tensors, options: Options, path: Path) -> dict[str, Any]:
    """The `model` block of the parameters for these tensors, the published wiring.

    Raises:
        InputError: these are not the tensors of the published network.
    """
    alike(tensors, r"^(?:bbox|class)_embed_\.\d\.(\d)\.", path)
    alike(tensors, r"^transformer\.decoder\.\d\.bbox_embed\.(\d)\.", path)
    alike(tensors, r"^backbone\.0\.segmentation_FPN\.smooth_conv\.(\d)\.", path)
    found = transformer.sizes(tensors, r"transformer\.decoder\.0\.", options, path)
    found["localization"]["tied_heads"] = False
    lateral = "backbone.0.segmentation_FPN.conv1x1.0.weight"
    if lateral not in tensors:
        raise InputError(f"{path}: has no tensor {lateral}; is it a checkpoint of Foundation X?")
    return found | {"segmentation": {"width": len(tensors[lateral])}}


def classes(tensors: Tensors, path: Path) -> dict[str, dict[Task, tuple[str, ...]]]:
    """Class names of every head, in the order of its outputs; those that are not known are numbered.

    Raises:
        InputError: a number of heads that the published network does not have.
    """
    for task, pattern, known_heads in (
        (Task.CLASSIFICATION, r"classification_heads\.(\d+)\.", CLASSIFICATION),
        (Task.LOCALIZATION, r"^class_embed_\.(\d)\.", LOCALIZATION),
    ):
        if (found := count(tensors, pattern)) != len(known_heads):
            raise InputError(f"{path}: has {found} {task} heads; the published network has {len(known_heads)}")
    names: dict[str, dict[Task, tuple[str, ...]]] = {}
    for number, key in enumerate(CLASSIFICATION):
        width = len(tensors[f"backbone.0.classification_heads.{number}.weight"])
        names[key] = {Task.CLASSIFICATION: _names(registry()[key].classes(Task.CLASSIFICATION), width)}
    for number, key in enumerate(LOCALIZATION):
        classes, width = registry()[key].classes(Task.LOCALIZATION), len(tensors[f"class_embed_.{number}.0.weight"])
        known = ("id 0", *classes) if classes and key in _NUMBERED_FROM_1 else ()
        names[key][Task.LOCALIZATION] = (*known, *(f"id {one}" for one in range(len(known), width)))[:width]
    for number, key in SEGMENTATION.items():
        classes, width = (
            registry()[key].classes(Task.SEGMENTATION),
            len(tensors[f"backbone.0.segmentation_heads.{number}.weight"]),
        )
        names[key][Task.SEGMENTATION] = _names(classes, width)
    return names


def _names(known: tuple[str, ...], width: int) -> tuple[str, ...]:
    return known if len(known) == width else tuple(f"id {one}" for one in range(width))


def averaged(tensors: Tensors, student: Tensors) -> tuple[Tensors, bool]:
    """A teacher whose BatchNorm statistics were never filled gets the student's; and whether it did.

    The authors average parameters only, so their teacher's buffers may stand where they began.
    """
    buffers = [name for name in tensors if name.endswith((".running_mean", ".running_var", ".num_batches_tracked"))]
    untouched = all(
        torch.equal(tensors[name], torch.full_like(tensors[name], float(name.endswith("var")))) for name in buffers
    )
    return ({**tensors, **{name: student[name] for name in buffers}} if untouched else tensors), untouched
