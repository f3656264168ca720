"""What the data jobs know, and what a run knows of the datasets it visits."""

from __future__ import annotations

from typing import Self

from fxcore.params.blocks import Block
from fxcore.params.datasets import Dataset, Labels
from fxcore.passes import Task


class PhantomSlice(Block):
    """For `phantom`: what is drawn for one dataset."""

    key: str
    seed: int
    dataset: Dataset


class StoreSlice(Block):
    """For `normalize`: one dataset."""

    key: str
    store_size: int
    dataset: Dataset


class Heads(Block):
    """What a run needs to know of a dataset it visits: classes of the tasks in use and label policies."""

    classification: Labels | None
    localization: tuple[str, ...]
    segmentation: tuple[str, ...]
    mirror: bool

    def classes(self, task: Task) -> tuple[str, ...]:
        """Classes of a task's head in order; empty where the run does not train the task."""
        if task is Task.CLASSIFICATION:
            return self.classification.classes if self.classification else ()
        found: tuple[str, ...] = getattr(self, task)
        return found

    @classmethod
    def of(cls, dataset: Dataset, tasks: tuple[Task, ...]) -> Self:
        """The part of `dataset` that training `tasks` depends on."""
        return cls(
            classification=dataset.classification if Task.CLASSIFICATION in tasks else None,
            localization=dataset.classes(Task.LOCALIZATION) if Task.LOCALIZATION in tasks else (),
            segmentation=dataset.classes(Task.SEGMENTATION) if Task.SEGMENTATION in tasks else (),
            mirror=dataset.mirror,
        )
