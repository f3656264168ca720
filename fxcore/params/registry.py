"""The known datasets, `fxcore/data/registry.yaml`, and how to get them, `fxcore/data/routes.yaml`, typed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from fxcore import yamlfile
from fxcore.complaint import nearest
from fxcore.errors import InputError
from fxcore.params.blocks import Block, Classes, Count, merged
from fxcore.params.datasets import Dataset, Labels
from fxcore.params.routes import Route
from fxcore.params.splits import Holdout
from fxcore.passes import Split, Task

REGISTRY = Path(__file__).parents[1] / "data" / "registry.yaml"
ROUTES = REGISTRY.with_name("routes.yaml")
FOLDER: dict[str, Any] = {"columns": {"patient": "patient"}}
"""What a known dataset in the format `folder` has, unless its entry says otherwise."""
FILES = {"localization": "boxes.json", "segmentation": "masks.json"}
"""Its annotation files there."""


class Head(Block):
    """What a localization or segmentation head predicts."""

    classes: Classes
    """In the order of its outputs."""


class Expected(Block):
    """What a complete copy of a release counts; null is unknown."""

    images: Count
    """Annotated images."""
    patients: Count | None = None
    """Patients, where the release names them."""
    splits: dict[Split, Count] = {}
    """Images of each split of the release's own."""
    boxes: Count | None = None
    """Boxes of all classes."""


class Known(Block):
    """A dataset that the study uses."""

    title: str
    """As tables and figures print it."""
    paper: Annotated[int, Field(ge=1, le=15)] | None = None
    """Its number in table 1 of Foundation X; null where it is not there."""
    version: str
    """Of the release that the adapter reads."""
    licence: str
    """Its terms, in short."""
    citation: str
    """What to cite."""
    access: str
    """What it takes to get it."""
    url: str
    """Where."""
    expected: Expected
    """What a complete copy counts."""
    values: str
    """What is written there for a class, and what it means."""
    pictures: str | None = None
    """The dataset whose pictures it annotates, where it has none."""
    family: str | None = None
    """What it shares with every other dataset that may have patients or pictures in common with it; null where none has."""
    mirror: bool = True
    """Whether a mirrored image is still a valid example."""
    test_only: bool = False
    """Whether all images are for testing."""
    classification: Labels | None = None
    """Image labels and how they are read."""
    localization: Head | None = None
    """Boxes."""
    segmentation: Head | None = None
    """Masks."""

    def classes(self, task: Task) -> tuple[str, ...]:
        """Classes of a task's head in order; empty where the dataset lacks the task."""
        block: Labels | Head | None = getattr(self, task)
        return block.classes if block else ()

    def images(self, holdout: Holdout) -> dict[Split, int]:
        """How many images each split of a complete copy has, where `holdout` is given away of what the release does not split."""
        if self.test_only:
            return {Split.TEST: self.expected.images}
        found: dict[Split, int] = dict(self.expected.splits) or {Split.TRAIN: self.expected.images}
        whole = found[Split.TRAIN]
        if Split.TEST not in found:
            found[Split.TEST] = round(holdout.test * whole)
            found[Split.TRAIN] -= found[Split.TEST]
        if Split.VAL not in found:
            found[Split.VAL] = round(holdout.val * whole)
            found[Split.TRAIN] -= found[Split.VAL]
        return found

    def dataset(self, key: str) -> dict[str, Any]:
        """The values of its block in a parameter file that says nothing else."""
        blocks = ("classification", "localization", "segmentation")
        own = self.model_dump(mode="json", include={"pictures", "mirror", "test_only", *blocks})
        return {"adapter": key} | {name: value for name, value in own.items() if value is not None}


@cache
def registry() -> Mapping[str, Known]:
    """Every known dataset by key; those of the paper in its order, then the others."""
    return {key: Known.model_validate(entry) for key, entry in yamlfile.load(REGISTRY).items()}


@cache
def routes() -> Mapping[str, Route]:
    """How to get every known dataset."""
    return {key: Route.model_validate(entry) for key, entry in yamlfile.load(ROUTES).items()}


def known(key: str) -> Dataset:
    """A known dataset as its key alone describes it.

    Raises:
        InputError: no such dataset.
    """
    if key not in registry():
        raise InputError(f"{key}: no such dataset; {nearest(key, registry())}")
    return Dataset.model_validate(completed(key, {}))


def completed(key: str, entry: Any) -> Any:
    """A dataset's block of a parameter file over the values the registry has for its key."""
    known = registry().get(key)
    if known is None or not isinstance(entry, dict):
        return entry
    base = known.dataset(key)
    if entry.get("adapter") == "folder":
        base = merged(base, FOLDER) | {"pictures": None}
        base |= {task: base[task] | {"file": file} for task, file in FILES.items() if task in base}
    return merged(base, entry)
