"""What each sub-command does. Libraries are imported by the one that needs them, so that `fxcore --help` and `fxcore plan` are quick."""

from __future__ import annotations

import json
import logging
import sys
from functools import partial
from pathlib import Path
from typing import Any

from fxcore import machine, paths, study_commands
from fxcore.arguments import Arguments, granted, launched, sliced
from fxcore.errors import InputError
from fxcore.files import snakemake
from fxcore.params import experiment, present
from fxcore.planning.contents import CXRLT_FIGURES, CXRLT_TABLES, FIGURES, TABLES, shows
from fxcore.predict.options import Options
from fxcore.slices import make
from fxcore.slices.data import LeakageSlice, PhantomSlice, RetrieveSlice, SplitSlice, StoreSlice, VisitsSlice
from fxcore.slices.evaluate import EvaluateSlice, ReleaseSlice, ScoreSlice
from fxcore.slices.few_shot import FewShotMetricsSlice, FewShotSlice
from fxcore.slices.report import FigureSlice, TableSlice
from fxcore.slices.train import KeepSlice, TrainSlice


def plan(arguments: Arguments) -> None:
    """Print runs, stages and passes with their work, and what they cost."""
    from fxcore.planning import backbones, outline
    from fxcore.planning.costs import Costs
    from fxcore.planning.work import Sizes

    params = present.load(Path(arguments.params), machine.load())
    backbones.check(params)
    sizes = Sizes(params)
    wanted = arguments.costs or arguments.tflops is not None
    costs = Costs(params, sizes, arguments.tflops) if wanted else None
    sys.stdout.write(outline.describe(params, sizes, arguments.run, costs))


def reference(arguments: Arguments) -> None:
    """Write the generated reference pages."""
    from fxcore import cli
    from fxcore import reference as pages

    pages.write(Path(arguments.out), cli.parser())


def sources(_: Arguments) -> None:
    """List the source files that the stages of `dvc.yaml` depend on; its first stage."""
    from fxcore import versioning

    versioning.write_sources()


def certify(arguments: Arguments) -> None:
    """Tell Snakemake that what DVC has verified or restored is up to date; for the commands of `dvc.yaml`."""
    from fxcore import versioning

    versioning.certify(arguments.phase, arguments.targets)


def record(arguments: Arguments) -> None:
    """Record a complete run with DVC; Snakemake does it after every complete run."""
    from fxcore import versioning

    sys.stderr.write(f"{versioning.record(arguments.params, arguments.targets)}\n")


def sync(_: Arguments) -> None:
    """Bring back the recorded results with DVC and make Snakemake accept them."""
    from fxcore import versioning

    sys.stderr.write(f"{versioning.sync()}\n")


def retrieve(arguments: Arguments) -> None:
    """Fetch a dataset's native files, or say what to ask for, where, and where to put it."""
    from fxcore.data import retrieve as retrieving
    from fxcore.data.native import locate

    slice_ = sliced(arguments, RetrieveSlice, lambda params: make.retrieve_slice(params, arguments.dataset))
    native = locate(arguments.results, machine.load(), slice_.key, slice_.dataset)
    record = paths.retrieved(arguments.results, slice_.key)
    try:
        said = retrieving.retrieve(slice_, native, record, arguments.connections, arguments.force)
    except InputError:
        sys.stdout.write(retrieving.describe(slice_, native))
        raise
    sys.stdout.write(said)


def phantom(arguments: Arguments) -> None:
    """Draw a phantom dataset in its native format."""
    from fxcore.phantom.phantom import write

    slice_ = sliced(arguments, PhantomSlice, lambda params: make.phantom_slice(params, arguments.dataset))
    write(slice_, paths.phantom(arguments.results, slice_.key))


def normalize(arguments: Arguments) -> None:
    """Make a dataset's store from its native files."""
    from fxcore.data.native import locate
    from fxcore.data.normalize import normalize as run

    slice_ = sliced(arguments, StoreSlice, lambda params: make.store_slice(params, arguments.dataset))
    here, key, size = granted(arguments), slice_.key, slice_.store_size
    native = locate(arguments.results, here, key, slice_.dataset)
    store, work = (at(arguments.results, key, size) for at in (paths.store, paths.store_work))
    run(slice_, native, store, work, here.threads)


def check(arguments: Arguments) -> None:
    """Say what lies in the datasets' native folders: counts against a complete copy's, and what is wrong."""
    from fxcore.data import check as checking
    from fxcore.data.native import locate
    from fxcore.params.registry import known

    params = experiment.load(Path(arguments.params))
    datasets = {key: params.datasets.get(key) or known(key) for key in arguments.keys or params.datasets}
    here, results = machine.load(), Path(params.results_root)
    absent = [] if arguments.keys else present.missing(params, here)
    findings = [
        checking.check(key, dataset, locate(results, here, key, dataset), arguments.keep_going, arguments.pictures)
        for key, dataset in datasets.items()
        if key not in absent
    ]
    for key in absent:
        logging.getLogger(__name__).warning("datasets.%s: is not there, and left out (missing: skip)", key)
    as_json = json.dumps({one.key: one.facts() for one in findings}, indent=1, ensure_ascii=False)
    sys.stdout.write(f"{as_json}\n" if arguments.json else checking.describe(findings))
    if bad := [one.key for one in findings if not one.well]:
        raise InputError(f"{len(bad)} of {len(findings)} datasets cannot be used as they are: {', '.join(bad)}")


