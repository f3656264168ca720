"""Datasets: where they lie and what they say about their images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from fxcore.complaint import nearest
from fxcore.params.blocks import Block, Classes, Count, Inside, Probability, Sorted
from fxcore.params.routes import Route
from fxcore.passes import Split, Task

View = Literal["PA", "AP", "LAT", "OTHER"]


ADAPTERS = Path(__file__).parents[1] / "data" / "adapters"


def _adapter(name: str) -> str:
    if not (ADAPTERS / f"{name}.py").is_file():
        raise ValueError(
            f"{name} is no module of {ADAPTERS.name}; {nearest(name, (one.stem for one in ADAPTERS.glob('[a-z]*.py')))}"
        )
    return name


class Columns(Block):
    """Names of the index CSV's columns."""

    file: str = "file"
    """Path of the image, relative to the dataset's folder."""
    patient: str | None = None
    """Patient identifier; null where it is unknown, then each image counts as a patient of its own."""
    group: str | None = None
    """Who an image is of, across datasets: images of one name, wherever they are, are never on two sides of a split. `nih:00000202` is
    patient 202 of NIH ChestX-ray14; null, or a blank cell, for the dataset's own patients, who are nobody else's."""
    split: str | None = "split"
    """train, val or test; null where fxcore is to divide, by patient or group."""


def _rising(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{list(bounds)} do not rise")
    return bounds


class Labels(Block):
    """Image labels: a column a class, 1 present, 0 absent, -1 uncertain, blank not mentioned."""

    classes: Classes
    """Columns of the index CSV, in the order of the head's outputs."""
    uncertain: Literal["u_ones", "u_zeros", "u_ignore", "u_lsr_ones"] = "u_ignore"
    """What -1 means for training and scoring: present, absent, no statement, or present with a target drawn from `smoothing`."""
    smoothing: Annotated[tuple[Probability, Probability], AfterValidator(_rising)] = (0.55, 0.85)
    """Bounds of the target of an uncertain class under `u_lsr_ones`, drawn from image, class and `smoothing_seed` alone."""
    smoothing_seed: int = 0
    """Another one draws other targets."""
    blank: Literal["blank_zero", "blank_ignore"] = "blank_ignore"
    """What a blank means: absent, or no statement."""
    reported: Classes | None = None
    """Classes whose mean is the reported AUC, where a paper reports some of them; null for all."""


class Annotations(Block):
    """Boxes or masks."""

    file: Inside | None = None
    """Of the format `folder`: the COCO JSON, relative to the dataset's folder; it lists exactly the annotated images, and an image
    not listed is unknown, not empty."""
    classes: Classes
    """Names of the categories, in the order of the head's outputs."""


class Dataset(Block):
    """One dataset: where it lies and what it says about its images."""

    adapter: Annotated[str, AfterValidator(_adapter)] = "folder"
    """The native format: that of a known dataset, by its key, or `folder`, an index CSV with COCO JSON files
    (docs/how-to/own-dataset.md)."""
    source: Literal["native", "retrieve", "phantom"] = "native"
    """`native`: files you supply; `retrieve`: files that the workflow fetches first (docs/how-to/get-the-data.md); `phantom`: synthetic
    radiographs that it writes in the native format."""
    retrieve: Route | None = None
    """How the files are fetched; null takes the route of the known dataset."""
    missing: Literal["error", "skip"] = "error"
    """What happens where the folder of `source: native` is not there, nor a store: an error, or everything goes on without the
    dataset, and every table says so."""
    folder: str | None = None
    """Folder below the native root, or relative to the project when it starts with a dot; the dataset's key when null."""
    pictures: str | None = None
    """Where the pictures lie of a release that has none, like `folder`: that of another dataset."""
    index: Inside = "index.csv"
    """Of the format `folder`: the index CSV, relative to the folder."""
    columns: Columns = Columns()
    """Of the format `folder`: names of the index's columns."""
    views: tuple[View | Literal["UNKNOWN"], ...] | None = None
    """Views to take; `UNKNOWN` are pictures of which the release does not say. Null takes all."""
    readers: Literal["any", "majority", "consensus"] = "any"
    """Who must call a class present, where several readers say."""
    fuse_boxes: Probability | None = None
    """Overlap (IoU) from which boxes of several readers are one, their mean; null keeps every reader's."""
    exclude: tuple[str, ...] = ()
    """Images to leave out, by their names in the store's list; the store says so."""
    unreadable: Literal["error", "exclude"] = "error"
    """What happens to a picture that cannot be decoded or is of one value: an error, or left out, and the store says so."""
    classification: Labels | None = None
    """Image labels; null where the dataset has none."""
    localization: Annotations | None = None
    """Boxes; null where the dataset has none."""
    segmentation: Annotations | None = None
    """Masks; null where the dataset has none."""
    mirror: bool = True
    """Whether a mirrored image is still a valid example; false where left and right are different classes."""
    test_only: bool = False
    """Whether all images are for testing: a test set that no run trains on."""
    phantom: Annotated[dict[Split, Count], Sorted] | None = None
    """For `source: phantom`: number of images in each split; of a test set in `test`."""

    def classes(self, task: Task) -> tuple[str, ...]:
        """Classes of a task's head in order; empty where the dataset lacks the task."""
        block: Labels | Annotations | None = getattr(self, task)
        return block.classes if block else ()

    @property
    def splits(self) -> tuple[Split, ...]:
        """Splits that have images."""
        return (Split.TEST,) if self.test_only else tuple(Split)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks the dataset is annotated for, in training order."""
        return tuple(task for task in Task if self.classes(task))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.tasks:
            raise ValueError(f"has no task; give at least one of {', '.join(Task)}")
        for task in self.tasks:
            if twice := _twice(self.classes(task)):
                raise ValueError(f"{task}.classes lists {twice} twice")
        if self.adapter == "folder" and (
            bare := [
                task for task in (Task.LOCALIZATION, Task.SEGMENTATION) if (of := getattr(self, task)) and not of.file
            ]
        ):
            raise ValueError(f"{bare[0]}.file is missing; name the COCO JSON with its annotations")
        labels = self.classification
        if labels and (unknown := [name for name in labels.reported or () if name not in labels.classes]):
            raise ValueError(f"classification.reported: {unknown[0]} is not among the classes")
        names = ", ".join(self.splits)
        if self.retrieve and self.source == "phantom":
            raise ValueError("retrieve: a phantom is drawn; take retrieve out, or source: phantom")
        if (self.source == "phantom") != (self.phantom is not None):
            raise ValueError(f"source: phantom and phantom: {{{names}}} belong together; give both or neither")
        if self.phantom is not None and set(self.phantom) != set(self.splits):
            raise ValueError(f"phantom: give a number of images for {names}, and for no other split")
        return self


def _twice(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)
