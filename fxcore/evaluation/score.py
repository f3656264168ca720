"""Let validation choose among the cycles of a run, and let the chosen networks predict the test set, once.

For each dataset and task and for student and teacher apart, the cycle with the best validation metric is chosen; `choice` is
the branch that did best then. Predictions of the chosen networks are the only thing that metrics are computed from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch
from torch import Tensor

from fxcore import provenance, tablefile
from fxcore.data.loaders import watched
from fxcore.data.store import OpenStores
from fxcore.evaluation.bootstrap import observed
from fxcore.evaluation.headline import headline
from fxcore.evaluation.predictions import predict
from fxcore.evaluation.statistics import UNTRAINED, Measured
from fxcore.files import write_json
from fxcore.machine import Machine
from fxcore.models.foundation import FoundationX
from fxcore.params.training import Start
from fxcore.passes import Split, Task
from fxcore.progress import Progress
from fxcore.slices.evaluate import ScoreSlice
from fxcore.slices.train import Origin
from fxcore.training import runtime
from fxcore.training.keep import Kept, facts_of
from fxcore.training.loop import build
from fxcore.training.snapshots import saved
from fxcore.training.starting import start
from fxcore.training.state import TrainState, load

BRANCHES = ("student", "teacher")
Cell = tuple[str, Task, str]
"""A dataset, a task and a branch."""
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Candidate:
    """The validation metric of one branch after some cycles for one dataset and task; NaN where it is undefined."""

    cycle: int
    branch: str
    dataset: str
    task: Task
    value: float

    @property
    def rank(self) -> tuple[float, int, str]:
        """Higher is better: by value, of equals the later cycle; an undefined value is below all others."""
        return (-math.inf if math.isnan(self.value) else self.value, self.cycle, self.branch)

    @property
    def cell(self) -> Cell:
        """What it competes for."""
        return self.dataset, self.task, self.branch


def choose(tried: Iterable[tuple[Candidate, Found]]) -> tuple[list[Candidate], dict[Candidate, Found]]:
    """Every candidate, and the best of each cell with what was found for it; what the others found is dropped on the way."""
    candidates: list[Candidate] = []
    best: dict[Cell, tuple[Candidate, Found]] = {}
    for one, found in tried:
        candidates.append(one)
        if one.cell not in best or one.rank > best[one.cell][0].rank:
            best[one.cell] = (one, found)
    return candidates, dict(best.values())


def candidates_of(kept: Kept, every: int) -> dict[int, Path]:
    """Weights of every `every`-th cycle, and of the last."""
    last = max(kept.weights)
    return {cycle: path for cycle, path in kept.weights.items() if cycle % every == 0 or cycle == last}


class Scorer:
    """Predicts with the networks of one run: those that are kept of it, and the one it started from."""

    def __init__(
        self, slice_: ScoreSlice, kept: Kept, stores: OpenStores, device: torch.device, workers: int = 0
    ) -> None:
        """`stores` opens stores by key; the head of the last weights says what the run trained on."""
        self.slice, self.kept, self.device, self.workers = slice_, kept, device, workers
        last = TrainState.of({}, facts_of(kept.weights[max(kept.weights)]))
        self.trained, self.heads, self.seen = last.slice, last.heads, last.seen
        self.stores = stores(self.heads)

    def network(self, tensors: Mapping[str, Tensor] | None = None) -> FoundationX:
        """The run's network in evaluation mode, with some weights or as it was before training."""
        model = build(self.trained, self.heads)
        if tensors is not None:
            model.load_state_dict(tensors)
        elif isinstance(self.trained.start, Start):
            start(model, self.trained.start, Origin(Path(self.trained.start.file)))
        return model.to(self.device).eval()

    def networks(self, wanted: Mapping[int, Path]) -> Iterator[tuple[int, str, FoundationX]]:
        """Cycle, branch and network of some of the kept weights, students before teachers."""
        progress = Progress(f"score {self.slice.run}", len(wanted), "cycles")
        for cycle, path in wanted.items():
            state = load(path)
            for branch in BRANCHES:
                if tensors := state.part(branch):
                    yield cycle, branch, self.network(tensors)
            progress.advance()

    def predict(self, model: FoundationX, name: str, task: Task, split: Split) -> pd.DataFrame:
        """Predictions for the annotated images of a split."""
        store, detections = self.stores[name], self.slice.detections
        return predict(model, store, name, task, split, self.heads[name], detections, self.workers)

    def validate(self, model: FoundationX, name: str, task: Task) -> tuple[float, pd.DataFrame]:
        """The headline metric of a network on the validation images of a dataset and task, and its predictions."""
        found = self.predict(model, name, task, Split.VAL)
        measured = Measured(task, self.stores[name], self.heads[name], Split.VAL, self.slice)
        return observed(measured.headline(found).statistic, len(measured.rows)), found

    def tried(self) -> Iterator[tuple[Candidate, pd.DataFrame]]:
        """Every candidate with its predictions on validation."""
        for cycle, branch, model in self.networks(candidates_of(self.kept, self.slice.every)):
            for name, tasks in self.trained.visits:
                for task in tasks:
                    value, found = self.validate(model, name, task)
                    yield Candidate(cycle, branch, name, task, value), found

    def follow(self) -> Iterator[dict[str, object]]:
        """The validation metric of every snapshot for every cell that the run takes snapshots of."""
        cells = self.trained.snapshots.cells if self.trained.snapshots else ()
        for after, tensors in saved(self.kept.snapshots, self.trained):
            model = self.network(tensors)
            for name, tasks in cells:
                for task in tasks:
                    yield {
                        "pass": after.index + 1,
                        "cycle": after.cycle + 1,
                        "after": [after.dataset, str(after.task)],
                        "of": [name, str(task)],
                        "value": _number(self.validate(model, name, task)[0]),
                    }

    def untrained(self) -> Iterator[pd.DataFrame]:
        """Test predictions of the network that training started from, the floor under every metric; of the joint run only."""
        if not self.slice.untrained:
            return
        model = self.network()
        for name, tasks in self.trained.visits:
            for task in tasks:
                yield _labelled(self.predict(model, name, task, Split.TEST), (name, task, UNTRAINED), Split.TEST)

    def test(self, chosen: Iterable[Candidate]) -> Iterator[pd.DataFrame]:
        """Test predictions of the chosen."""
        at: dict[tuple[int, str], list[Candidate]] = {}
        for one in chosen:
            at.setdefault((one.cycle, one.branch), []).append(one)
        wanted = {cycle: path for cycle, path in self.kept.weights.items() if cycle in {cycle for cycle, _ in at}}
        for cycle, branch, model in self.networks(wanted):
            for one in at.get((cycle, branch), ()):
                yield _labelled(self.predict(model, one.dataset, one.task, Split.TEST), one.cell, Split.TEST)