def split(arguments: Arguments) -> None:
    """Say which images of a family of datasets train, choose and test."""
    from fxcore.data.split import split as run
    from fxcore.data.store import unsplit

    slice_ = sliced(arguments, SplitSlice, lambda params: make.split_slice(params, arguments.family))
    stores = unsplit(arguments.results, slice_.datasets, slice_.store_size)
    run(slice_, stores, partial(paths.split, arguments.results))


def leakage(arguments: Arguments) -> None:
    """Count what any two lists share, under each policy."""
    from fxcore.data.leakage import leakage as run
    from fxcore.data.store import open_stores

    slice_ = sliced(arguments, LeakageSlice, make.leakage_slice)
    stores = open_stores(arguments.results, slice_.holdouts, slice_.store_size)
    run(slice_, stores, *(paths.leakage(arguments.results, what) for what in ("lists", "runs")))


def visits(arguments: Arguments) -> None:
    """List what the stores that a run trains on hold."""
    from fxcore.data.store import open_stores
    from fxcore.data.visits import visits as run

    slice_ = sliced(arguments, VisitsSlice, lambda params: make.visits_slice(params, arguments.run))
    stores = open_stores(arguments.results, slice_.datasets, slice_.store_size)
    run(slice_, stores, paths.visits(arguments.results, slice_.run))


def pretrain(arguments: Arguments) -> None:
    """Train one stage of a run."""
    from fxcore.data.store import open_stores
    from fxcore.training.pretrain import pretrain as run

    slice_ = sliced(arguments, TrainSlice, lambda params: make.train_slice(params, arguments.run))
    stores = open_stores(arguments.results, dict(slice_.visits), slice_.store_size)
    here = granted(arguments)
    if launched(arguments, here):
        return
    folder, work = (at(arguments.results, slice_.run) for at in (paths.checkpoints, paths.work))
    origin = slice_.origin(arguments.results)
    run(slice_, arguments.stage, stores, here, arguments.gpus, folder, work, origin)


def keep(arguments: Arguments) -> None:
    """Keep what matters of a run's checkpoints."""
    from fxcore.training.keep import keep as run

    slice_ = sliced(arguments, KeepSlice, lambda params: make.keep_slice(params, arguments.run))
    run(slice_, *(at(arguments.results, slice_.run) for at in (paths.checkpoints, paths.kept)))


def score(arguments: Arguments) -> None:
    """Choose among a run's cycles on validation and predict the test set."""
    from fxcore.data.store import open_stores
    from fxcore.evaluation.score import score as run

    slice_ = sliced(arguments, ScoreSlice, lambda params: make.score_slice(params, arguments.run))
    stores = partial(open_stores, arguments.results, size=slice_.store_size)
    kept, predictions, choice = (
        at(arguments.results, slice_.run) for at in (paths.kept, paths.predictions, paths.choice)
    )
    run(slice_, kept, stores, granted(arguments), arguments.gpus, predictions, choice)


def few_shot(arguments: Arguments) -> None:
    """Train a run again on few images, and predict the test set each time."""
    from fxcore.data.store import open_stores
    from fxcore.evaluation.few_shot import few_shot as run

    slice_ = sliced(arguments, FewShotSlice, lambda params: make.few_shot_slice(params, arguments.run))
    results, train = arguments.results, slice_.train
    ((dataset, _),) = train.visits
    run(
        slice_,
        open_stores(results, [dataset], train.store_size)[dataset],
        train.origin(results),
        granted(arguments),
        arguments.gpus,
        paths.few_shot_work(results, train.run),
        paths.few_shot(results, train.run),
    )


def evaluate_few_shot(arguments: Arguments) -> None:
    """Compute the test metrics of all trainings on few images."""
    from fxcore.data.store import open_stores
    from fxcore.evaluation.evaluate_few_shot import evaluate_few_shot as run

    slice_ = sliced(arguments, FewShotMetricsSlice, make.few_shot_metrics_slice)
    stores = partial(open_stores, arguments.results, size=slice_.store_size)
    predictions = {name: paths.few_shot(arguments.results, name) for name in slice_.runs}
    run(slice_, predictions, stores, paths.few_shot_metrics(arguments.results))


def evaluate(arguments: Arguments) -> None:
    """Compute a run's test metrics from its predictions."""
    from fxcore.data.store import open_stores
    from fxcore.evaluation.evaluate import Scored
    from fxcore.evaluation.evaluate import evaluate as run

    slice_ = sliced(arguments, EvaluateSlice, lambda params: make.evaluate_slice(params, arguments.run))
    stores = partial(open_stores, arguments.results, size=slice_.store_size)

    def scored(name: str) -> Scored:
        """What was predicted for a run."""
        return Scored.read(*(at(arguments.results, name) for at in (paths.predictions, paths.choice)))

    run(slice_, scored, stores, paths.metrics(arguments.results, slice_.run))


