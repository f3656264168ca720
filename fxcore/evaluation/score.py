"""Let validation choose among a run's states, and let the chosen predict the test set, once.

For each dataset and task and for student and teacher apart, the state with the best validation metric is chosen; `choice` is
the branch whose state did best. Predictions of the chosen states are the only thing that metrics are computed from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fxcore import provenance
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.evaluation.headline import headline
from fxcore.evaluation.predictions import predict
from fxcore.evaluation.statistics import metrics
from fxcore.files import atomic, write_json
from fxcore.machine import Machine
from fxcore.models.foundation import FoundationX
from fxcore.passes import Split, Task
from fxcore.progress import Progress
from fxcore.slices.evaluate import ScoreSlice
from fxcore.slices.train import TrainSlice
from fxcore.training import runtime
from fxcore.training.loop import build
from fxcore.training.state import load

BRANCHES = ("student", "teacher")


@dataclass(frozen=True, slots=True)
class Candidate:
    """The validation metric of one branch of one state for one dataset and task; NaN where it is undefined."""

    stage: int
    branch: str
    dataset: str
    task: Task
    value: float

    @property
    def rank(self) -> tuple[float, int, str]:
        """Higher is better: by value, of equals the later stage; an undefined value is below all others."""
        return (-math.inf if math.isnan(self.value) else self.value, self.stage, self.branch)


def choose(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The best state of each dataset, task and branch."""
    best: dict[tuple[str, Task, str], Candidate] = {}
    for one in candidates:
        cell = (one.dataset, one.task, one.branch)
        best[cell] = max(best.get(cell, one), one, key=lambda candidate: candidate.rank)
    return list(best.values())


class Scorer:
    """Predicts with the states of one run."""

    def __init__(self, slice_: ScoreSlice, stores: Mapping[str, Store], device: torch.device, workers: int) -> None:
        self.slice, self.stores, self.device, self.workers = slice_, stores, device, workers

    def networks(self, states: Sequence[Path]) -> Iterator[tuple[int, str, FoundationX]]:
        """Stage, branch and network of each state, students before teachers, in evaluation mode.

        Raises:
            InputError: a state of another run.
        """
        progress = Progress(f"score {self.slice.run}", len(states), "states")
        for path in states:
            state = load(path)
            trained = TrainSlice.model_validate(state.provenance["params"])
            if trained.run != self.slice.run:
                raise InputError(f"{path}: a state of run {trained.run}; expected {self.slice.run}")
            for branch in BRANCHES:
                if tensors := state.part(branch):
                    model = build(trained)
                    model.load_state_dict(tensors)
                    yield state.provenance["stage"], branch, model.to(self.device).eval()
            progress.advance()

    def predict(self, model: FoundationX, name: str, task: Task, split: Split) -> pd.DataFrame:
        """Predictions for the annotated images of a split."""
        heads, detections = self.slice.heads[name], self.slice.detections
        return predict(model, self.stores[name], name, task, split, heads, detections, self.workers)

    def validate(self, states: Sequence[Path]) -> Iterator[Candidate]:
        """Every branch of every state on the validation images of every dataset and task."""
        metric, iou = {task: headline(task, self.slice.iou) for task in Task}, self.slice.iou
        for stage, branch, model in self.networks(states):
            for name, tasks in self.slice.visits:
                for task in tasks:
                    store, heads = self.stores[name], self.slice.heads[name]
                    found = self.predict(model, name, task, Split.VAL)
                    rows = store.rows(task, Split.VAL)
                    statistics = metrics(task, found, store, heads, rows, iou, self.slice.detections)
                    yield Candidate(stage, branch, name, task, statistics[metric[task]](np.ones(len(rows))))

    def tables(self, states: Sequence[Path], chosen: Sequence[Candidate]) -> Iterator[pd.DataFrame]:
        """Predictions of the chosen on validation and test."""
        for stage, branch, model in self.networks(states):
            for one in chosen:
                if (one.stage, one.branch) == (stage, branch):
                    for split in (Split.VAL, Split.TEST):
                        found = self.predict(model, one.dataset, one.task, split)
                        yield found.assign(dataset=one.dataset, task=str(one.task), branch=branch, split=str(split))


def score(
    slice_: ScoreSlice,
    states: Sequence[Path],
    stores: Mapping[str, Store],
    machine: Machine,
    gpus: int,
    predictions: Path,
    choice: Path,
) -> None:
    """Choose on validation, predict the test set with the chosen, and write both.

    Raises:
        InputError: a state of another run.
    """
    runtime.prepare(machine)
    with runtime.lease(gpus):
        scorer = Scorer(slice_, stores, runtime.device(machine, gpus), machine.workers)
        candidates = list(scorer.validate(states))
        chosen = choose(candidates)
        table = pd.concat(scorer.tables(states, chosen), ignore_index=True)
    with atomic(predictions) as part:
        table.to_parquet(part, index=False)
    write_json(choice, provenance.describe(slice_) | _choices(slice_.iou, candidates, chosen))


def _choices(iou: float, candidates: Sequence[Candidate], chosen: Sequence[Candidate]) -> dict[str, object]:
    cells: dict[str, dict[str, dict[str, int | str]]] = {}
    for one in sorted(chosen, key=lambda candidate: candidate.rank):
        cell = cells.setdefault(one.dataset, {}).setdefault(str(one.task), {})
        cell |= {one.branch: one.stage, "choice": one.branch}  # the best comes last
    rows = [asdict(one) | {"value": None if math.isnan(one.value) else one.value} for one in candidates]
    return {"metric": {str(task): headline(task, iou) for task in Task}, "candidates": rows, "chosen": cells}
