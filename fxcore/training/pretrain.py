"""One stage of one run: the previous stage's state in, this stage's state and its history out."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from fxcore import paths
from fxcore.alone import alone
from fxcore.data.loaders import watched
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.machine import Machine, place
from fxcore.passes import Stage
from fxcore.progress import Progress
from fxcore.slices.train import Origin, TrainSlice
from fxcore.training import parallel, runtime, schedule
from fxcore.training.autosave import Autosave
from fxcore.training.history import Row, write_history
from fxcore.training.keep import prune
from fxcore.training.loop import Trainer, counts
from fxcore.training.snapshots import Snapshots
from fxcore.training.state import load

log = logging.getLogger(__name__)


MEASURED = ("images_per_second", "memory")
"""What differs between two equal runs: speed, and the most memory in use so far (GiB, of the first process)."""
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
    *("consistency", "gradient_norm", *MEASURED),
)
"""Of the history CSV; a term that a task does not have is blank."""


def stages_to(slice_: TrainSlice, name: str) -> tuple[Stage, ...]:
    """A run's stages up to the one called `name`; the name says the cycle it ends in or follows.

    Raises:
        InputError: the run has no such stage.
    """
    found = re.fullmatch(r"cycle_(\d+)(-\d+)?", name)
    reached = int(found[1]) + bool(found[2]) if found else 0
    cycles = -(-reached // slice_.stage_cycles) * slice_.stage_cycles
    stages = slice_.stages(cycles) if cycles else ()
    for stage in stages:
        if stage.name == name:
            return stages[: stage.number]
    raise InputError(
        f"--stage {name}: {slice_.run} has no such stage; its first is {slice_.stages(slice_.stage_cycles)[0].name}"
    )


def pretrain(
    slice_: TrainSlice,
    name: str,
    stores: Mapping[str, Store],
    machine: Machine,
    gpus: int,
    folder: Path,
    work: Path,
    origin: Origin | None = None,
) -> None:
    """Train the stage called `name` of a run whose stages leave their files in `folder`, and their autosaves in `work`.

    The first begins with the weights of `origin`, where the run's parameters say that it starts from some.

    Where a launcher started several processes, each calls this; they have their GPUs from it, and the first writes all files.

    Raises:
        InputError: what the stage before left is not what this stage continues, or another job trains the run.
    """
    _, processes = place()
    machine = machine.among(processes)
    runtime.prepare(machine)
    *earlier, stage = stages_to(slice_, name)
    images = counts(stores, slice_)
    size = slice_.pretrain.batch_size
    horizon = schedule.updates_of(slice_.passes(slice_.horizon_cycles), images, size)
    with watched(), runtime.lease(gpus if processes == 1 else 0), ExitStack() as held:
        device = runtime.device(machine, gpus)
        group = held.enter_context(parallel.together(device))
        if group.first:
            held.enter_context(alone(work, f"training {slice_.run}"))
        trainer = Trainer(slice_, stores, horizon, device, machine.workers, group)
        began = _restore(trainer, paths.stage(folder, earlier[-1].name), stage) if earlier else trainer.begin(origin)
        snapshots = Snapshots(slice_)
        autosave = Autosave(work / f"{name}.safetensors", machine.autosave, name, began)
        rows = _train(trainer, stage, schedule.updates_of(stage.passes, images, size), snapshots, autosave)
        if not group.first:
            return
        files = paths.stage(folder, name)
        state = trainer.state(name)
        state.save(files.weights, files.optimizer)
        snapshots.save(files.snapshots, state.provenance)
        write_history(files.history, rows, COLUMNS)
    autosave.remove()
    # The stage before stays until the next is done: killed before it exits, this job is made again from there.
    prune(earlier[:-1], slice_.keep_every, folder)


def _restore(trainer: Trainer, files: paths.StageFiles, stage: Stage) -> str | None:
    """Continue from the stage before; the checksum of its weights."""
    state = load(files.weights, files.optimizer)
    trainer.restore(state)
    if trainer.passes != stage.passes[0].index:
        raise InputError(
            f"{files.weights}: {trainer.passes} passes done; {stage.name} of {trainer.slice.run} begins after"
            f" {stage.passes[0].index}"
        )
    return state.sha256


def _train(trainer: Trainer, stage: Stage, updates: int, snapshots: Snapshots, autosave: Autosave) -> list[Row]:
    rows = autosave.restore(trainer, snapshots)
    trainer.group.wait()  # all have read it before the first goes on to write another, or to remove it
    progress = Progress(f"{trainer.slice.run}, {stage.name}", updates - len(rows), "updates")
    for one in stage.passes[trainer.passes - stage.passes[0].index :]:
        for row in trainer.run(one):
            rows.append(row)
            progress.advance(detail=one.name)
            if trainer.group.first:
                autosave.offer(trainer, rows, snapshots)
        if trainer.group.first:
            snapshots.take(trainer, one)
        losses = [float(row["loss"]) for row in rows if row["pass"] == one.index + 1]
        log.info(
            "%s: pass %d, %s: %d updates, mean loss %.4f",
            trainer.slice.run,
            one.index + 1,
            one.name,
            len(losses),
            sum(losses) / len(losses),
        )
    return rows
