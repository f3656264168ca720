"""What the training engine costs beside the network's own work, at the paper's size, and a whole cycle against its necessary work.

Usage: python benchmarks/engine.py
Takes about ten minutes and 14 GB on two idle cores. One pass of each kind is trained by the engine, from a store, with an augmenting
loader process; the same forward, backward and optimiser steps are then made by hand on a batch in memory.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch
from table import heading, ratio, row, timed
from torch import Tensor

from fxcore.data import transforms
from fxcore.data.native import Native
from fxcore.data.normalize import normalize
from fxcore.data.split import split
from fxcore.data.store import Store
from fxcore.data.targets import Batch
from fxcore.models.foundation import Classification, FoundationX, Localization, Prediction, Segmentation, Trunk
from fxcore.params.datasets import Dataset
from fxcore.params.experiment import load
from fxcore.params.families import families
from fxcore.params.registry import completed
from fxcore.params.splits import Splits
from fxcore.passes import Mode, Pass, Task
from fxcore.phantom.phantom import write as draw
from fxcore.slices.data import PhantomSlice, StoreSlice
from fxcore.slices.make import split_slice, train_slice
from fxcore.slices.train import TrainSlice
from fxcore.training import locking
from fxcore.training.autosave import Autosave
from fxcore.training.loop import Trainer
from fxcore.training.snapshots import Snapshots
from fxcore.training.teacher import Teacher

PRESET = str(Path(__file__).parents[1] / "presets/paper.yaml")
DATASET, BATCH, UPDATES, ROUNDS = "candid_ptx", 4, 3, 2
"""Phantoms of which dataset are trained on, images an update, updates of a full pass, and how often each way is timed."""
THREADS, WORKERS = 2, 1
MINUTES = 10
"""Between two autosaves, as by default."""
CYCLE = {
    (Task.CLASSIFICATION, Mode.RELEASE): 30747,
    (Task.LOCALIZATION, Mode.LOCK): 1119,
    (Task.LOCALIZATION, Mode.RELEASE): 2241,
    (Task.SEGMENTATION, Mode.LOCK): 536,
    (Task.SEGMENTATION, Mode.RELEASE): 1074,
}
"""Updates of each kind in a cycle of the paper's datasets (`fxcore plan --params presets/paper.yaml --run foundation_x`)."""
START = "import torch, timm"


@dataclass
class Took:
    """Seconds of a pass: in all, in updates, and waiting for each batch but the first."""

    whole: float
    updates: float
    waits: list[float]


