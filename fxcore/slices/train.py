"""What a training job knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fxcore import paths
from fxcore.params.blocks import Block
from fxcore.params.model import Model
from fxcore.params.training import Pretrain, Ramped, Start, Starting, StartRun
from fxcore.passes import Pass, Stage, Task, Visits, fraction, passes, stages


class SnapshotsSlice(Block):
    """When teachers are copied along the way."""

    every: int
    cells: Visits


@dataclass(frozen=True, slots=True)
class Origin:
    """Weights to start from: a file, or what is kept of a run with what validation chose of it."""

    weights: Path
    choice: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What a job that starts from them depends on."""
        return (self.weights,) if self.choice is None else (self.weights / paths.MANIFEST, self.choice)


def run_passes(
    visits: Visits, lock: tuple[Task, ...], lock_fraction: float, cycles: int, repeats: int = 1, tune: str = "full"
) -> tuple[Pass, ...]:
    """All passes of a run's first `cycles` cycles, in order; tasks in `lock` first train their head on `lock_fraction`."""
    datasets = [(name, frozenset(tasks)) for name, tasks in visits]
    part = fraction(lock_fraction)
    return passes(
        datasets, cycles, locked=frozenset(lock), lock_fraction=part, repeats=repeats, heads_only=tune == "head"
    )


class TrainSlice(Block):
    """For `pretrain`: everything a run's weights depend on beside its stores; not `cycles`, so that raising it continues the run."""

    run: str
    store_size: int
    seed: int
    visits: Visits
    horizon_cycles: int
    repeats: int
    lock: tuple[Task, ...]
    momentum: Ramped | None
    stage_cycles: int
    keep_every: int
    snapshots: SnapshotsSlice | None
    start: Starting | None
    tune: Literal["full", "head"]
    model: Model
    pretrain: Pretrain

    def passes(self, cycles: int) -> tuple[Pass, ...]:
        """All passes of the run's first `cycles` cycles, in order."""
        return run_passes(self.visits, self.lock, self.pretrain.lock_fraction, cycles, self.repeats, self.tune)

    def stages(self, cycles: int) -> tuple[Stage, ...]:
        """The jobs that train the run's first `cycles` cycles."""
        return stages(self.passes(cycles), self.pretrain.stage, self.stage_cycles)

    def origin(self, results: Path) -> Origin | None:
        """Where the weights lie that the run starts from, if it does."""
        match self.start:
            case None:
                return None
            case StartRun(run=run):
                return Origin(paths.kept(results, run), paths.choice(results, run))
            case Start(file=file):
                return Origin(Path(file))

    def snaps(self, one: Pass) -> bool:
        """Whether the teacher is copied after a pass: the last of its cell, in every `snapshots.every`-th cycle."""
        if self.snapshots is None or (one.cycle + 1) % self.snapshots.every or one.mode != "release":
            return False
        return one.task in dict(self.snapshots.cells).get(one.dataset, ())


class KeepSlice(Block):
    """For `keep`: how long the run is; its last state knows the rest."""

    run: str
    cycles: int
