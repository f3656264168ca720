"""The pretraining schedule: which dataset, task and mode each pass of a cycle trains (Foundation X, lock-release table).

Pure and torch-free: the Snakefile, `dvc.yaml` and the training loop all read the same passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import groupby


class Task(StrEnum):
    """What a head predicts; the order is the order of training within a dataset."""

    CLASSIFICATION = "classification"
    LOCALIZATION = "localization"
    SEGMENTATION = "segmentation"


Visits = tuple[tuple[str, tuple[Task, ...]], ...]
"""A run's datasets in training order, each with its tasks in training order."""


class Mode(StrEnum):
    """LOCK trains only what belongs to the active dataset's head; RELEASE trains everything on its path."""

    LOCK = "lock"
    RELEASE = "release"


class Split(StrEnum):
    """Train on TRAIN, choose on VAL, report on TEST."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Granularity(StrEnum):
    """What one training job executes: a single pass, the consecutive passes of a dataset, or a whole cycle."""

    PASS = "pass"  # noqa: S105 - no password
    DATASET = "dataset"
    CYCLE = "cycle"


@dataclass(frozen=True, slots=True)
class Pass:
    """Once through `fraction` of `dataset` for `task`; `index` counts passes over the whole run, from 0."""

    index: int
    cycle: int
    dataset: str
    task: Task
    mode: Mode
    fraction: Fraction

    @property
    def name(self) -> str:
        """For logs: cycle (counted from 1), dataset, task and mode."""
        return f"c{self.cycle + 1:03d}-{self.dataset}-{self.task}-{self.mode}"

    def updates(self, images: int, batch_size: int) -> int:
        """Optimiser steps of this pass over `images` annotated training images; incomplete batches are dropped, one update is the least."""
        return max(1, int(max(1, images // batch_size) * self.fraction))


@dataclass(frozen=True, slots=True)
class Stage:
    """The consecutive passes that one job executes; `number` counts from 1.

    `name` says how far the run is afterwards: `cycle_3`, or `cycle_2-05` for the fifth stage after two whole cycles.
    """

    number: int
    name: str
    passes: tuple[Pass, ...]

    def kept(self, every: int) -> bool:
        """Whether an `every`-th cycle ends with it."""
        return "-" not in self.name and (self.passes[-1].cycle + 1) % every == 0


def fraction(value: float) -> Fraction:
    """A fraction of the data as written in the parameters: 0.5 is 1/2, 0.333 is 333/1000, not the nearest binary number."""
    return Fraction(str(value))


def modes(
    task: Task, locked: frozenset[Task], lock_fraction: Fraction, heads_only: bool = False
) -> Iterator[tuple[Mode, Fraction]]:
    """A locked task first trains its head alone on part of the data, then everything on all of it.

    With `heads_only` every task trains its head alone, on all of the data.
    """
    if heads_only:
        yield Mode.LOCK, Fraction(1)
        return
    if task in locked:
        yield Mode.LOCK, lock_fraction
    yield Mode.RELEASE, Fraction(1)


def passes(
    datasets: Iterable[tuple[str, frozenset[Task]]],
    cycles: int,
    *,
    locked: frozenset[Task] = frozenset({Task.LOCALIZATION, Task.SEGMENTATION}),
    lock_fraction: Fraction = Fraction(1, 2),
    repeats: int = 1,
    heads_only: bool = False,
) -> tuple[Pass, ...]:
    """Every pass of a run, in training order: cycles, then datasets as given, then classification → localization → segmentation.

    A dataset's passes come `repeats` times before the next dataset's.

    Raises:
        ValueError: a dataset without a task, or one named twice.
    """
    order = list(datasets)
    names = [name for name, _ in order]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"datasets: {', '.join(sorted(twice))} listed twice; each dataset is visited once a cycle")
    if idle := [name for name, tasks in order if not tasks]:
        raise ValueError(f"datasets.{idle[0]}.tasks is empty; give at least one of {', '.join(Task)} or remove it")
    visits = (
        (cycle, name, task, mode, fraction)
        for cycle in range(cycles)
        for name, tasks in order
        for _ in range(repeats)
        for task in Task
        if task in tasks
        for mode, fraction in modes(task, locked, lock_fraction, heads_only)
    )
    return tuple(Pass(index, *visit) for index, visit in enumerate(visits))


def stages(plan: Iterable[Pass], granularity: Granularity, cycles: int = 1) -> tuple[Stage, ...]:
    """Cut a run's passes into jobs, of `cycles` whole cycles each where the granularity is a cycle.

    The passes themselves do not depend on where the cuts are.
    """
    keys = {
        Granularity.PASS: lambda one: one.index,
        Granularity.DATASET: lambda one: (one.cycle, one.dataset),
        Granularity.CYCLE: lambda one: one.cycle // cycles,
    }
    groups = [tuple(group) for _, group in groupby(plan, key=keys[granularity])]
    made: list[Stage] = []
    within = 0
    for number, group in enumerate(groups, start=1):
        cycle = group[-1].cycle
        whole = number == len(groups) or groups[number][0].cycle > cycle
        within = 0 if whole else within + 1
        made.append(Stage(number, f"cycle_{cycle + 1}" if whole else f"cycle_{cycle}-{within:02d}", group))
    return tuple(made)