class Bench:
    """The preset's first run on one dataset with all three tasks, its store, and a batch of each task in memory."""

    def __init__(self, folder: Path) -> None:
        params = load(Path(PRESET))
        known = params.datasets[DATASET] if params.datasets[DATASET].phantom else None
        entry = completed(DATASET, {"source": "phantom", "phantom": {"train": BATCH * UPDATES, "val": 2, "test": 2}})
        dataset = known or Dataset.model_validate(entry)
        draw(PhantomSlice(key=DATASET, dataset=dataset), folder / "native")
        made = StoreSlice(key=DATASET, store_size=params.store_size, dataset=dataset)
        normalize(made, Native(folder / "native", folder / "native"), folder / "store", folder / "work")
        changes = {"visits": ((DATASET, dataset.tasks),), "snapshots": None}
        how = params.pretraining(params.joint).model_copy(update={"batch_size": BATCH})
        self.slice: TrainSlice = train_slice(params, params.joint).model_copy(update=changes | {"pretrain": how})
        self.folder = folder
        alone = params.model_copy(update={"datasets": {DATASET: dataset}, "splits": Splits()})
        (lists,) = (split_slice(alone, family) for family in families(alone))
        split(lists, {DATASET: Store(folder / "store")}, lambda _, kind: folder / f"split.{kind}")
        stores = {DATASET: Store(folder / "store", folder / "split.parquet")}
        self.trainer = Trainer(self.slice, stores, 10**6, torch.device("cpu"), WORKERS)
        self.teacher = cast(Teacher[FoundationX], self.trainer.teacher)
        self.passes = self.slice.passes(1)
        self.batches = {one.task: next(iter(self.trainer.batches(one))).own for one in self.passes}

    def engine(self, one: Pass) -> Took:
        """A pass, by the engine."""
        self.trainer.passes = one.index
        begun, inside, waits, waiting = time.perf_counter(), 0.0, [], 0.0
        original = self.trainer._update

        def timed(*arguments: object) -> dict[str, float]:
            nonlocal inside, waiting
            entered = time.perf_counter()
            waits.append(entered - waiting)
            found = original(*arguments)  # type: ignore[arg-type]
            waiting = time.perf_counter()
            inside += waiting - entered
            return found

        self.trainer._update = timed  # type: ignore[assignment]
        try:
            list(self.trainer.run(one))
        finally:
            self.trainer._update = original  # type: ignore[method-assign]
        return Took(time.perf_counter() - begun, inside, waits[1:])

    def necessary(self, one: Pass) -> None:
        """An update's own work by hand: student forward and backward, optimiser, in release mode the teacher's forward."""
        trunk, found = self.forward(one, locked=one.mode is Mode.LOCK)
        if one.mode is Mode.RELEASE:
            with torch.no_grad():
                self.teacher.model.trunk(self.images(one), one.task)
        self.step(one, cheapest(found), *(() if one.mode is Mode.LOCK else (anything(trunk),)))

    def published(self, one: Pass) -> None:
        """The authors' order: the teacher runs in every pass and with a graph, in localization a copy of the student too."""
        student, teacher = self.trainer.student, self.teacher.model.requires_grad_(True)
        trunk, found = self.forward(one, locked=False)
        losses = [cheapest(found), anything(trunk)]
        if one.task is Task.LOCALIZATION:
            import copy

            losses.append(anything(copy.deepcopy(student).eval()(self.images(one), DATASET, one.task)[0]))
        losses.append(anything(teacher.trunk(self.images(one), one.task)))
        self.step(one, *losses)
        teacher.requires_grad_(False).zero_grad(set_to_none=True)

    def images(self, one: Pass) -> Tensor:
        """The batch's of a task, normalised anew, as every update does."""
        return transforms.normalise(self.batches[one.task].images, self.slice.model)

    def forward(self, one: Pass, *, locked: bool) -> tuple[Trunk, Prediction]:
        """The student's, as in training, once the gradients of before are gone."""
        locking.apply(self.trainer.student, one)
        self.trainer.optimizer.zero_grad(set_to_none=True)
        batch: Batch = self.batches[one.task]
        noise = None if batch.boxes is None else self.trainer.student.noise(batch.boxes, DATASET)
        made: tuple[Trunk, Prediction] = self.trainer.student(
            self.images(one), DATASET, one.task, noise=noise, locked=locked
        )
        return made

    def step(self, one: Pass, *losses: Tensor) -> None:
        """Backward, clipping and optimiser."""
        torch.stack([loss for loss in losses if loss.requires_grad]).sum().backward()
        limit = self.slice.pretrain.clip.get(one.task, torch.inf)
        torch.nn.utils.clip_grad_norm_(self.trainer.student.parameters(), limit, foreach=True)
        self.trainer.optimizer.step()


def cheapest(found: Prediction) -> Tensor:
    """A loss that asks a gradient of every output and does little else."""
    match found:
        case Localization(decoded=decoded, proposals=proposals):
            parts = (decoded.logits, decoded.boxes, proposals.logits, proposals.boxes)
            return torch.stack([one.square().mean() for one in parts]).sum()
        case Classification(logits=logits) | Segmentation(logits=logits):
            return logits.square().mean()


