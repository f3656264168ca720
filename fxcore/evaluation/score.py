"""Let validation choose among a run's states, and let the chosen predict the test set, once.

For each dataset and task and for student and teacher apart, the state with the best validation metric is chosen; `choice` is
the branch whose state did best. Predictions of the chosen states are the only thing that metrics are computed from.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from fxcore.training.state import TrainState, load

log = logging.getLogger(__name__)

BRANCHES = ("student", "teacher")
Cell = tuple[str, Task]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One branch of one state on the validation images of one dataset and task."""

    stage: int
    branch: str
    dataset: str
    task: Task
    value: float
    predictions: pd.DataFrame


def networks(state: TrainState, device: torch.device) -> Iterator[tuple[str, FoundationX]]:
    """Student and, where there is one, teacher of a state, in evaluation mode."""
    slice_ = TrainSlice.model_validate(state.provenance["params"])
    for branch in BRANCHES:
        if tensors := state.part(branch):
            model = build(slice_)
            model.load_state_dict(tensors)
            yield branch, model.to(device).eval()


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The highest value; of equals the latest state, and where the metric is undefined the latest of all."""
    return max(candidates, key=lambda one: (-math.inf if math.isnan(one.value) else one.value, one.stage, one.branch))


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
        InputError: a state of another run or of other datasets.
    """
    runtime.prepare(machine)
    with runtime.lease(gpus):
        device = runtime.device(machine, gpus)
        candidates = list(_validate(slice_, states, stores, device))
        branches = [branch for branch in BRANCHES if any(one.branch == branch for one in candidates)]
        cells = [(name, task) for name, tasks in slice_.visits for task in tasks]
        chosen = {
            (cell, branch): best(
                [one for one in candidates if (one.dataset, one.task) == cell and one.branch == branch]
            )
            for cell in cells
            for branch in branches
        }
        tables = [_labelled(one, Split.VAL, one.predictions) for one in chosen.values()]
        tables += list(_test(slice_, states, stores, device, list(chosen.values())))
    with atomic(predictions) as part:
        pd.concat(tables, ignore_index=True).to_parquet(part, index=False)
    write_json(choice, provenance.describe(slice_) | _choices(slice_, candidates, chosen))


def _validate(
    slice_: ScoreSlice, states: Sequence[Path], stores: Mapping[str, Store], device: torch.device
) -> Iterator[Candidate]:
    progress = Progress(f"score {slice_.run}: validation", len(states), "states")
    for path in states:
        state = _state(slice_, path)
        for branch, model in networks(state, device):
            for name, tasks in slice_.visits:
                for task in tasks:
                    store, heads = stores[name], slice_.heads[name]
                    found = predict(model, store, name, task, Split.VAL, heads, slice_.detections)
                    rows = store.rows(task, Split.VAL)
                    statistic = metrics(task, found, store, heads, rows, slice_.iou, slice_.detections)[
                        headline(task, slice_.iou)
                    ]
                    yield Candidate(
                        int(state.provenance["stage"]), branch, name, task, statistic(np.ones(len(rows))), found
                    )
        progress.advance()


def _test(
    slice_: ScoreSlice,
    states: Sequence[Path],
    stores: Mapping[str, Store],
    device: torch.device,
    chosen: Sequence[Candidate],
) -> Iterator[pd.DataFrame]:
    for path in states:
        state = _state(slice_, path)
        for branch, model in networks(state, device):
            for one in chosen:
                if (one.stage, one.branch) == (state.provenance["stage"], branch):
                    found = predict(
                        model,
                        stores[one.dataset],
                        one.dataset,
                        one.task,
                        Split.TEST,
                        slice_.heads[one.dataset],
                        slice_.detections,
                    )
                    yield _labelled(one, Split.TEST, found)


def _state(slice_: ScoreSlice, path: Path) -> TrainState:
    state = load(path)
    if state.provenance["params"]["run"] != slice_.run:
        raise InputError(f"{path}: a state of run {state.provenance['params']['run']}; expected {slice_.run}")
    return state


def _labelled(one: Candidate, split: Split, found: pd.DataFrame) -> pd.DataFrame:
    return found.assign(dataset=one.dataset, task=str(one.task), branch=one.branch, split=str(split))


def _choices(
    slice_: ScoreSlice, candidates: Sequence[Candidate], chosen: Mapping[tuple[Cell, str], Candidate]
) -> dict[str, object]:
    of_cell: dict[str, dict[str, dict[str, object]]] = {}
    for name, task in dict.fromkeys(cell for cell, _ in chosen):
        mine = {branch: one for (cell, branch), one in chosen.items() if cell == (name, task)}
        of_cell.setdefault(name, {})[str(task)] = {"choice": best(list(mine.values())).branch} | {
            branch: one.stage for branch, one in mine.items()
        }
    rows = [
        {
            "stage": one.stage,
            "branch": one.branch,
            "dataset": one.dataset,
            "task": str(one.task),
            "value": None if math.isnan(one.value) else one.value,
        }
        for one in candidates
    ]
    return {"metric": {str(task): headline(task, slice_.iou) for task in Task}, "candidates": rows, "chosen": of_cell}
