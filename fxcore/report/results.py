"""What lies below a results root, as tables and figures read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fxcore import paths
from fxcore.errors import InputError
from fxcore.params.report import Run
from fxcore.slices.report import TableSlice
from fxcore.slices.train import run_stages


class Results:
    """Artifacts of one experiment."""

    def __init__(self, root: Path, slice_: TableSlice) -> None:
        self.root, self.slice = root, slice_

    @property
    def joint(self) -> tuple[str, Run]:
        """The run that the tables are about."""
        return next((name, run) for name, run in self.slice.runs.items() if run.role == "joint")

    def baseline(self, dataset: str, task: str) -> str | None:
        """The single-task run of a dataset and task, if there is one."""
        return next(
            (
                name
                for name, run in self.slice.runs.items()
                if run.role == "baseline" and run.visits == {dataset: (task,)}
            ),
            None,
        )

    def manifest(self, key: str) -> dict[str, Any]:
        """A dataset's manifest."""
        return _json(paths.store(self.root, key, self.slice.store_size) / "manifest.json")

    def metrics(self, run: str) -> dict[str, Any]:
        """A run's test metrics: dataset → task → branch."""
        found: dict[str, Any] = _json(paths.metrics(self.root, run))["test"]
        return found

    def images_seen(self, run: str) -> Mapping[tuple[str, str], int]:
        """Training images that a run saw for each dataset and task, repeats counted."""
        how, one = self.slice.pretrain[run], self.slice.runs[run]
        names = [stage.name for stage in run_stages(one.order, how, one.cycles)]
        history = pd.concat(pd.read_csv(paths.history(self.root, run, name)) for name in names)
        seen = history.groupby(["dataset", "task"])["images"].sum()
        return {(str(dataset), str(task)): int(images) for (dataset, task), images in seen.items()}

    def kind(self, keys: Iterable[str]) -> str:
        """What the pictures are, for captions."""
        kinds = {bool(self.manifest(key)["synthetic"]) for key in keys}
        if kinds == {True}:
            return "Phantom data: synthetic pictures, not radiographs."
        return "Real radiographs." if kinds == {False} else "Phantom and real datasets, as marked."


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not readable ({error}); make it again with: snakemake --cores all --force -- {path}"
        ) from error
    return content
