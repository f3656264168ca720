"""Runs: named training experiments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from fxcore.params.blocks import Block, Count, Name, Words
from fxcore.params.training import Ramped, Starting, StartRun
from fxcore.passes import Task, Visits


def _once(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    if twice := next((task for task in tasks if tasks.count(task) > 1), None):
        raise ValueError(f"{twice} is named twice")
    return tasks


def _rising(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if list(numbers) != sorted(set(numbers)):
        raise ValueError(f"{', '.join(map(str, numbers))} do not rise")
    return numbers


Cells = dict[Name, Annotated[tuple[Task, ...], Field(min_length=1), AfterValidator(_once)]]
"""Datasets with tasks of each."""


def in_order(cells: Cells) -> Visits:
    """Datasets as given, tasks in training order."""
    return tuple((name, tuple(task for task in Task if task in tasks)) for name, tasks in cells.items())


class Snapshots(Block):
    """Copies of the teacher along the way, taken after the release pass of each cell and scored on validation (figure 2)."""

    every: Count = 1
    """Cycles between two rounds of snapshots."""
    cells: Cells
    """Datasets and tasks after which a snapshot is taken, and which each snapshot is scored for."""


class Override(Block):
    """Values of other blocks that a run replaces, the rest of each block staying as it is."""

    model: dict[str, Any] = {}
    """In place of those of `model`."""
    pretrain: dict[str, Any] = {}
    """In place of those of `pretrain`."""


class Training(Block):
    """What a run trains on and how long; everything here is part of what its weights are."""

    visits: Cells
    """Datasets in the order of a cycle, each with the tasks to train."""
    cycles: Count
    """Times through all visits."""
    repeats: Count = 1
    """Times through a dataset's passes before the next dataset's turn; with `cycles: 1`, one long visit to each."""
    horizon_cycles: Count
    """Cycles after which the learning rate reaches zero; apart from `cycles`, so that raising `cycles` continues a run."""
    lock: tuple[Task, ...] = (Task.LOCALIZATION, Task.SEGMENTATION)
    """Tasks with a lock pass before the release pass."""
    momentum: Ramped | None = 0.80
    """The teacher after each pass: momentum · teacher + (1 - momentum) · student; null trains without a teacher."""
    stage_cycles: Count = 1
    """Cycles that one job executes where `pretrain.stage` is `cycle`; `cycles` are a multiple of it."""
    keep_every: Count = 1
    """Cycles from one whose weights are kept to the next; validation chooses among those that are kept. The last always is."""
    snapshots: Snapshots | None = None
    """Snapshots of the teacher; null for none."""
    start: Starting | None = None
    """Weights to start from; heads that they lack are drawn. Null draws all at random from `seed`."""
    tune: Literal["full", "head"] = "full"
    """`head` trains what a lock pass does, on all of the data, and nothing else: of a classification or segmentation its head, of
    a localization its decoder and heads."""
    override: Override = Override()
    """What this run has other than the rest."""

    @property
    def order(self) -> Visits:
        """The visits in training order."""
        return in_order(self.visits)


class Run(Block):
    """One training experiment."""

    title: Words
    """As the tables print it."""
    role: Literal["joint", "baseline", "ablation", "split", "start", "finetune"]
    """`joint` is the model the paper proposes; a `baseline` has one dataset and one task and stands beside it in table 3; an
    `ablation` stands in the table of that name; a `split` trains on a dataset that is divided otherwise; a `start` gives weights for
    other runs to start from; a `finetune` is a target that they are tried on."""
    shown_in: Literal["table4_organs", "table5_transfer", "figure3_finetuning"] | None = None
    """Of a finetune: where it is shown; null for none of these."""
    of: Name | None = None
    """Of an ablation: the run that it is compared with and changes something of; null for that run itself. Of a split: the run that
    trains on the same data divided otherwise."""
    gpus: Annotated[int, Field(ge=0)] = 1
    """GPUs the run asks for, which share each batch; a machine that has fewer gives what it has, one without any trains on the
    CPU."""
    train: Training
    """What its weights depend on, beside `model` and `pretrain`."""

    @property
    def order(self) -> Visits:
        """The visits in training order."""
        return self.train.order

    @property
    def origin(self) -> str | None:
        """The run whose weights it starts from, if it does."""
        return self.train.start.run if isinstance(self.train.start, StartRun) else None


class FewShot(Block):
    """Runs trained again on few of their images, several times (table 6)."""

    runs: tuple[Name, ...] = ()
    """The runs, of one dataset and task each; everything but the images is theirs."""
    samples: Annotated[tuple[Count, ...], Field(min_length=1), AfterValidator(_rising)] = (3, 6, 12, 15, 20, 24)
    """Numbers of training images, rising; fewer are among more."""
    draws: Count = 3
    """Times that images, heads and order are drawn anew."""
    updates: Count = 500
    """Of each training at least, however few its images: fewer are seen more often."""
