"""One stage of one run: the previous stage's state in, this stage's state and its history out."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from fxcore import provenance
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.files import atomic
from fxcore.machine import Machine
from fxcore.passes import Stage, Task
from fxcore.progress import Progress
from fxcore.slices.train import TrainSlice, run_passes, run_stages
from fxcore.training import runtime, schedule
from fxcore.training.loop import Row, Trainer, counts
from fxcore.training.state import load

log = logging.getLogger(__name__)

COLUMNS = (
    *(
        "pass",
        "cycle",
        "dataset",
        "task",
        "mode",
        "update",
        "images",
        "rate",
        "loss",
        "bce",
        "dice",
        "class",
        "l1",
        "giou",
        "auxiliary",
        "proposals",
        "denoising",
    ),
    *("consistency", "gradient_norm", "images_per_second"),
)
"""Of the history CSV; a term that a task does not have is blank."""


def stage_of(slice_: TrainSlice, number: int) -> Stage:
    """A run's stage by its number, from 1; a stage has at most `stage_cycles` cycles, so this many cycles reach it."""
    how = slice_.pretrain
    return run_stages(slice_.visits, how, number * how.stage_cycles)[number - 1]


def pretrain(
    slice_: TrainSlice,
    number: int,
    previous: Path | None,
    stores: Mapping[str, Store],
    machine: Machine,
    gpus: int,
    state: Path,
    history: Path,
) -> None:
    """Train stage `number` of a run.

    Raises:
        InputError: `previous` is not the state that this stage continues.
    """
    runtime.prepare(machine)
    stage = stage_of(slice_, number)
    images = counts(stores, slice_)
    _check_counts(images, slice_)
    size = slice_.pretrain.batch_size
    horizon = schedule.updates_of(run_passes(slice_.visits, slice_.pretrain, slice_.horizon_cycles), images, size)
    with runtime.lease(gpus):
        device = runtime.device(machine, gpus)
        trainer = Trainer(slice_, stores, horizon, device, machine.workers)
        if previous is not None:
            trainer.restore(load(previous))
        if trainer.passes != stage.passes[0].index:
            raise InputError(
                f"{previous}: {trainer.passes} passes done; stage {number} of {slice_.run} begins after {stage.passes[0].index}"
            )
        rows = _train(trainer, stage, schedule.updates_of(stage.passes, images, size))
        trainer.state(provenance.describe(slice_) | {"stage": number}).save(state)
        write_history(history, rows)


def _check_counts(images: Mapping[tuple[str, Task], int], slice_: TrainSlice) -> None:
    for (name, task), count in images.items():
        if task is Task.SEGMENTATION and count < 2:
            raise InputError(
                f"{slice_.run}: {name} has {count} training image annotated for segmentation, which normalises over the"
                " batch; annotate 2 or more, or take the task out of the run's visits"
            )


def _train(trainer: Trainer, stage: Stage, updates: int) -> list[Row]:
    progress = Progress(f"{trainer.slice.run}, stage {stage.number}", updates, "updates")
    rows: list[Row] = []
    for one in stage.passes:
        first = len(rows)
        for row in trainer.run(one):
            rows.append(row)
            progress.advance(detail=one.name)
        losses = [float(row["loss"]) for row in rows[first:]]
        log.info(
            "%s: pass %d, %s: %d updates, mean loss %.4f",
            trainer.slice.run,
            one.index + 1,
            one.name,
            len(losses),
            sum(losses) / len(losses),
        )
    return rows


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Numbers of every update as CSV, floats to six significant digits."""
    with atomic(path) as part, part.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )
