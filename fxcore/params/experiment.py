"""A complete experiment: the only reader of parameter files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from fxcore import yamlfile
from fxcore.complaint import complaint, nearest
from fxcore.errors import InputError
from fxcore.params.blocks import Block, Name, merged
from fxcore.params.cxrlt import CxrLt
from fxcore.params.datasets import Dataset
from fxcore.params.model import Model
from fxcore.params.registry import completed, registry
from fxcore.params.report import Evaluate, Report
from fxcore.params.runs import Cells, FewShot, Run
from fxcore.params.splits import Splits
from fxcore.params.training import Pretrain
from fxcore.passes import Granularity, Task


def _root(name: str) -> str:
    # Between braces Snakemake sees a wildcard, and `</script>` would end a script of its report.
    if not name or name.startswith("-") or set(name) & set("{}<>") or not name.isprintable():
        raise ValueError(
            f"{name!r} is no folder for results; give one without brackets {{}}<>, line breaks and a first hyphen"
        )
    return name


class Params(Block):
    """A complete experiment."""

    results_root: Annotated[str, AfterValidator(_root)] = "results"
    """Everything generated goes below this folder; each preset has its own."""
    seed: int = 42
    """All randomness derives from it and from names."""
    store_size: Annotated[int, Field(ge=32)]
    """Side of the stored square images in pixels; larger than `model.image_size`, so that random crops do not upsample."""
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    """Datasets by key, in the order of the tables; keys of the paper's datasets bring their classes from the registry."""
    splits: Splits = Splits()
    """Which images train, choose and test."""
    model: Model | None = None
    """The network of all runs; needed where there are some."""
    pretrain: Pretrain | None = None
    """How runs train; likewise."""
    runs: dict[Name, Run] = {}
    """Training experiments by name, which start from random weights or from a file's; none for the CXR-LT study alone."""
    release: tuple[Name, ...] = ()
    """Those of `runs` that are given out as one weights file each, `results/weights/<run>.safetensors`, to predict with."""
    finetune: dict[Name, Run] = {}
    """Training experiments that start from the weights of one of `runs`, by name; names differ from those of `runs`."""
    few_shot: FewShot = FewShot()
    """Runs trained again on few images (table 6)."""
    cxrlt: CxrLt | None = None
    """The CXR-LT 2024 study; null leaves it out."""
    left_out: tuple[Name, ...] = ()
    """Not for a file: datasets with `missing: skip` that are not there, as fxcore finds."""
    evaluate: Evaluate = Evaluate()
    """Metrics."""
    report: Report = Report()
    """Tables and figures."""

    @field_validator("datasets", mode="before")
    @classmethod
    def _known(cls, datasets: Any) -> Any:
        if not isinstance(datasets, dict):
            return datasets
        return {key: completed(key, {} if entry is None else entry) for key, entry in datasets.items()}

    def pretraining(self, run: str) -> Pretrain:
        """`pretrain` with the run's overrides."""
        assert self.pretrain is not None
        return Pretrain.model_validate(merged(self.pretrain.model_dump(), self.trained[run].train.override.pretrain))

    def network(self, run: str) -> Model:
        """`model` with the run's overrides."""
        assert self.model is not None
        return Model.model_validate(merged(self.model.model_dump(), self.trained[run].train.override.model))

    @property
    def trained(self) -> dict[str, Run]:
        """All runs by name: `runs`, then `finetune`."""
        return self.runs | self.finetune

    def place(self, run: str) -> str:
        """Where a run stands in the parameters, for messages."""
        return f"{'finetune' if run in self.finetune else 'runs'}.{run}"

    def title(self, key: str) -> str:
        """A dataset as tables and figures print it."""
        known = registry().get(key)
        return self.report.titles.get(key) or (known.title if known else key)

    @property
    def joint(self) -> str:
        """The run that the tables are about."""
        return next(key for key, run in self.runs.items() if run.role == "joint")

    def against(self, run: str) -> tuple[str, ...]:
        """The runs that tables compare a run with: the joint one with all baselines, an ablation with what it changes, a finetune
        that starts from the joint run with those of the same table that do not, or that train the head alone where it trains all.
        """
        one, trained = self.trained[run], self.trained
        if one.role == "joint":
            return tuple(key for key, other in trained.items() if other.role == "baseline")
        if one.shown_in and one.origin == self.joint:
            return tuple(
                key
                for key, other in trained.items()
                if other.shown_in == one.shown_in
                and (other.origin != self.joint or other.train.tune != one.train.tune == "full")
                and _common(one.train.visits, other.train.visits)
            )
        return () if one.of is None or one.role == "split" else (one.of,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_names()
        if self.cxrlt is not None:
            self._check_cxrlt(self.cxrlt)
        if not self.runs:
            self._check_alone()
            return self
        if self.model is None or self.pretrain is None:
            raise ValueError(f"{'model' if self.model is None else 'pretrain'} is missing; runs need it")
        for key, run in self.trained.items():
            self._check_run(key, run)
        if twice := [key for key in self.finetune if key in self.runs]:
            raise ValueError(f"finetune.{twice[0]}: runs has one of that name; give it another")
        self._check_starts()
        joint = [key for key, run in self.runs.items() if run.role == "joint"]
        if len(joint) != 1:
            raise ValueError(
                f"runs: {', '.join(joint) or 'none'} with role: joint; give it to one run, which the tables are about"
            )
        self._check_few_shot()
        cells = [str(run.train.visits) for run in self.runs.values() if run.role == "baseline"]
        if twice := [
            key for key, run in self.runs.items() if run.role == "baseline" and cells.count(str(run.train.visits)) > 1
        ]:
            raise ValueError(f"runs: {' and '.join(twice)} are baselines of one dataset and task; keep one")
        return self

    def _check_names(self) -> None:
        """What is said of single datasets and runs is said of some that are there."""
        datasets, runs = ("dataset", self.datasets), ("run", self.trained)
        for place, named, (what, known) in (
            ("report.titles", self.report.titles, datasets),
            ("splits.datasets", self.splits.datasets, datasets),
            ("splits.allow_leakage", self.splits.allow_leakage, runs),
        ):
            if unknown := [key for key in named if key not in known]:
                raise ValueError(f"{place}.{unknown[0]}: no such {what}; {nearest(unknown[0], known)}")

    def _check_alone(self) -> None:
        """Without runs there is nothing to go on from them, and something else to do."""
        if self.cxrlt is None:
            raise ValueError("runs are missing; name at least one, or give the block cxrlt")
        for name, of in (("finetune", self.finetune), ("release", self.release), ("few_shot.runs", self.few_shot.runs)):
            if of:
                raise ValueError(f"{name} goes on from runs, and there are none; give runs, or take it out")

    def _check_cxrlt(self, study: CxrLt) -> None:
        for key in study.datasets:
            if key not in self.datasets:
                raise ValueError(f"cxrlt: no dataset {key}; {nearest(key, self.datasets)}")
        labelled = {study.labels, study.gold, *(key for head in study.heads.values() for key in head.labels)}
        for key in study.datasets:
            if key in labelled and not self.datasets[key].classes(Task.CLASSIFICATION):
                raise ValueError(f"cxrlt: {key} has no labels of classification, which heads are trained on")
        known = self.datasets[study.labels].classes(Task.CLASSIFICATION)
        gold = self.datasets[study.gold].classes(Task.CLASSIFICATION) if study.gold else ()
        if stray := next((name for name in gold if name not in known), None):
            raise ValueError(
                f"cxrlt.gold: {study.gold} has the class {stray}, which {study.labels} has not; heads have {len(known)} classes,"
                " those of cxrlt.labels, and every class of cxrlt.gold must be among them"
            )
        for name, backbone in study.backbones.items():
            if (largest := max(one.resolution for one in backbone.stages)) > self.store_size:
                raise ValueError(
                    f"store_size is {self.store_size}, below resolution {largest} of cxrlt.backbones.{name}; stored images must"
                    " not be upsampled"
                )

    def _check_run(self, key: str, run: Run) -> None:
        visits, snapshots = run.train.visits, run.train.snapshots
        place = f"{self.place(key)}.train"
        how, network = self._overridden(key, place)
        if self.store_size < network.image_size:
            raise ValueError(
                f"store_size is {self.store_size}, below model.image_size {network.image_size}; stored images must not be upsampled"
            )
        for name, tasks in visits.items():
            self._check_visit(f"{place}.visits.{name}", name, tasks, network)
        self._check_reference(key, run)
        if run.role == "baseline" and sum(map(len, visits.values())) != 1:
            raise ValueError(f"{self.place(key)}: a baseline has one dataset and one task")
        if stray := _outside(snapshots.cells, visits) if snapshots else None:
            raise ValueError(
                f"{place}.snapshots.cells: the run does not visit {stray}; snapshots are of what it visits"
            )
        self._check_training(place, run, how)

    def _overridden(self, key: str, place: str) -> tuple[Pretrain, Model]:
        try:
            how = self.pretraining(key)
        except ValidationError as error:
            raise ValueError(f"{place}.override.pretrain.{complaint(error, Pretrain)}") from error
        try:
            return how, self.network(key)
        except ValidationError as error:
            raise ValueError(f"{place}.override.model.{complaint(error, Model)}") from error

    def _check_starts(self) -> None:
        if unknown := [key for key in self.release if key not in self.runs]:
            raise ValueError(f"release: {unknown[0]} is none of runs; {nearest(unknown[0], self.runs)}")
        for key, run in self.runs.items():
            if run.origin is not None:
                raise ValueError(f"runs.{key} starts from the weights of {run.origin}; move it to the block finetune")
        for key, run in self.finetune.items():
            if run.origin is None:
                raise ValueError(
                    f"finetune.{key} starts from no run; name one under train.start.run, or move it to runs"
                )
            if run.origin not in self.runs:
                raise ValueError(
                    f"finetune.{key}.train.start.run is {run.origin}, none of runs; {nearest(run.origin, self.runs)}"
                )

    def _check_few_shot(self) -> None:
        for run in self.few_shot.runs:
            if run not in self.trained:
                raise ValueError(f"few_shot.runs: {run} is no run; {nearest(run, self.trained)}")
            if sum(map(len, self.trained[run].train.visits.values())) != 1:
                raise ValueError(f"few_shot.runs: {run} has more than one dataset and task")

    def _check_reference(self, key: str, run: Run) -> None:
        if run.shown_in and run.role != "finetune":
            raise ValueError(f"{self.place(key)}.shown_in: only a run with role: finetune is shown there")
        if run.of is None:
            if run.role == "split":
                raise ValueError(f"{self.place(key)}.of is missing; name the run of the same data divided otherwise")
            return
        if run.role not in ("ablation", "split"):
            raise ValueError(f"{self.place(key)}.of: only a run with role: ablation or split is compared with another")
        other = self.runs.get(run.of)
        if other is None:
            raise ValueError(f"runs.{key}.of is {run.of}; no such run; {nearest(run.of, self.runs)}")
        if run.role == "split":
            return
        if other.role != "ablation" or other.of is not None:
            raise ValueError(f"runs.{key}.of is {run.of}; give a run with role: ablation that is of no other")
        if stray := _outside(run.train.visits, other.train.visits):
            raise ValueError(f"runs.{key}.train.visits: {run.of}, which it is compared with, does not visit {stray}")

    def _check_visit(self, place: str, name: str, tasks: tuple[Task, ...], network: Model) -> None:
        if name not in self.datasets:
            raise ValueError(f"{place}: no such dataset; {nearest(name, self.datasets)}")
        if self.datasets[name].test_only:
            raise ValueError(f"{place}: the dataset is a test set (test_only); no run trains on it")
        has = self.datasets[name].tasks
        if lacking := [task for task in tasks if task not in has]:
            raise ValueError(f"{place}: the dataset has no {lacking[0]}; it has {', '.join(has)}")
        if Task.LOCALIZATION in tasks:
            sizes, tokens = network.localization, network.tokens
            if len(self.datasets[name].classes(Task.LOCALIZATION)) > sizes.labels:
                raise ValueError(
                    f"model.localization.labels is {sizes.labels}, fewer than the localization classes of {name}"
                )
            if sizes.queries > tokens:
                raise ValueError(
                    f"model.localization.queries is {sizes.queries}, more than the {tokens} encoder tokens of"
                    f" model.image_size {network.image_size}; give fewer queries or larger images"
                )

    def _check_training(self, place: str, run: Run, how: Pretrain) -> None:
        train = run.train
        if train.cycles > train.horizon_cycles:
            raise ValueError(
                f"{place}.cycles is {train.cycles}, above horizon_cycles {train.horizon_cycles}; the learning rate would"
                " be zero for the rest; give a longer horizon (which trains the run anew)"
            )
        if how.stage is Granularity.CYCLE and train.cycles % train.stage_cycles:
            raise ValueError(f"{place}.cycles is {train.cycles}; give a multiple of stage_cycles, {train.stage_cycles}")
        if train.snapshots and train.momentum is None:
            raise ValueError(
                f"{place}.snapshots are of the teacher, and momentum is null; give a momentum or no snapshots"
            )
        if train.snapshots and train.snapshots.every > train.horizon_cycles:
            raise ValueError(
                f"{place}.snapshots.every is {train.snapshots.every}, above horizon_cycles {train.horizon_cycles};"
                " none would ever be taken"
            )


def _common(one: Cells, other: Cells) -> bool:
    """Whether two runs train a dataset for the same task."""
    return any(task in other.get(name, ()) for name, tasks in one.items() for task in tasks)


def _outside(cells: Cells, visits: Cells) -> str | None:
    """The first of `cells` that is not among `visits`."""
    strays = (
        f"{name} for {task}" for name, tasks in cells.items() for task in tasks if task not in visits.get(name, ())
    )
    return next(strays, None)


def load(path: Path) -> Params:
    """Read and check a complete parameter file.

    Raises:
        InputError: one line naming file, key, value and what is allowed.
    """
    content = yamlfile.load(path)
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {complaint(error, Params)}") from error
