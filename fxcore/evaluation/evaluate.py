"""Test metrics of a run from its saved predictions, each with its interval."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fxcore import provenance
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.evaluation.bootstrap import estimate
from fxcore.evaluation.statistics import metrics
from fxcore.files import write_json
from fxcore.passes import Split, Task
from fxcore.seeding import derive
from fxcore.slices.evaluate import EvaluateSlice

log = logging.getLogger(__name__)


def evaluate(slice_: EvaluateSlice, predictions: Path, choice: Path, stores: Mapping[str, Store], output: Path) -> None:
    """Write dataset → task → branch → metric with `value, low, high` (0..1, null where undefined), counts and classes.

    Raises:
        InputError: predictions that do not cover the test images.
    """
    try:
        table = pd.read_parquet(predictions)
        chosen = json.loads(choice.read_text(encoding="utf-8"))["chosen"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{predictions}: not readable predictions ({error}); make them again with: snakemake --cores all --force -- {predictions}"
        ) from error
    table = table[table["split"] == Split.TEST]
    results: dict[str, Any] = {}
    for name, tasks in slice_.visits:
        for task in tasks:
            of_cell = chosen[name][task]
            branches = {branch: stage for branch, stage in of_cell.items() if branch != "choice"}
            cell: dict[str, Any] = {"choice": of_cell["choice"]}
            for branch, stage in branches.items():
                mine = table[(table["dataset"] == name) & (table["task"] == task) & (table["branch"] == branch)]
                cell[branch] = {"stage": stage} | _cell(slice_, name, task, mine, stores[name])
            results.setdefault(name, {})[str(task)] = cell
        log.info("evaluate %s: %s done", slice_.run, name)
    write_json(output, {"provenance": provenance.describe(slice_), "test": results})


def _cell(slice_: EvaluateSlice, name: str, task: Task, predictions: pd.DataFrame, store: Store) -> dict[str, Any]:
    how, heads = slice_.evaluate, slice_.heads[name]
    rows = store.rows(task, Split.TEST)
    if task is not Task.LOCALIZATION and set(predictions["row"]) != set(rows):
        raise InputError(
            f"{slice_.run}: predictions for {name} {task} are of other images than the test split; score the run again"
        )
    patients = store.table["patient"].to_numpy()[rows]
    seed = derive(slice_.seed, "bootstrap", name, task)
    found: dict[str, Any] = {"images": len(rows), "patients": len(np.unique(patients))}
    for metric, statistic in metrics(task, predictions, store, heads, rows, how.iou, how.detections).items():
        ones = np.ones(len(rows))
        classes = {label: _number(one(ones)) for label, one in zip(heads.classes(task), statistic.classes, strict=True)}
        value, low, high = estimate(statistic, patients, how.resamples, how.confidence, seed)
        found[metric] = {
            "value": _number(value),
            "low": _number(low),
            "high": _number(high),
            "classes": classes,
            "undefined": [label for label, one in classes.items() if one is None],
        }
    return found


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
