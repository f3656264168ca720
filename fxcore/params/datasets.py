"""Datasets: where they lie and what they say about their images."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import model_validator

from fxcore.params.blocks import Block, Classes, Count, Sorted
from fxcore.passes import Split, Task


class Columns(Block):
    """Names of the index CSV's columns."""

    file: str = "file"
    """Path of the image, relative to the dataset's folder."""
    patient: str | None = None
    """Patient identifier; null where it is unknown, then each image counts as a patient of its own."""
    split: str = "split"
    """train, val or test."""


class Labels(Block):
    """Image labels: a column a class, 1 present, 0 absent, -1 uncertain, blank not mentioned."""

    classes: Classes
    """Columns of the index CSV, in the order of the head's outputs."""
    uncertain: Literal["u_ones", "u_zeros", "u_ignore"] = "u_ignore"
    """What -1 means for training and scoring: present, absent, or no statement."""
    blank: Literal["blank_zero", "blank_ignore"] = "blank_ignore"
    """What a blank means: absent, or no statement."""
    reported: Classes | None = None
    """Classes whose mean is the reported AUC, where a paper reports some of them; null for all."""


class Annotations(Block):
    """Boxes or masks in a COCO JSON file that lists exactly the annotated images; an image not listed is unknown, not empty."""

    file: str
    """The COCO JSON, relative to the dataset's folder."""
    classes: Classes
    """Names of its categories, in the order of the head's outputs."""


class Dataset(Block):
    """One dataset: where it lies and what it says about its images."""

    adapter: Literal["folder"] = "folder"
    """The native format; `folder` is an index CSV with COCO JSON files (docs/how-to/own-dataset.md)."""
    source: Literal["native", "phantom"] = "native"
    """`native`: files you supply; `phantom`: synthetic radiographs that the workflow writes in the native format."""
    folder: str | None = None
    """Folder below the native root, or relative to the project when it starts with a dot; the dataset's key when null."""
    index: str = "index.csv"
    """The index CSV, relative to the folder."""
    columns: Columns = Columns()
    """Names of the index's columns."""
    classification: Labels | None = None
    """Image labels; null where the dataset has none."""
    localization: Annotations | None = None
    """Boxes; null where the dataset has none."""
    segmentation: Annotations | None = None
    """Masks; null where the dataset has none."""
    mirror: bool = True
    """Whether a mirrored image is still a valid example; false where left and right are different classes."""
    phantom: Annotated[dict[Split, Count], Sorted] | None = None
    """For `source: phantom`: number of images in each split."""

    def classes(self, task: Task) -> tuple[str, ...]:
        """Classes of a task's head in order; empty where the dataset lacks the task."""
        block: Labels | Annotations | None = getattr(self, task)
        return block.classes if block else ()

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
        labels = self.classification
        if labels and (unknown := [name for name in labels.reported or () if name not in labels.classes]):
            raise ValueError(f"classification.reported: {unknown[0]} is not among the classes")
        if (self.source == "phantom") != (self.phantom is not None):
            raise ValueError("source: phantom and phantom: {train, val, test} belong together; give both or neither")
        if self.phantom is not None and set(self.phantom) != set(Split):
            raise ValueError(f"phantom: give a number of images for each of {', '.join(Split)}")
        return self


def _twice(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)
