"""Ark's Swin backbones (Ark-6 and its kin): with their heads where these act on the backbone itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fxcore.errors import InputError
from fxcore.models.weights import swin
from fxcore.models.weights.foreign import Layout, Options, Rule, Tensors, count
from fxcore.params.registry import registry
from fxcore.passes import Task

HEADS = ("mimic_cxr", "chexpert", "nih14", "rsna_pneumonia", "vindr_cxr", "shenzhen")
"""Datasets in the order of Ark-6's heads."""


def _projected(tensors: Tensors) -> bool:
    return any(name.startswith("projector.") for name in tensors)


def layout(tensors: Tensors) -> Layout:
    """Names of such a file; heads are used where no projector is between them and the backbone."""
    rules = [*swin.layout(tensors).rules]
    unused = [*swin.layout(tensors).unused, (r"^projector\.", "the network has no projector")]
    if _projected(tensors):
        unused.append((r"^omni_heads\.", "acts on the projector's output"))
    rules.append(Rule(r"^omni_heads\.(\d)\.", lambda found: f"classification_heads.{HEADS[int(found[1])]}."))
    return Layout(rules, unused)


def sizes(tensors: Tensors, options: Options, path: Path) -> dict[str, Any]:
    """The `model` block of the parameters for these tensors."""
    return swin.model(tensors, options, path)


def classes(tensors: Tensors, path: Path) -> dict[str, dict[Task, tuple[str, ...]]]:
    """Class names of the heads that are used.

    Raises:
        InputError: heads of other datasets than Ark-6's.
    """
    if _projected(tensors):
        return {}
    widths = [
        len(tensors[f"omni_heads.{head}.weight"]) for head in range(count(tensors, r"^omni_heads\.(\d+)\.weight$"))
    ]
    known = [registry()[key].classes(Task.CLASSIFICATION) for key in HEADS]
    if widths and widths != list(map(len, known)):
        raise InputError(
            f"{path}: has heads of {', '.join(map(str, widths))} classes; Ark-6 has {', '.join(str(len(one)) for one in known)}"
        )
    return {key: {Task.CLASSIFICATION: names} for key, names, _ in zip(HEADS, known, widths, strict=False)}
