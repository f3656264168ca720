"""From the parameters of an experiment to the slice of each job, and back from a job's command line."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from fxcore.errors import InputError
from fxcore.explain import explain
from fxcore.params.blocks import Block
from fxcore.params.datasets import Dataset, Labels
from fxcore.params.experiment import Params
from fxcore.slices.data import Heads, PhantomSlice, StoreSlice
from fxcore.slices.evaluate import EvaluateSlice, ScoreSlice
from fxcore.slices.report import FigureSlice, TableSlice
from fxcore.slices.train import TrainSlice

Slice = TypeVar("Slice", bound=Block)


def heads(params: Params, run: str) -> dict[str, Heads]:
    """What `run` needs to know of each dataset it visits."""
    return {name: Heads.of(params.datasets[name], tasks) for name, tasks in params.runs[run].order}


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
        visits=params.runs[run].order,
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
        visits=params.runs[run].order,
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
        visits=params.runs[run].order,
        heads=heads(params, run),
        evaluate=params.evaluate,
    )


def table_slice(params: Params) -> TableSlice:
    """The slice of all tables."""
    return TableSlice(
        seed=params.seed,
        store_size=params.store_size,
        datasets=params.datasets,
        runs=params.runs,
        pretrain={run: params.pretraining(run) for run in params.runs},
        evaluate=params.evaluate,
    )


def figure_slice(params: Params) -> FigureSlice:
    """The slice of all figures."""
    return FigureSlice(**dict(table_slice(params)), report=params.report)


def parse(kind: type[Slice], text: str) -> Slice:
    """A slice from the JSON a rule passes on its command line.

    Raises:
        InputError: the JSON is no such slice.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"--params: {explain(error, kind)}") from error
