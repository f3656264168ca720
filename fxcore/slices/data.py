"""What the data jobs know, and what training and scoring know of a dataset."""

from __future__ import annotations

from typing import Self

from fxcore.params.blocks import Block
from fxcore.params.datasets import Dataset, Labels
from fxcore.params.routes import Route
from fxcore.params.splits import Holdout, Near, Policy
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


class SplitRule(Block):
    """How one dataset is split."""

    policy: Policy
    holdout: Holdout


class SplitSlice(Block):
    """For `split`: a family of datasets."""

    family: str
    store_size: int
    seed: int
    near: Near
    datasets: dict[str, SplitRule]


class RunLists(Block):
    """What a run reads: datasets by key."""

    tested: tuple[str, ...]
    trained: tuple[str, ...]
    """Also those of the run that it starts from."""
    allowed: str | None
    """Why it may test what was seen in training; None where it may not."""


class LeakageSlice(Block):
    """For `leakage`: all datasets; `families` as `leak_free` has them, whatever the policy of each dataset is."""

    store_size: int
    seed: int
    near: Near
    families: dict[str, tuple[str, ...]]
    holdouts: dict[str, Holdout]
    runs: dict[str, RunLists]


class VisitsSlice(Block):
    """For `visits`: which stores a run trains on."""

    run: str
    place: str
    """Where it stands in the parameters, for messages."""
    store_size: int
    visits: Visits
    before: Visits
    """What the runs trained on whose weights it starts from."""
    near: Near
    allowed: bool
    """Whether it may test what was seen in training."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """What the job reads."""
        return tuple(dict.fromkeys(key for key, _ in (*self.visits, *self.before)))


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
