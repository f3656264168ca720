"""From parameters to jobs: runs, stages, targets and phases. The Snakefile and `dvc.yaml` agree on them here; imports no torch.

Methods that take wildcards are Snakemake input and params functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from fxcore import machine, paths
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params.blocks import Block
from fxcore.params.experiment import Params
from fxcore.params.present import load
from fxcore.params.training import Start
from fxcore.passes import Stage
from fxcore.planning import backbones, contents, resources
from fxcore.planning.holdings import Holdings
from fxcore.planning.study import Study, one_of
from fxcore.planning.supply import Supply
from fxcore.planning.work import Sizes
from fxcore.slices.make import train_slice, visits_slice
from fxcore.slices.train import TrainSlice
from fxcore.training.keep import worth_keeping

PHASES = (
    *("retrieve", "data", "split", "visits", "train", "score", "release"),
    *("few_shot", "corpus", "ssl", "head", "evaluate", "report"),
)
"""In the order data flows; each has its file of rules, `workflow/rules/<phase>.smk`."""
SETTINGS = ("params", "phase", "strict", "backbone")
"""What Snakemake's `--config` takes; `backbone` asks for all stages of one."""
Wildcards = Any


@dataclass(frozen=True)
class Plan:
    """What one parameter file asks for, on one machine."""

    params: Params
    machine: Machine
    strict: str = ""
    """`--strict` where a table must have every number that the parameters ask for; the option of the command `table`."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> tuple[Plan, list[str]]:
        """The plan and the targets that Snakemake's `--config params=FILE phase=PHASE strict=true backbone=NAME` asks for.

        Raises:
            InputError: one line naming what is wrong and what to do.
        """
        if unknown := [key for key in config if key not in SETTINGS]:
            raise InputError(f"--config {unknown[0]}=…: no such setting; known: {', '.join(SETTINGS)}")
        # Snakemake makes a truth value of True and leaves true as it is.
        if (strict := str(config.get("strict", False)).lower()) not in ("true", "false"):
            raise InputError(f"--config strict={strict}: give true or false")
        plan = replace(cls.load(config.get("params", "params.yaml")), strict="--strict" if strict == "true" else "")
        if backbone := config.get("backbone"):
            return plan, plan.study.stages_of(backbone)
        return plan, plan.targets(config.get("phase"))

    @classmethod
    def load(cls, file: str = "params.yaml") -> Plan:
        """Read and check the parameters, the machine's facts, and that networks and native data are there where something needs them.

        Raises:
            InputError: one line naming file, key or folder, and what to do.
        """
        here = machine.load()
        plan = cls(load(Path(file), here), here)
        plan.supply.check()
        plan.study.check()
        backbones.check(plan.params)
        for run, one in plan.params.runs.items():
            start = one.train.start
            if not isinstance(start, Start) or (paths.kept(plan.results, run) / paths.MANIFEST).exists():
                continue
            if not Path(start.file).is_file():
                raise InputError(
                    f"runs.{run}.train.start: no file {start.file}; make it with fxcore import-weights, or copy it from the"
                    " results/weights of a finished experiment"
                )
        return plan

    @property
    def results(self) -> Path:
        """The results root."""
        return Path(self.params.results_root)

    @cached_property
    def supply(self) -> Supply:
        """Where native files come from."""
        return Supply(self.params, self.machine)

    @cached_property
    def data(self) -> Holdings:
        """The jobs of stores and splits."""
        return Holdings(self.params)

    @cached_property
    def study(self) -> Study:
        """The jobs of the CXR-LT study."""
        return Study(self.params, self.machine)

    @property
    def constraints(self) -> dict[str, str]:
        """Of wildcards: what they may be."""
        runs = {"dataset": one_of(self.params.datasets), "run": one_of(self.params.trained)}
        return {**runs, "stage": r"cycle_\d+(-\d\d)?", **self.study.constraints}

    # Runs and stages

    @cached_property
    def _slices(self) -> dict[str, TrainSlice]:
        return {run: train_slice(self.params, run) for run in self.params.trained}

    @cached_property
    def _stages(self) -> dict[str, tuple[Stage, ...]]:
        return {run: self._slices[run].stages(one.train.cycles) for run, one in self.params.trained.items()}

    def stages(self, run: str) -> tuple[Stage, ...]:
        """The jobs that train a run."""
        return self._stages[run]

    @property
    def tables(self) -> list[str]:
        """The tables that the experiment has something for."""
        return contents.tables(self.params)

    @property
    def figures(self) -> list[str]:
        """The figures that the experiment has something for."""
        return contents.figures(self.params)

    # Targets

    def targets(self, phase: str | None = None) -> list[str]:
        """Files that a phase ends in; without a phase, everything a reader looks at."""
        runs, few = self.params.trained, self.params.few_shot.runs
        metrics = [paths.summary(self.results), *(paths.metrics(self.results, run) for run in runs)]
        metrics += [*([paths.few_shot_metrics(self.results)] if few else []), *self.study.metrics]
        metrics += [paths.leakage(self.results, what) for what in ("lists", "runs")]
        weights = [paths.weights(self.results, run) for run in self.params.release]
        report = [paths.table(self.results, name, kind) for name in self.tables for kind in paths.TABLE_KINDS]
        report += [paths.figure(self.results, name, kind) for name in self.figures for kind in paths.FIGURE_KINDS]
        report += [paths.index(self.results)]
        stores = list(map(Path, self.data.manifests))
        found: dict[str | None, list[Path]] = {
            None: [*stores, *metrics, *weights, *report],
            "retrieve": self.supply.records,
            "data": stores,
            "split": list(map(Path, self.data.lists)),
            "visits": [paths.visits(self.results, run) for run in runs],
            "train": [paths.kept(self.results, run) / paths.MANIFEST for run in runs],
            "score": [paths.predictions(self.results, run) for run in runs],
            "release": weights,
            "few_shot": [paths.few_shot(self.results, run) for run in few],
            "corpus": self.study.corpus,
            "ssl": self.study.backbones,
            "head": self.study.heads,
            "evaluate": metrics,
            "report": report,
        }
        if phase not in found:
            raise InputError(f"phase={phase}: no such phase; known: {', '.join(PHASES)}")
        return list(map(str, found[phase]))

    # Inputs

    def stores_of_run(self, wildcards: Wildcards) -> list[str]:
        """For `visits`: the stores and splits of what a run trains on, and of what those trained on that it starts from."""
        of = visits_slice(self.params, wildcards.run)
        return paths.split_stores(self.results, of.datasets, of.store_size)

    def previous_state(self, wildcards: Wildcards) -> list[str]:
        """For `pretrain`: the state a stage continues, weights and optimiser; the first, what the run starts from."""
        names = [stage.name for stage in self.stages(wildcards.run)]
        if wildcards.stage not in names:
            raise InputError(f"runs.{wildcards.run} has no stage {wildcards.stage}; it has {', '.join(names)}")
        at = names.index(wildcards.stage)
        if at == 0:
            return self.start_of_run(wildcards)
        files = paths.stage(paths.checkpoints(self.results, wildcards.run), names[at - 1])
        return [str(files.weights), str(files.optimizer)]

    def start_of_run(self, wildcards: Wildcards) -> list[str]:
        """For `few_shot`, and the first stage of `pretrain`: the weights that a run starts from."""
        origin = self._slices[wildcards.run].origin(self.results)
        return [] if origin is None else list(map(str, origin.files))

    def few_shot_metrics(self, _: Wildcards) -> list[str]:
        """For `summary`: the metrics of trainings on few images, if there are any."""
        return [str(paths.few_shot_metrics(self.results))] if self.params.few_shot.runs else []

    def few_shot_of_runs(self, _: Wildcards) -> list[str]:
        """For `evaluate_few_shot`: predictions of all trainings on few images."""
        return [str(paths.few_shot(self.results, run)) for run in self.params.few_shot.runs]

    def worth_keeping(self, wildcards: Wildcards) -> list[str]:
        """For `keep`."""
        run = wildcards.run
        every = self.params.trained[run].train.keep_every
        return list(map(str, worth_keeping(self.stages(run), every, paths.checkpoints(self.results, run))))

    def metrics_of_runs(self, _: Wildcards) -> list[str]:
        """For `summary`: the metrics of every run."""
        return [str(paths.metrics(self.results, run)) for run in self.params.trained]

    def compared(self, wildcards: Wildcards) -> list[str]:
        """For `evaluate`: predictions of a run, of those it is compared with, and what validation chose for each."""
        runs = (wildcards.run, *self.params.against(wildcards.run))
        return [str(at(self.results, run)) for run in runs for at in (paths.predictions, paths.choice)]

    def choices_of_runs(self, _: Wildcards) -> list[str]:
        """For `summary`: what validation chose for every run."""
        return [str(paths.choice(self.results, run)) for run in self.params.trained]

    def table_inputs(self, wildcards: Wildcards) -> list[str]:
        """What a table is made from."""
        return [*self.data.facts, *map(str, contents.table_reads(self.params, wildcards.table))]

    def figure_inputs(self, wildcards: Wildcards) -> list[str]:
        """What a figure is made from."""
        return [*self.data.facts, *map(str, contents.figure_reads(self.params, wildcards.figure))]

    def report_sources(self, wildcards: Wildcards) -> tuple[str, ...]:
        """For `table` and `figure`: our source files."""
        return contents.sources_of(dict(wildcards))

    def index_inputs(self, _: Wildcards) -> list[str]:
        """For `index`: the tables and figures it shows."""
        tables = [paths.table(self.results, name, "md") for name in self.tables]
        figures = [paths.figure(self.results, name, kind) for name in self.figures for kind in ("png", "md")]
        return list(map(str, [*tables, *figures]))

    @property
    def captions(self) -> dict[str, str]:
        """The captions of the figures that are made, by name; for Snakemake's report."""
        written = {name: paths.figure(self.results, name, "md") for name in self.figures}
        return {name: path.read_text(encoding="utf-8") for name, path in written.items() if path.exists()}

    # What jobs know

    def root(self, _: Wildcards) -> str:
        """The results root, for the command line of every job."""
        return str(self.results)

    def sliced(self, make: Callable[..., Block], *names: str) -> Callable[[Wildcards], str]:
        """For the `params` of a rule: what `make` takes of the parameters for the wildcards of some names, as JSON for the command."""
        made = cache(lambda *of: make(self.params, *of).canonical())
        return lambda wildcards: made(*(getattr(wildcards, name) for name in names))

    # Resources

    def priority(self, wildcards: Wildcards) -> int:
        """For jobs of a dataset or a run: the joint run is the longest chain, so it and what it needs go before the rest."""
        if not self.params.runs:
            return 0
        joint = self.params.joint
        run = getattr(wildcards, "run", joint)
        needed = getattr(wildcards, "dataset", None) in (None, *self.params.trained[joint].train.visits)
        return int(run == joint and needed)

    def gpus_of_run(self, wildcards: Wildcards) -> int:
        """For `pretrain`."""
        return self.params.trained[wildcards.run].gpus

    def gpus_to_score(self, wildcards: Wildcards) -> int:
        """For `score`, which uses one at most."""
        return min(1, self.params.trained[wildcards.run].gpus)

    def memory(self, _: Wildcards, threads: int, attempt: int) -> int:
        """Of a job that holds networks or decodes images, in MB; a cluster's jobs ask for it, local runs ignore it."""
        return resources.memory(threads, attempt)

    def minutes_to_train(self, wildcards: Wildcards, attempt: int) -> int:
        """For `pretrain`."""
        stage = next((one for one in self.stages(wildcards.run) if one.name == wildcards.stage), None)
        work = None if stage is None else Sizes(self.params).work(wildcards.run, stage.passes)
        return resources.minutes(None if work is None else work.images, self.machine.images_per_second, attempt)

    def minutes_of_few_shot(self, wildcards: Wildcards, attempt: int) -> int:
        """For `few_shot`: its trainings, and for each the test images."""
        few, run = self.params.few_shot, wildcards.run
        scored = Sizes(self.params).scored(run)
        trained = few.updates * self.params.pretraining(run).batch_size
        images = None if scored is None else len(few.samples) * few.draws * (trained + scored)
        return resources.minutes(images, self.machine.images_per_second, attempt)

    def minutes_to_score(self, wildcards: Wildcards, attempt: int) -> int:
        """For `score`."""
        images = Sizes(self.params).scored(wildcards.run)
        return resources.minutes(images, self.machine.images_per_second, attempt)
