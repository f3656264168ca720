"""What a training job knows."""

from __future__ import annotations

from fxcore.params.blocks import Block
from fxcore.params.model import Model
from fxcore.params.training import Pretrain
from fxcore.passes import Pass, Stage, Visits, fraction, passes, stages
from fxcore.slices.data import Heads


class TrainSlice(Block):
    """For `pretrain`: everything a run's weights depend on; not `cycles`, so that raising it continues the run."""

    run: str
    store_size: int
    seed: int
    visits: Visits
    heads: dict[str, Heads]
    model: Model
    pretrain: Pretrain
    horizon_cycles: int


def run_passes(order: Visits, how: Pretrain, cycles: int) -> tuple[Pass, ...]:
    """All passes of a run's first `cycles` cycles, in order."""
    datasets = [(name, frozenset(tasks)) for name, tasks in order]
    return passes(datasets, cycles, locked=frozenset(how.lock), lock_fraction=fraction(how.lock_fraction))


def run_stages(order: Visits, how: Pretrain, cycles: int) -> tuple[Stage, ...]:
    """The jobs that train a run's first `cycles` cycles."""
    return stages(run_passes(order, how, cycles), how.stage, how.stage_cycles)