def score(
    slice_: ScoreSlice,
    kept: Path,
    stores: OpenStores,
    machine: Machine,
    gpus: int,
    predictions: Path,
    choice: Path,
) -> None:
    """Choose on validation, predict the test set with the chosen, and write both; place the snapshots in time.

    Raises:
        InputError: `kept` holds no weights that can be read.
    """
    runtime.prepare(machine)
    with watched(), runtime.lease(gpus):
        scorer = Scorer(slice_, Kept.open(kept), stores, runtime.device(machine, gpus), machine.workers)
        candidates, chosen = choose(scorer.tried())
        validation = [_labelled(found, one.cell, Split.VAL) for one, found in chosen.items()]
        table = pd.concat([*validation, *scorer.test(chosen), *scorer.untrained()], ignore_index=True)
        followed = list(scorer.follow())
    tablefile.write(predictions, table)
    facts = {"seen": scorer.seen, "snapshots": followed}
    write_json(choice, provenance.describe(slice_) | _choices(slice_.iou, candidates, chosen) | facts)


def _labelled(found: pd.DataFrame, cell: Cell, split: Split) -> pd.DataFrame:
    name, task, branch = cell
    return found.assign(dataset=name, task=str(task), branch=branch, split=str(split))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _choices(iou: float, candidates: Sequence[Candidate], chosen: Iterable[Candidate]) -> dict[str, object]:
    cells: dict[str, dict[str, dict[str, int | str]]] = {}
    for one in sorted(chosen, key=lambda candidate: candidate.rank):
        cell = cells.setdefault(one.dataset, {}).setdefault(str(one.task), {})
        cell |= {one.branch: one.cycle, "choice": one.branch}  # the best comes last
    rows = [asdict(one) | {"value": _number(one.value)} for one in candidates]
    return {"metric": {str(task): headline(task, iou) for task in Task}, "candidates": rows, "chosen": cells}
