"""From parameters to jobs: runs, stages, targets and phases. The Snakefile and `dvc.yaml` agree on them here; imports no torch.

Methods that take wildcards are Snakemake input and params functions.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fxcore import machine, paths, sources
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params.experiment import Params, load
from fxcore.passes import Stage
from fxcore.slices.make import (
    evaluate_slice,
    figure_slice,
    phantom_slice,
    score_slice,
    store_slice,
    table_slice,
    train_slice,
)
from fxcore.slices.train import run_stages

PHASES = ("data", "train", "evaluate", "report")
"""In the order data flows; each has its file of rules, `workflow/rules/<phase>.smk`."""
TABLES = ("table1_datasets", "table2_schedule", "table3_pretraining")
FIGURES = ("panels_classification", "panels_localization", "panels_segmentation")
Wildcards = Any


@dataclass(frozen=True)
class Plan:
    """What one parameter file asks for, on one machine."""

    params: Params
    machine: Machine

    @classmethod
    def of(cls, config: Mapping[str, str]) -> tuple[Plan, list[str]]:
        """The plan and the targets that Snakemake's `--config params=FILE phase=PHASE` asks for.

        Raises:
            InputError: one line naming what is wrong and what to do.
        """
        if unknown := [key for key in config if key not in ("params", "phase")]:
            raise InputError(f"--config {unknown[0]}=…: no such setting; known: params, phase")
        plan = cls.load(config.get("params", "params.yaml"))
        return plan, plan.targets(config.get("phase"))

    @classmethod
    def load(cls, file: str = "params.yaml") -> Plan:
        """Read and check the parameters, the machine's facts, and that native data are there where a store still needs them.

        Raises:
            InputError: one line naming file, key or folder, and what to do.
        """
        plan = cls(load(Path(file)), machine.load())
        for key, dataset in plan.params.datasets.items():
            if dataset.source == "native" and not (plan._store(key) / "manifest.json").exists():
                for path in plan.native(key):
                    if not Path(path).is_file():
                        raise InputError(
                            f"datasets.{key}: no file {path}; put it there, correct the file names or the folder of datasets.{key},"
                            " or say where native data lie with FXCORE_NATIVE or local.yaml"
                        )
        return plan

    @property
    def results(self) -> Path:
        """The results root."""
        return Path(self.params.results_root)

    def _store(self, key: str) -> Path:
        return paths.store(self.results, key, self.params.store_size)

    # Runs and stages

    def stages(self, run: str) -> tuple[Stage, ...]:
        """The jobs that train a run."""
        one = self.params.runs[run]
        return run_stages(one.order, self.params.pretraining(run), one.cycles)

    def kept(self, run: str) -> tuple[Stage, ...]:
        """The stages whose states validation may choose."""
        every = self.params.runs[run].keep_every
        all_ = self.stages(run)
        return tuple(stage for stage in all_ if stage.number % every == 0 or stage is all_[-1])

    # Targets

    def targets(self, phase: str | None = None) -> list[str]:
        """Files that a phase ends in; without a phase, everything a reader looks at."""
        metrics = [paths.metrics(self.results, run) for run in self.params.runs]
        report = [paths.table(self.results, name, kind) for name in TABLES for kind in ("csv", "md", "tex")]
        report += [paths.figure(self.results, name, kind) for name in FIGURES for kind in ("png", "pdf")]
        found: dict[str | None, list[Path]] = {
            None: [*metrics, *report],
            "data": [self._store(key) / "manifest.json" for key in self.params.datasets],
            "train": [paths.state(self.results, run, self.stages(run)[-1].name) for run in self.params.runs],
            "evaluate": metrics,
            "report": report,
        }
        if phase not in found:
            raise InputError(f"phase={phase}: no such phase; known: {', '.join(PHASES)}")
        return list(map(str, found[phase]))

    def first(self) -> frozenset[str]:
        """Files whose jobs, and all they depend on, go before others: the joint run's metrics."""
        return frozenset({str(paths.metrics(self.results, self.params.joint))})

    # Inputs

    def native(self, key: str) -> list[str]:
        """Files of a dataset that its store is made from: annotation files, or the folder of a phantom."""
        dataset = self.params.datasets[key]
        if dataset.source == "phantom":
            return [str(paths.phantom(self.results, key))]
        folder = self.machine.folder(key, dataset.folder)
        adapter = importlib.import_module(f"fxcore.data.adapters.{dataset.adapter}")
        return [str(folder / name) for name in adapter.index_files(dataset)]

    def native_of_dataset(self, wildcards: Wildcards) -> list[str]:
        """For `normalize`: the native files."""
        return self.native(wildcards.dataset)

    def normalize_sources(self, wildcards: Wildcards) -> list[str]:
        """For `normalize`: our source files, those of the dataset's adapter and no other among them."""
        adapter = self.params.datasets[wildcards.dataset].adapter
        return sorted({*sources.closure("fxcore.data.normalize"), *sources.closure(f"fxcore.data.adapters.{adapter}")})

    def stores_of_run(self, wildcards: Wildcards) -> list[str]:
        """Manifests of the stores a run visits; a manifest is written last and vouches for the other files."""
        return [str(self._store(key) / "manifest.json") for key in self.params.runs[wildcards.run].visits]

    def previous_state(self, wildcards: Wildcards) -> list[str]:
        """The state a stage continues; the first continues none."""
        before = int(wildcards.stage) - 1
        return [str(paths.state(self.results, wildcards.run, f"{before:04d}"))] if before else []

    def kept_states(self, wildcards: Wildcards) -> list[str]:
        """For `score`: the states to choose among."""
        return [str(paths.state(self.results, wildcards.run, stage.name)) for stage in self.kept(wildcards.run)]

    def table_inputs(self, wildcards: Wildcards) -> list[str]:
        """What a table is made from."""
        if wildcards.table == "table3_pretraining":
            histories = [
                paths.history(self.results, run, stage.name) for run in self.params.runs for stage in self.stages(run)
            ]
            return [*self.targets("data"), *self.targets("evaluate"), *map(str, histories)]
        return self.targets("data")

    def figure_inputs(self, _: Wildcards) -> list[str]:
        """What a figure is made from."""
        joint = self.params.joint
        return [
            *self.targets("data"),
            str(paths.metrics(self.results, joint)),
            str(paths.predictions(self.results, joint)),
        ]

    # Slices

    def root(self, _: Wildcards) -> str:
        """The results root, for the command line of every job."""
        return str(self.results)

    def phantom_slice(self, wildcards: Wildcards) -> str:
        """For `phantom`."""
        return phantom_slice(self.params, wildcards.dataset).canonical()

    def store_slice(self, wildcards: Wildcards) -> str:
        """For `normalize`."""
        return store_slice(self.params, wildcards.dataset).canonical()

    def train_slice(self, wildcards: Wildcards) -> str:
        """For `pretrain`."""
        return train_slice(self.params, wildcards.run).canonical()

    def score_slice(self, wildcards: Wildcards) -> str:
        """For `score`."""
        return score_slice(self.params, wildcards.run).canonical()

    def evaluate_slice(self, wildcards: Wildcards) -> str:
        """For `evaluate`."""
        return evaluate_slice(self.params, wildcards.run).canonical()

    def table_slice(self, _: Wildcards) -> str:
        """For `table`."""
        return table_slice(self.params).canonical()

    def figure_slice(self, _: Wildcards) -> str:
        """For `figure`."""
        return figure_slice(self.params).canonical()

    # Resources

    def gpus_of_run(self, wildcards: Wildcards) -> int:
        """For `pretrain`."""
        return self.params.runs[wildcards.run].gpus

    def gpus_to_score(self, wildcards: Wildcards) -> int:
        """For `score`, which uses one at most."""
        return min(1, self.params.runs[wildcards.run].gpus)
