"""A run trained again on few of its images, several times; each training predicts the test set (table 6).

All trainings of a run are one job. Each that is done leaves its predictions, and one that was interrupted its autosave, so that a
killed job goes on to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import paths, provenance, sources, tablefile
from fxcore.alone import alone
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.evaluation.score import Scorer, choose
from fxcore.files import write_json
from fxcore.machine import Machine
from fxcore.passes import Split, Task
from fxcore.progress import Progress
from fxcore.seeding import derive
from fxcore.slices.few_shot import FewShotSlice
from fxcore.slices.train import Origin, TrainSlice
from fxcore.training import runtime
from fxcore.training.keep import Kept
from fxcore.training.pretrain import pretrain
from fxcore.training.starting import weights


class FewImages(Store):
    """A store with `samples` training images, those that `seed` puts first; the images of fewer samples are among those of more.

    Which come first depends on their names alone. Validation and test are whole.
    """

    def __init__(self, whole: Store, samples: int, seed: int) -> None:
        super().__init__(whole.folder, whole.listed)
        self.samples, self.seed = samples, seed

    def rows(self, task: Task, split: Split) -> NDArray[np.int64]:
        """Rows of a split whose images are annotated for a task.

        Raises:
            InputError: there are fewer than `samples` for training.
        """
        rows = super().rows(task, split)
        if split is not Split.TRAIN:
            return rows
        if len(rows) < self.samples:
            raise InputError(
                f"few_shot.samples asks for {self.samples} images; {self.folder} has {len(rows)} for training; ask for fewer"
            )
        names = self.table["image"]
        order = sorted(rows.tolist(), key=lambda row: derive(self.seed, str(names.iat[row])))
        return np.sort(np.array(order[: self.samples], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Trial:
    """One of the trainings: on how many images, and which draw of them, from 1."""

    samples: int
    draw: int

    @property
    def name(self) -> str:
        """For files and logs."""
        return f"{self.samples}-{self.draw}"

    def slice(self, of: FewShotSlice) -> TrainSlice:
        """How it is trained: as the run, from another seed, and so often through its images that it has the updates asked for."""
        base = of.train
        own = {"run": f"{base.run}-{self.name}", "seed": derive(base.seed, "few shot", self.draw), "snapshots": None}
        once = sum(one.updates(self.samples, base.pretrain.batch_size) for one in base.passes(1)) // base.repeats
        repeats = -(-of.updates // (once * of.cycles))
        return base.model_copy(update={**own, "repeats": repeats, "horizon_cycles": of.cycles})

    def store(self, whole: Store, seed: int) -> FewImages:
        """The images it has."""
        return FewImages(whole, self.samples, derive(seed, "few shot images", self.draw))


def trials(slice_: FewShotSlice) -> list[Trial]:
    """All trainings, draw by draw."""
    return [Trial(samples, draw + 1) for draw in range(slice_.draws) for samples in slice_.samples]


def few_shot(
    slice_: FewShotSlice,
    store: Store,
    origin: Origin | None,
    machine: Machine,
    gpus: int,
    work: Path,
    output: Path,
) -> None:
    """Write the test predictions of all trainings, with `samples` and `draw` of each, and beside them how they were made.

    Args:
        slice_: of one run.
        store: of its dataset.
        origin: the weights that it starts from, if it does.
        machine: where it is trained.
        gpus: to lease for it.
        work: a folder for what is done until all are.
        output: the parquet file.

    Raises:
        InputError: fewer training images than asked for, or weights that do not fit.
    """
    with alone(work, f"training {slice_.train.run} on few images"):
        begun = None if origin is None else weights(origin)[1]
        own = _own_folder(slice_, store, begun, work)
        progress = Progress(f"few_shot {slice_.train.run}", slice_.draws * len(slice_.samples), "trainings")
        found: list[pd.DataFrame] = []
        for trial in trials(slice_):
            done, folder = own / f"{trial.name}.parquet", own / trial.name
            table = _done(done)
            if table is None:
                table = _train(slice_, trial, store, origin, machine, gpus, folder)
                tablefile.write(done, table)
            shutil.rmtree(folder, ignore_errors=True)
            found.append(table)
            progress.advance(detail=trial.name)
        tablefile.write(output, pd.concat(found, ignore_index=True))
        write_json(output.with_suffix(".json"), provenance.describe(slice_) | {"start": begun})
        shutil.rmtree(work)


def _done(path: Path) -> pd.DataFrame | None:
    """What a training left that is done; None where there is nothing, or nothing whole."""
    try:
        return tablefile.read(path)
    except InputError:
        return None


def _own_folder(slice_: FewShotSlice, store: Store, begun: str | None, work: Path) -> Path:
    """Where what is done stays, named by all that it depends on; what other settings left there is removed."""
    facts = [
        slice_.canonical(),
        store.manifest["files"],
        store.listing,
        begun,
        sources.digest("fxcore.evaluation.few_shot"),
    ]
    own = work / hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    own.mkdir(parents=True, exist_ok=True)
    for other in work.iterdir():
        if other != own:
            shutil.rmtree(other)
    return own


def _train(
    slice_: FewShotSlice,
    trial: Trial,
    whole: Store,
    origin: Origin | None,
    machine: Machine,
    gpus: int,
    folder: Path,
) -> pd.DataFrame:
    how = trial.slice(slice_)
    ((dataset, _),) = how.visits
    stores = {dataset: trial.store(whole, slice_.train.seed)}
    stages = how.stages(slice_.cycles)
    for stage in stages:
        if not paths.stage(folder, stage.name).history.exists():  # written last
            pretrain(how, stage.name, stores, machine, gpus, folder, folder / "autosave", origin)
    kept = [f"{stage.name}.safetensors" for stage in stages if stage.kept(how.keep_every) or stage is stages[-1]]
    with runtime.lease(gpus):
        scorer = Scorer(
            slice_.score.model_copy(update={"run": how.run}),
            Kept(folder, {}, tuple(kept)),
            lambda _: dict(stores),
            runtime.device(machine, gpus),
            machine.workers,
        )
        table = pd.concat(_tested(scorer), ignore_index=True)
    return table.assign(samples=trial.samples, draw=trial.draw)


def _tested(scorer: Scorer) -> Iterator[pd.DataFrame]:
    """Test predictions of what validation chooses, of the branch that did best there."""
    _, chosen = choose(scorer.tried())
    best = max(chosen, key=lambda one: one.rank)
    yield from scorer.test([best])
