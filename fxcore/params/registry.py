"""The known datasets: `fxcore/data/registry.yaml`, typed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fxcore import yamlfile
from fxcore.params.blocks import Block, Classes, Count, merged
from fxcore.params.datasets import Labels
from fxcore.passes import Split

REGISTRY = Path(__file__).parents[1] / "data" / "registry.yaml"
FILES = {"localization": "boxes.json", "segmentation": "masks.json"}
"""Annotation files of a known dataset in the folder format."""


class Head(Block):
    """What a localization or segmentation head predicts."""

    classes: Classes
    """In the order of its outputs."""


class Known(Block):
    """A dataset of the paper."""

    title: str
    """As tables and figures print it."""
    paper: Count
    """Its number in the paper's table 1."""
    images: dict[Split, Count]
    """How many images its published lists have; expected until its store is made and they are counted."""
    classification: Labels
    """Image labels and how they are read."""
    localization: Head | None = None
    """Boxes."""
    segmentation: Head | None = None
    """Masks."""

    def dataset(self) -> dict[str, Any]:
        """The values of its block in a parameter file that says nothing else."""
        found: dict[str, Any] = {
            "columns": {"patient": "patient"},
            "classification": self.classification.model_dump(mode="json"),
        }
        for task, file in FILES.items():
            head: Head | None = getattr(self, task)
            if head is not None:
                found[task] = {"file": file, "classes": list(head.classes)}
        return found


@cache
def registry() -> Mapping[str, Known]:
    """Every known dataset by key, in the paper's order."""
    return {key: Known.model_validate(entry) for key, entry in yamlfile.load(REGISTRY).items()}


def completed(key: str, entry: Any) -> Any:
    """A dataset's block of a parameter file over the values the registry has for its key."""
    known = registry().get(key)
    return merged(known.dataset(), entry) if known is not None and isinstance(entry, dict) else entry
