"""What an experiment costs: operations of its training, disk of its states and stores, and hours on a device of known speed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fxcore import paths
from fxcore.errors import InputError
from fxcore.params.experiment import Params
from fxcore.passes import Mode, Pass, Task
from fxcore.planning.work import Images, Sizes
from fxcore.slices.make import train_slice


@dataclass(frozen=True, slots=True)
class Disk:
    """What a run leaves: how many weights of student and teacher and how many snapshots of the teacher are kept, and bytes.

    `kept` bytes stay, the last optimiser among them; `passing` bytes lie beside them while the run trains.
    """

    states: int
    snapshots: int
    kept: int
    passing: int


class Costs:
    """The costs of an experiment's runs. Making it imports torch and builds every run's network without its numbers."""

    def __init__(self, params: Params, sizes: Sizes, tflops: float | None = None) -> None:
        """`tflops`: 10¹² operations a second that a device sustains in training.

        Raises:
            InputError: it is not above zero.
        """
        if tflops is not None and not 0 < tflops < float("inf"):
            raise InputError(f"--tflops {tflops:g}: give the rate that the device sustains, a number above 0")
        from fxcore.training.flops import Shapes

        self.params, self.sizes, self.tflops = params, sizes, tflops
        self._slices = {run: train_slice(params, run) for run in params.trained}
        self._shapes: dict[str, Shapes] = {}
        for run, slice_ in self._slices.items():
            heads = {
                name: {task: len(params.datasets[name].classes(task)) for task in tasks}
                for name, tasks in slice_.visits
            }
            self._shapes[run] = Shapes(slice_, heads)
        self._update: dict[tuple[str, Task, Mode], int] = {}
        self._trunk: dict[tuple[str, Task], int] = {}

    def image(self, run: str, one: Pass) -> int:
        """Operations an image of a pass.

        They are counted once for each network, task and mode: the number of a head's classes hardly matters.
        """
        shapes, slice_ = self._shapes[run], self._slices[run]
        network = slice_.model.canonical()
        update, trunk = (network, one.task, one.mode), (network, one.task)
        if update not in self._update:
            self._update[update] = shapes.update(one)
        if trunk not in self._trunk:
            self._trunk[trunk] = shapes.trunk(one.task)
        taught = slice_.momentum is not None and slice_.pretrain.consistency != 0 and one.mode is Mode.RELEASE
        return self._update[update] + taught * self._trunk[trunk]

    def training(self, run: str, of: Iterable[Pass]) -> int | None:
        """Operations of some passes of a run; None while the size of a dataset is unknown."""
        total = 0
        for one in of:
            work = self.sizes.work(run, (one,))
            if work is None:
                return None
            total += work.images * self.image(run, one)
        return total

    def hours(self, operations: int) -> float | None:
        """Hours on one device; None if nobody said how fast it is."""
        return None if self.tflops is None else operations / (self.tflops * 1e12) / 3600

    def disk(self, run: str) -> Disk:
        """What the states of a run take."""
        slice_, shapes, cycles = self._slices[run], self._shapes[run], self.params.trained[run].train.cycles
        stages, of = slice_.stages(cycles), slice_.passes(cycles)
        branches = 1 if slice_.momentum is None else 2
        states = sum(one.kept(slice_.keep_every) or one == stages[-1] for one in stages)
        snapshots = sum(map(slice_.snaps, of))
        state, moments = branches * shapes.weights, shapes.moments(of)
        kept = states * state + snapshots * shapes.weights + moments
        # The two stages before the one that trains, and its autosave; the last stage's own files are among those kept.
        return Disk(states, snapshots, kept, min(3, len(stages)) * (state + moments))


def store(params: Params, sizes: Sizes, key: str) -> Images | None:
    """Bytes of a dataset's store: as they are, or its pictures and masks as expected, the masks at most; None if unknown."""
    side = params.store_size
    folder = paths.store(Path(params.results_root), key, side)
    if sizes.counts(key):
        return Images(sum((folder / name).stat().st_size for name in paths.STORE_FILES))
    images = sizes.all(key)
    if images is None:
        return None
    masks = len(params.datasets[key].classes(Task.SEGMENTATION)) * side * -(-side // 8)
    return Images(images.number * (side**2 + masks), True)
