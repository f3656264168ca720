"""What each job may know: the exact part of the parameters that its result depends on.

A rule's `params:` is the canonical JSON of a slice, and the job reads nothing else; so an edit re-runs a job exactly
when it changes something the job uses.
"""

from __future__ import annotations

from typing import Self, TypeVar

from pydantic import ValidationError

from fxcore.errors import InputError
from fxcore.explain import explain
from fxcore.params import Block, Dataset, Evaluate, Labels, Model, Params, Pretrain, Report, Run
from fxcore.passes import Pass, Stage, Task, fraction, passes, stages

Slice = TypeVar("Slice", bound=Block)
Visits = tuple[tuple[str, tuple[Task, ...]], ...]


class Heads(Block):
    """What a run needs to know of a dataset it visits: classes of the tasks in use and label policies."""

    classification: Labels | None
    localization: tuple[str, ...]
    segmentation: tuple[str, ...]
    mirror: bool

    def classes(self, task: Task) -> tuple[str, ...]:
        """Classes of a task's head in order; empty where the run does not train the task."""
        if task is Task.CLASSIFICATION:
            return self.classification.classes if self.classification else ()
        found: tuple[str, ...] = getattr(self, task)
        return found

    @classmethod
    def of(cls, dataset: Dataset, tasks: tuple[Task, ...]) -> Self:
        """The part of `dataset` that training `tasks` depends on."""
        return cls(
            classification=dataset.classification if Task.CLASSIFICATION in tasks else None,
            localization=dataset.classes(Task.LOCALIZATION) if Task.LOCALIZATION in tasks else (),
            segmentation=dataset.classes(Task.SEGMENTATION) if Task.SEGMENTATION in tasks else (),
            mirror=dataset.mirror,
        )


class PhantomSlice(Block):
    """For `phantom`: what is drawn for one dataset."""

    key: str
    seed: int
    dataset: Dataset


class StoreSlice(Block):
    """For `normalize`: one dataset."""

    key: str
    store_size: int
    dataset: Dataset


class TrainSlice(Block):
    """For `pretrain`: everything a run's weights depend on; not `cycles`, so that raising it continues the run."""

    run: str
    store_size: int
    seed: int
    visits: Visits
    heads: dict[str, Heads]
    model: Model
    pretrain: Pretrain
    horizon_cycles: int


class ScoreSlice(Block):
    """For `score`: how predictions are kept and chosen; the network comes with the state."""

    run: str
    store_size: int
    visits: Visits
    heads: dict[str, Heads]
    iou: float
    detections: int


class EvaluateSlice(Block):
    """For `evaluate`: metrics and their intervals."""

    run: str
    store_size: int
    seed: int
    visits: Visits
    heads: dict[str, Heads]
    evaluate: Evaluate


class ReportSlice(Block):
    """For `table` and `figure`: what captions, rows and columns say; `pretrain` of each run."""

    seed: int
    store_size: int
    datasets: dict[str, Dataset]
    runs: dict[str, Run]
    pretrain: dict[str, Pretrain]
    evaluate: Evaluate
    report: Report


def visits(run: Run) -> Visits:
    """A run's datasets in training order, each with its tasks in training order."""
    return tuple((name, tuple(task for task in Task if task in tasks)) for name, tasks in run.visits.items())


def heads(params: Params, run: str) -> dict[str, Heads]:
    """What `run` needs to know of each dataset it visits."""
    return {name: Heads.of(params.datasets[name], tasks) for name, tasks in visits(params.runs[run])}


def _bare(key: str, dataset: Dataset) -> Dataset:
    """A dataset without its title and policies, which its files do not depend on."""
    labels = dataset.classification and Labels(classes=dataset.classification.classes)
    return dataset.model_copy(update={"title": key, "mirror": True, "classification": labels})


def phantom_slice(params: Params, key: str) -> PhantomSlice:
    """The slice of one phantom dataset's native files."""
    return PhantomSlice(key=key, seed=params.seed, dataset=_bare(key, params.datasets[key]))


def store_slice(params: Params, key: str) -> StoreSlice:
    """The slice of one dataset's store."""
    return StoreSlice(key=key, store_size=params.store_size, dataset=_bare(key, params.datasets[key]))


def train_slice(params: Params, run: str) -> TrainSlice:
    """The slice of one run's training; equal for all its stages."""
    return TrainSlice(
        run=run,
        store_size=params.store_size,
        seed=params.seed,
        visits=visits(params.runs[run]),
        heads=heads(params, run),
        model=params.model,
        pretrain=params.pretraining(run),
        horizon_cycles=params.runs[run].horizon_cycles,
    )


def score_slice(params: Params, run: str) -> ScoreSlice:
    """The slice of one run's predictions."""
    return ScoreSlice(
        run=run,
        store_size=params.store_size,
        visits=visits(params.runs[run]),
        heads=heads(params, run),
        iou=params.evaluate.iou,
        detections=params.evaluate.detections,
    )


def evaluate_slice(params: Params, run: str) -> EvaluateSlice:
    """The slice of one run's metrics."""
    return EvaluateSlice(
        run=run,
        store_size=params.store_size,
        seed=params.seed,
        visits=visits(params.runs[run]),
        heads=heads(params, run),
        evaluate=params.evaluate,
    )


def report_slice(params: Params) -> ReportSlice:
    """The slice of all tables and figures."""
    pretrain = {run: params.pretraining(run) for run in params.runs}
    return ReportSlice(
        **params.model_dump(include={"seed", "store_size", "datasets", "runs", "evaluate", "report"}), pretrain=pretrain
    )


def run_passes(order: Visits, how: Pretrain, cycles: int) -> tuple[Pass, ...]:
    """All passes of a run's first `cycles` cycles, in order."""
    datasets = [(name, frozenset(tasks)) for name, tasks in order]
    return passes(datasets, cycles, locked=frozenset(how.lock), lock_fraction=fraction(how.lock_fraction))


def run_stages(order: Visits, how: Pretrain, cycles: int) -> tuple[Stage, ...]:
    """The jobs that train a run's first `cycles` cycles."""
    return stages(run_passes(order, how, cycles), how.stage, how.stage_cycles)


def parse(kind: type[Slice], text: str) -> Slice:
    """A slice from the JSON a rule passes on its command line.

    Raises:
        InputError: the JSON is no such slice.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"--params: {explain(error, kind)}") from error
