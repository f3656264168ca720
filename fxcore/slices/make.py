"""From the parameters of an experiment to the slice of each job, and back from a job's command line."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from fxcore.complaint import complaint
from fxcore.errors import InputError
from fxcore.params.blocks import Block
from fxcore.params.cxrlt import CxrLt
from fxcore.params.experiment import Params
from fxcore.params.families import families, rule
from fxcore.params.registry import known, registry, routes
from fxcore.params.runs import in_order
from fxcore.slices.cxrlt import CorpusSlice, EvaluateHeadSlice, HeadSlice, SslSlice
from fxcore.slices.cxrlt_report import BackboneRow, CxrltReportSlice, EnsembleRow, HeadRow, StageRow, flat
from fxcore.slices.data import (
    LeakageSlice,
    PhantomSlice,
    RetrieveSlice,
    RunLists,
    SplitRule,
    SplitSlice,
    StoreSlice,
    VisitsSlice,
)
from fxcore.slices.evaluate import EvaluateSlice, ReleaseSlice, ScoreSlice
from fxcore.slices.few_shot import FewShotMetricsSlice, FewShotSlice
from fxcore.slices.report import FigureSlice, TableSlice
from fxcore.slices.train import KeepSlice, SnapshotsSlice, TrainSlice

Slice = TypeVar("Slice", bound=Block)


def retrieve_slice(params: Params, key: str) -> RetrieveSlice:
    """The slice of the retrieval of one dataset, of the parameters or known, whatever its source is there.

    Raises:
        InputError: no such dataset, or nobody knows how to get it.
    """
    dataset = params.datasets.get(key) or known(key)
    route = dataset.retrieve or routes().get(dataset.adapter)
    if route is None:
        raise InputError(f"datasets.{key}: no route to its files is known; give one under datasets.{key}.retrieve")
    fetched = dataset.model_copy(update={"source": "retrieve", "phantom": None, "retrieve": None})
    return RetrieveSlice(key=key, dataset=fetched, route=route)


def phantom_slice(params: Params, key: str) -> PhantomSlice:
    """The slice of one phantom dataset's native files."""
    return PhantomSlice(key=key, dataset=params.datasets[key])


def store_slice(params: Params, key: str) -> StoreSlice:
    """The slice of one dataset's store, which depends on its files and not on how they are got."""
    dataset = params.datasets[key].model_copy(update={"retrieve": None})
    return StoreSlice(key=key, store_size=params.store_size, dataset=dataset)


def split_slice(params: Params, family: str) -> SplitSlice:
    """The slice of the splits of one family of datasets."""
    return SplitSlice(
        family=family,
        store_size=params.store_size,
        seed=params.splits.seed,
        near=params.splits.near,
        datasets={key: SplitRule(**rule(params, key)) for key in families(params)[family]},
    )


def leakage_slice(params: Params) -> LeakageSlice:
    """The slice of what all lists share."""
    return LeakageSlice(
        store_size=params.store_size,
        seed=params.splits.seed,
        near=params.splits.near,
        families=families(params, together=True),
        holdouts={key: rule(params, key)["holdout"] for key in params.datasets},
        runs={
            run: RunLists(
                tested=tuple(one.train.visits),
                trained=visits_slice(params, run).datasets,
                allowed=params.splits.allow_leakage.get(run),
            )
            for run, one in params.trained.items()
        },
    )


def visits_slice(params: Params, run: str) -> VisitsSlice:
    """The slice of the list of one run's stores."""
    origin = params.trained[run].origin
    return VisitsSlice(
        run=run,
        place=params.place(run),
        store_size=params.store_size,
        visits=params.trained[run].order,
        before=() if origin is None else params.trained[origin].order,
        near=params.splits.near,
        allowed=run in params.splits.allow_leakage,
    )


def train_slice(params: Params, run: str) -> TrainSlice:
    """The slice of one run's training; equal for all its stages."""
    train = params.trained[run].train
    taken = train.snapshots
    snapshots = SnapshotsSlice(every=taken.every, cells=in_order(taken.cells)) if taken else None
    return TrainSlice(
        run=run,
        store_size=params.store_size,
        seed=params.seed,
        visits=train.order,
        horizon_cycles=train.horizon_cycles,
        repeats=train.repeats,
        lock=train.lock,
        momentum=train.momentum,
        stage_cycles=train.stage_cycles,
        keep_every=train.keep_every,
        snapshots=snapshots,
        start=train.start,
        tune=train.tune,
        model=params.network(run),
        pretrain=params.pretraining(run),
    )


def keep_slice(params: Params, run: str) -> KeepSlice:
    """The slice of what is kept of one run."""
    return KeepSlice(run=run, cycles=params.trained[run].train.cycles)


def score_slice(params: Params, run: str) -> ScoreSlice:
    """The slice of one run's predictions."""
    how, joint = params.evaluate, params.trained[run].role == "joint"
    return ScoreSlice(
        run=run,
        store_size=params.store_size,
        every=how.every,
        untrained=joint,
        iou=how.iou,
        detections=how.detections,
    )