def release(arguments: Arguments) -> None:
    """Write a run's weights as one file with a card."""
    from fxcore.data.store import open_stores
    from fxcore.evaluation.release import release as run

    slice_ = sliced(arguments, ReleaseSlice, lambda params: make.release_slice(params, arguments.run))
    stores = partial(open_stores, arguments.results, size=slice_.store_size)
    kept, choice, output = (at(arguments.results, slice_.run) for at in (paths.kept, paths.choice, paths.weights))
    run(slice_, kept, choice, stores, output)


def summary(arguments: Arguments) -> None:
    """Gather the headline metrics of all runs."""
    from fxcore.evaluation.summary import summary as gather

    metrics, choices = (
        {run: at(arguments.results, run) for run in arguments.runs} for at in (paths.metrics, paths.choice)
    )
    results = arguments.results
    few_shot = paths.few_shot_metrics(results) if arguments.few_shot else None
    heads = {name: paths.head_metrics(results, name) for name in arguments.heads}
    gather(metrics, choices, few_shot, heads, paths.summary(results), paths.validation(results))


def table(arguments: Arguments) -> None:
    """Write one table."""
    from fxcore.report import render

    made = study_commands.made(arguments, arguments.table) if arguments.table in CXRLT_TABLES else _table(arguments)
    if arguments.strict:
        render.complete(made)
    render.write(made, *(paths.table(arguments.results, arguments.table, kind) for kind in paths.TABLE_KINDS))


def figure(arguments: Arguments) -> None:
    """Write one figure."""
    from fxcore.report import figure as figures

    made = study_commands.made(arguments, arguments.figure) if arguments.figure in CXRLT_FIGURES else _figure(arguments)
    figures.write(made, *(paths.figure(arguments.results, arguments.figure, kind) for kind in paths.FIGURE_KINDS))


def _table(arguments: Arguments) -> Any:
    from fxcore.report import table as tables
    from fxcore.report.results import Results, captioned

    slice_ = sliced(arguments, TableSlice, make.table_slice)
    shown = shows(arguments.table, slice_.runs, slice_.few_shot.runs)
    return captioned(
        tables.TABLES[arguments.table](Results(arguments.results, slice_)), slice_.left_out, slice_.leaky(shown)
    )


def _figure(arguments: Arguments) -> Any:
    from fxcore.report import figure as figures
    from fxcore.report.results import FigureResults, captioned

    slice_ = sliced(arguments, FigureSlice, make.figure_slice)
    shown = shows(arguments.figure, slice_.runs, slice_.few_shot.runs)
    drawn = figures.FIGURES[arguments.figure](FigureResults(arguments.results, slice_))
    return captioned(drawn, slice_.left_out, slice_.leaky(shown))


def index(arguments: Arguments) -> None:
    """Write the page that shows every table and figure."""
    from fxcore.report.index import index as write

    write(arguments.results, arguments.tables, arguments.figures)


def explain(arguments: Arguments) -> None:
    """Say what made the numbers of a dataset and task in a table or figure: runs, choice, weights, parameters, data, commits."""
    from fxcore.report import explain as explaining
    from fxcore.report.results import Results

    params = present.load(Path(arguments.params), machine.load())
    results = Results(arguments.results or Path(params.results_root), make.table_slice(params))
    facts = explaining.explain(results, arguments.table, arguments.dataset, arguments.task, TABLES, FIGURES)
    slices = (make.train_slice, make.score_slice, make.evaluate_slice)
    runs = {
        run: {key: value for of in slices for key, value in of(params, run).model_dump(mode="json").items()}
        | {"cycles": params.trained[run].train.cycles}
        for run in facts["runs"]
        if run in params.trained
    }
    data = make.store_slice(params, arguments.dataset).model_dump(mode="json")
    facts["stale"] = explaining.stale(facts, runs, data)
    as_json = json.dumps(facts, indent=1, ensure_ascii=False)
    again = snakemake(file=str(arguments.params))
    sys.stdout.write(f"{as_json}\n" if arguments.json else explaining.describe(facts, again))


def import_weights(arguments: Arguments) -> None:
    """Turn released weights of others into a weights file of ours, and report every tensor."""
    from fxcore.cxrlt import chexfound
    from fxcore.models.weights import importing

    names, source, output = ("rate", *importing.DEFAULTS), arguments.source, arguments.output
    options = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    made = chexfound.import_weights if arguments.kind in chexfound.KINDS else importing.import_weights
    sys.stdout.write(made(arguments.kind, source, output, arguments.branch, options))


def predict(arguments: Arguments) -> None:
    """Say what a network sees on image files: probabilities, boxes and masks of all its heads."""
    from fxcore.predict.predict import predict as run
    from fxcore.training import runtime

    here = machine.load()
    gpus = min(1, machine.gpus())
    how = Options(arguments.detections, arguments.threshold, arguments.batch)
    with runtime.lease(gpus):
        device = runtime.device(here, gpus)
        said = run(arguments.images, arguments.weights, arguments.datasets, arguments.out, device, how)
    sys.stdout.write(f"{said}\n")