def anything(trunk: Trunk) -> Tensor:
    """A loss on what consistency compares."""
    return torch.stack([one.square().mean() for term in trunk.compared for one in term]).sum()


def start() -> Iterator[str]:
    """The row on a job's start: a whole tiny stage, against importing PyTorch and timm."""
    tiny = str(Path(__file__).parents[1] / "tests/presets/tiny.yaml")
    with tempfile.TemporaryDirectory() as name:
        job = [sys.executable, "-m", "fxcore"]
        options = ["--results", name, "--params", tiny]

        def run(*words: str) -> None:
            subprocess.run([*job, *words, *options], check=True, stderr=subprocess.DEVNULL)

        run("phantom", "example_a")
        run("normalize", "example_a")
        (ours,) = timed(3, lambda: run("pretrain", "example_a_localization", "--stage", "cycle_1"))
    (theirs,) = timed(3, lambda: subprocess.run([sys.executable, "-c", START], check=True))
    yield row(
        "a whole tiny stage of 3 updates", START, f"{ours:.2f} s", f"{theirs:.2f} s", f"+{ours - theirs:.2f} s", "+3 s"
    )


def save(bench: Bench) -> str:
    """The row on autosaves."""
    saved = Autosave(bench.folder / "save.safetensors", 0.0, "cycle_1", None)
    begun = time.perf_counter()
    saved.offer(bench.trainer, [], Snapshots(bench.slice))
    seconds = time.perf_counter() - begun
    size = saved.path.stat().st_size / 2**30
    cells = (f"an autosave, {size:.2f} GiB", f"{MINUTES} minutes between two", f"{seconds:.2f} s", f"{60 * MINUTES} s")
    return row(*cells, f"{seconds / (60 * MINUTES):.4f}", "≤ 0.02")


def kinds(bench: Bench) -> Iterator[str]:
    """A row for each kind of pass, then those of the whole cycle, of overhead and of waiting."""
    cycle = {"engine": 0.0, "necessary": 0.0, "published": 0.0, "outside": 0.0}
    waits: list[float] = []
    for one in bench.passes:
        count, updates = CYCLE[one.task, one.mode], one.updates(BATCH * UPDATES, BATCH)
        took = min((bench.engine(one) for _ in range(ROUNDS)), key=lambda took: took.updates)
        waits += took.waits
        necessary, published = timed(ROUNDS, partial(bench.necessary, one), partial(bench.published, one))
        found = {
            "engine": took.updates / updates,
            "necessary": necessary,
            "published": published,
            "outside": sum(took.waits) / max(1, len(took.waits)),
        }
        cycle = {name: cycle[name] + count * seconds for name, seconds in found.items()}
        yield ratio(f"{one.task} {one.mode}", "its necessary work", found["engine"], found["necessary"], "", "s")
    hour = 3600
    whole = (cycle["engine"] + cycle["outside"]) / hour
    yield ratio("a cycle", "its necessary work", whole, cycle["necessary"] / hour, "≤ 1.15", "h")
    yield ratio("a cycle", "the published order of operations", whole, cycle["published"] / hour, "0.55", "h")
    between = cycle["outside"] / hour
    yield ratio("between updates of a cycle", "the cycle", between, whole, "≤ 0.05", "h")
    quick = sum(wait < 1e-3 for wait in waits)
    yield row(
        "updates that wait less than 1 ms",
        "all but a pass's first",
        str(quick),
        str(len(waits)),
        f"{quick / max(1, len(waits)):.2f}",
        "≥ 0.95",
    )


def main() -> None:
    """Measure and write the table."""
    torch.set_num_threads(THREADS - WORKERS)
    with tempfile.TemporaryDirectory() as name:
        sys.stdout.write(heading())
        for line in start():
            sys.stdout.write(line)
        bench = Bench(Path(name))
        for line in kinds(bench):
            sys.stdout.write(line)
            sys.stdout.flush()
        sys.stdout.write(save(bench))


if __name__ == "__main__":
    main()
