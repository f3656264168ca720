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
from torch import Tensor

from fxcore import provenance
from fxcore.data.store import OpenStores
from fxcore.errors import InputError
from fxcore.evaluation.headline import headline
from fxcore.evaluation.predictions import predict
from fxcore.evaluation.statistics import UNTRAINED, metrics
from fxcore.files import atomic, write_json
from fxcore.machine import Machine
from fxcore.models.foundation import FoundationX
from fxcore.passes import Split, Task
from fxcore.progress import Progress
from fxcore.slices.evaluate import ScoreSlice
from fxcore.training import runtime
from fxcore.training.loop import build
from fxcore.training.snapshots import saved
from fxcore.training.state import TrainState, load

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
    """Predicts with the networks of one run: those of its states, of its snapshots, and the one it started from."""

    def __init__(
        self, slice_: ScoreSlice, last: Path, stores: OpenStores, device: torch.device, workers: int = 0
    ) -> None:
        """`last` is the run's last state, which says what the run trained on; `stores` opens stores by key."""
        self.slice, self.device, self.workers = slice_, device, workers
        self.state = _load(last, slice_)
        self.trained, self.heads = self.state.slice, self.state.heads
        self.stores = stores(self.heads)

    def network(self, tensors: Mapping[str, Tensor] | None = None) -> FoundationX:
        """The run's network in evaluation mode, with some weights or as it was before training."""
        model = build(self.trained, self.heads)
        if tensors is not None:
            model.load_state_dict(tensors)
        return model.to(self.device).eval()

    def networks(self, states: Sequence[Path]) -> Iterator[tuple[int, str, FoundationX]]:
        """Stage, branch and network of each state, students before teachers.

        Raises:
            InputError: a state that was trained with other parameters than the last one.
        """
        progress = Progress(f"score {self.slice.run}", len(states), "states")
        for path in states:
            state = _load(path, self.slice)
            try:
                state.check(self.trained, self.heads)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            for branch in BRANCHES:
                if tensors := state.part(branch):
                    yield state.provenance["stage"], branch, self.network(tensors)
            progress.advance()

    def predict(self, model: FoundationX, name: str, task: Task, split: Split) -> pd.DataFrame:
        """Predictions for the annotated images of a split."""
        store, detections = self.stores[name], self.slice.detections
        return predict(model, store, name, task, split, self.heads[name], detections, self.workers)

    def value(self, model: FoundationX, name: str, task: Task) -> float:
        """The headline metric of a network on the validation images of a dataset and task."""
        store = self.stores[name]
        found, rows = self.predict(model, name, task, Split.VAL), store.rows(task, Split.VAL)
        statistics = metrics(task, found, store, self.heads[name], rows, self.slice.iou, self.slice.detections)
        return statistics[headline(task, self.slice.iou)](np.ones(len(rows)))

    def validate(self, states: Sequence[Path]) -> Iterator[Candidate]:
        """Every branch of every state on the validation images of every dataset and task."""
        for stage, branch, model in self.networks(states):
            for name, tasks in self.trained.visits:
                for task in tasks:
                    yield Candidate(stage, branch, name, task, self.value(model, name, task))

    def follow(self, snapshots: Sequence[Path]) -> Iterator[dict[str, object]]:
        """The validation metric of every snapshot for every cell that the run takes snapshots of."""
        cells = self.trained.snapshots.cells if self.trained.snapshots else ()
        for after, tensors in saved(snapshots, self.trained):
            model = self.network(tensors)
            for name, tasks in cells:
                for task in tasks:
                    yield {
                        "pass": after.index + 1,
                        "cycle": after.cycle + 1,
                        "after": [after.dataset, str(after.task)],
                        "of": [name, str(task)],
                        "value": _number(self.value(model, name, task)),
                    }

    def untrained(self) -> Iterator[pd.DataFrame]:
        """Test predictions of the network that training started from, the floor under every metric."""
        model = self.network()
        for name, tasks in self.trained.visits:
            for task in tasks:
                found = self.predict(model, name, task, Split.TEST)
                yield found.assign(dataset=name, task=str(task), branch=UNTRAINED, split=str(Split.TEST))

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
    snapshots: Sequence[Path],
    stores: OpenStores,
    machine: Machine,
    gpus: int,
    predictions: Path,
    choice: Path,
) -> None:
    """Choose on validation, predict the test set with the chosen, and write both; place the snapshots in time.

    Raises:
        InputError: a state of another run, or trained with other parameters than the last one.
    """
    runtime.prepare(machine)
    with runtime.lease(gpus):
        scorer = Scorer(slice_, states[-1], stores, runtime.device(machine, gpus), machine.workers)
        candidates = list(scorer.validate(states))
        chosen = choose(candidates)
        table = pd.concat([*scorer.tables(states, chosen), *scorer.untrained()], ignore_index=True)
        followed = list(scorer.follow(snapshots))
    with atomic(predictions) as part:
        table.to_parquet(part, index=False)
    facts = {"seen": scorer.state.seen, "snapshots": followed}
    write_json(choice, provenance.describe(slice_) | _choices(slice_.iou, candidates, chosen) | facts)


def _load(path: Path, slice_: ScoreSlice) -> TrainState:
    state = load(path)
    if state.slice.run != slice_.run:
        raise InputError(f"{path}: a state of run {state.slice.run}; expected {slice_.run}")
    return state


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _choices(iou: float, candidates: Sequence[Candidate], chosen: Sequence[Candidate]) -> dict[str, object]:
    cells: dict[str, dict[str, dict[str, int | str]]] = {}
    for one in sorted(chosen, key=lambda candidate: candidate.rank):
        cell = cells.setdefault(one.dataset, {}).setdefault(str(one.task), {})
        cell |= {one.branch: one.stage, "choice": one.branch}  # the best comes last
    rows = [asdict(one) | {"value": _number(one.value)} for one in candidates]
    return {"metric": {str(task): headline(task, iou) for task in Task}, "candidates": rows, "chosen": cells}