def few_shot_slice(params: Params, run: str) -> FewShotSlice:
    """The slice of one run's trainings on few images."""
    few = params.few_shot
    return FewShotSlice(
        train=train_slice(params, run),
        cycles=params.trained[run].train.cycles,
        samples=few.samples,
        draws=few.draws,
        updates=few.updates,
        score=score_slice(params, run),
    )


def few_shot_metrics_slice(params: Params) -> FewShotMetricsSlice:
    """The slice of the metrics of all trainings on few images."""
    how = params.evaluate
    return FewShotMetricsSlice(
        runs=params.few_shot.runs, store_size=params.store_size, resamples=how.resamples, confidence=how.confidence
    )


def evaluate_slice(params: Params, run: str) -> EvaluateSlice:
    """The slice of one run's metrics."""
    how = params.evaluate
    return EvaluateSlice(
        run=run,
        against=params.against(run),
        store_size=params.store_size,
        resamples=how.resamples,
        confidence=how.confidence,
    )


def release_slice(params: Params, run: str) -> ReleaseSlice:
    """The slice of one run's weights file."""
    of = params.trained[run]
    titles = {key: params.title(key) for key in of.train.visits}
    licences = {key: registry()[key].licence for key in titles if key in registry()}
    return ReleaseSlice(run=run, store_size=params.store_size, title=of.title, titles=titles, licences=licences)


def table_slice(params: Params) -> TableSlice:
    """The slice of all tables."""
    return TableSlice(
        store_size=params.store_size,
        titles={key: params.title(key) for key in params.datasets},
        runs=params.trained,
        pretrain=params.pretraining(params.joint),
        few_shot=params.few_shot,
        evaluate=params.evaluate,
        allow_leakage=params.splits.allow_leakage,
        left_out=tuple(map(params.title, params.left_out)),
    )


def figure_slice(params: Params) -> FigureSlice:
    """The slice of all figures."""
    return FigureSlice(**dict(table_slice(params)), model=params.network(params.joint), report=params.report)


def _study(params: Params) -> CxrLt:
    """The block `cxrlt`.

    Raises:
        InputError: the parameters have none.
    """
    if params.cxrlt is None:
        raise InputError("the parameters have no block cxrlt; add one, as presets/paper.yaml has it")
    return params.cxrlt


def corpus_slice(params: Params) -> CorpusSlice:
    """The slice of the pictures that pretraining without labels sees."""
    study = _study(params)
    return CorpusSlice(
        store_size=params.store_size,
        labels=study.labels,
        gold=study.gold,
        holdout=study.holdout,
        sources=study.sources,
    )


def ssl_slice(params: Params, backbone: str, resolution: int | str) -> SslSlice:
    """The slice of one stage of a backbone.

    Raises:
        InputError: it has none of that resolution.
    """
    study = _study(params)
    of, side = study.backbones[backbone], int(resolution)
    known = [stage.resolution for stage in of.stages]
    if side not in known:
        raise InputError(f"cxrlt.backbones.{backbone} has no stage {side}; it has {', '.join(map(str, known))}")
    stage = of.stage(side)
    return SslSlice(
        backbone=backbone,
        store_size=params.store_size,
        seed=params.seed,
        vit=of.vit,
        weights=of.weights if stage.start is None else None,
        stage=stage,
        pretrain=study.pretrain,
    )


def head_slice(params: Params, head: str) -> HeadSlice:
    """The slice of one head."""
    study = _study(params)
    return HeadSlice(
        name=head,
        store_size=params.store_size,
        seed=params.seed,
        labels=study.labels,
        gold=study.gold,
        holdout=study.holdout,
        head=study.heads[head],
        fit=study.fit,
    )


def evaluate_head_slice(params: Params, name: str) -> EvaluateHeadSlice:
    """The slice of the metrics of a head or an ensemble."""
    study, how = _study(params), params.evaluate
    ensemble = study.ensembles.get(name)
    return EvaluateHeadSlice(
        name=name,
        store_size=params.store_size,
        labels=study.labels,
        gold=study.gold,
        heads=ensemble.heads if ensemble else (name,),
        ensemble=ensemble is not None,
        frequency=study.frequency,
        resamples=how.resamples,
        confidence=how.confidence,
    )


def report_slice(params: Params) -> CxrltReportSlice:
    """The slice of all tables and figures of the study."""
    study = _study(params)
    settings = flat(study.pretrain.model_dump(mode="json"))
    return CxrltReportSlice(
        store_size=params.store_size,
        titles={key: params.title(key) for key in study.datasets},
        labels=study.labels,
        gold=study.gold,
        heads={
            name: HeadRow(title=study.backbones[head.backbone].title, **head.model_dump())
            for name, head in study.heads.items()
        },
        ensembles={name: EnsembleRow(**of.model_dump()) for name, of in study.ensembles.items()},
        backbones={
            name: BackboneRow(
                title=of.title,
                vit=of.vit.model_dump(),
                stages=tuple(StageRow(**stage.model_dump()) for stage in of.stages),
                settings=settings,
            )
            for name, of in study.backbones.items()
        },
        confidence=params.evaluate.confidence,
        left_out=tuple(map(params.title, params.left_out)),
    )


def parse(kind: type[Slice], text: str) -> Slice:
    """A slice from the JSON a rule passes on its command line.

    Raises:
        InputError: the JSON is no such slice.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"--params: {complaint(error, kind)}") from error
