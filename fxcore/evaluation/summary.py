"""The headline numbers of all runs in two small files, for `dvc metrics show`, `dvc metrics diff` and `dvc plots show`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxcore.files import atomic, read_json, write_json


def summary(
    metrics: Mapping[str, Path],
    choices: Mapping[str, Path],
    few_shot: Path | None,
    heads: Mapping[str, Path],
    output: Path,
    validation: Path,
) -> None:
    """Write run → dataset → task → test metric in percent, and a row a candidate state with its validation metric.

    Args:
        metrics: the metrics file of each run.
        choices: the file of each run that says what validation chose among.
        few_shot: the metrics of trainings on few images, if there are any; written as `few_shot` → run → number of images.
        heads: the metrics of each head and ensemble of the CXR-LT study; written as `cxrlt` → head → set → task, mean AP.
        output: the JSON of test metrics, of the branch that validation chose.
        validation: the CSV of candidates.
    """
    found: dict[str, Any] = {}
    for run, path in metrics.items():
        for dataset, tasks in read_json(path)["test"].items():
            for task, cell in tasks.items():
                value = _percent(cell[cell["choice"]][cell["metric"]]["value"])
                found.setdefault(run, {}).setdefault(dataset, {})[task] = value
    if few_shot is not None:
        found["few_shot"] = {
            run: {samples: _percent(one["value"]) for samples, one in of["samples"].items()}
            for run, of in read_json(few_shot)["runs"].items()
        }
    if heads:
        found["cxrlt"] = {name: _heads(read_json(path)["results"]) for name, path in heads.items()}
    write_json(output, found, seal=False)
    with atomic(validation) as part, part.open("w", encoding="utf-8", newline="") as sink:
        columns = ("run", "cycle", "branch", "dataset", "task", "value")
        writer = csv.DictWriter(sink, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for run, path in choices.items():
            for one in read_json(path)["candidates"]:
                writer.writerow(one | {"run": run, "value": _percent(one["value"])})


def _heads(results: Mapping[str, Any]) -> dict[str, Any]:
    """Mean AP of each set and task, of study averages."""
    return {
        judge: {task: _percent(cells["average"]["map"]["value"]) for task, cells in tasks.items()}
        for judge, tasks in results.items()
    }


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)
