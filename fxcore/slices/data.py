"""What the data jobs know, and what training and scoring know of a dataset."""

from __future__ import annotations

from typing import Self

from fxcore.params.blocks import Block
from fxcore.params.datasets import Dataset, Labels
from fxcore.params.routes import Route
from fxcore.passes import Task, Visits


class RetrieveSlice(Block):
    """For `retrieve`: one dataset, and how its native files are got."""

    key: str
    dataset: Dataset
    route: Route


class PhantomSlice(Block):
    """For `phantom`: what is drawn for one dataset."""

    key: str
    dataset: Dataset


class StoreSlice(Block):
    """For `normalize`: one dataset."""

    key: str
    store_size: int
    dataset: Dataset


class VisitsSlice(Block):
    """For `visits`: which stores a run trains on."""

    run: str
    store_size: int
    visits: Visits


class Heads(Block):
    """What training and scoring need to know of a dataset: classes of the tasks in use and label policies."""

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

    def reported(self, task: Task) -> tuple[str, ...]:
        """Classes whose mean is the task's headline metric."""
        some = self.classification.reported if task is Task.CLASSIFICATION and self.classification else None
        return some or self.classes(task)

    @classmethod
    def of(cls, dataset: Dataset, tasks: tuple[Task, ...]) -> Self:
        """The part of `dataset` that `tasks` depend on."""
        return cls(
            classification=dataset.classification if Task.CLASSIFICATION in tasks else None,
            localization=dataset.classes(Task.LOCALIZATION) if Task.LOCALIZATION in tasks else (),
            segmentation=dataset.classes(Task.SEGMENTATION) if Task.SEGMENTATION in tasks else (),
            mirror=dataset.mirror,
        )
