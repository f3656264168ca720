"""The command line: one sub-command a rule, same name as the rule, and `plan` and `reference` for people.

Jobs get the slice of the parameters they depend on as JSON from their rule; by hand, `--params` takes a parameter file.
Libraries are imported by the sub-command that needs them, so that `fxcore --help` and `fxcore plan` are quick.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import fxcore
from fxcore import machine, paths
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params import experiment
from fxcore.params.experiment import Params
from fxcore.plan import FIGURES, PHASES, TABLES
from fxcore.slices import make
from fxcore.slices.data import PhantomSlice, StoreSlice, VisitsSlice
from fxcore.slices.evaluate import EvaluateSlice, ScoreSlice
from fxcore.slices.make import Slice
from fxcore.slices.report import FigureSlice, TableSlice
from fxcore.slices.train import KeepSlice, TrainSlice

log = logging.getLogger(__name__)

Arguments = argparse.Namespace


def _slice(arguments: Arguments, kind: type[Slice], of: Callable[[Params], Slice]) -> Slice:
    """The job's slice: the JSON a rule gives, or the part of a parameter file."""
    text: str = arguments.params
    return make.parse(kind, text) if text.lstrip().startswith("{") else of(experiment.load(Path(text)))


def _machine(arguments: Arguments) -> Machine:
    """This machine, with the threads that Snakemake granted."""
    here = machine.load()
    threads = getattr(arguments, "threads", None) or here.threads
    return here.model_copy(update={"threads": threads, "workers": min(here.workers, threads - 1)})


def plan(arguments: Arguments) -> None:
    """Print runs, stages and passes with their estimated work."""
    from fxcore import outline

    sys.stdout.write(outline.describe(experiment.load(Path(arguments.params)), arguments.run))


def reference(arguments: Arguments) -> None:
    """Write the generated reference pages, and the source files that the stages of `dvc.yaml` depend on."""
    from fxcore import reference as pages

    pages.write(Path(arguments.out), parser())
    pages.renew_sources(Path(arguments.pipeline))


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


def phantom(arguments: Arguments) -> None:
    """Draw a phantom dataset in its native format."""
    from fxcore.phantom.phantom import write

    slice_ = _slice(arguments, PhantomSlice, lambda params: make.phantom_slice(params, arguments.dataset))
    write(slice_, paths.phantom(arguments.results, slice_.key))


def normalize(arguments: Arguments) -> None:
    """Make a dataset's store from its native files."""
    from fxcore.data.normalize import normalize as run

    slice_ = _slice(arguments, StoreSlice, lambda params: make.store_slice(params, arguments.dataset))
    here = _machine(arguments)
    is_phantom = slice_.dataset.source == "phantom"
    native = (
        paths.phantom(arguments.results, slice_.key) if is_phantom else here.folder(slice_.key, slice_.dataset.folder)
    )
    run(slice_, native, paths.store(arguments.results, slice_.key, slice_.store_size), here.threads)


def visits(arguments: Arguments) -> None:
    """List what the stores that a run trains on hold."""
    from fxcore.data.store import open_stores
    from fxcore.data.visits import visits as run

    slice_ = _slice(arguments, VisitsSlice, lambda params: make.visits_slice(params, arguments.run))
    stores = open_stores(arguments.results, dict(slice_.visits), slice_.store_size)
    run(slice_, stores, paths.visits(arguments.results, slice_.run))


def pretrain(arguments: Arguments) -> None:
    """Train one stage of a run."""
    from fxcore.data.store import open_stores
    from fxcore.training.pretrain import pretrain as run

    slice_ = _slice(arguments, TrainSlice, lambda params: make.train_slice(params, arguments.run))
    stores = open_stores(arguments.results, dict(slice_.visits), slice_.store_size)
    folder = paths.checkpoints(arguments.results, slice_.run)
    run(slice_, arguments.stage, stores, _machine(arguments), arguments.gpus, folder)


def keep(arguments: Arguments) -> None:
    """Keep what matters of a run's checkpoints."""
    from fxcore.training.keep import keep as run

    slice_ = _slice(arguments, KeepSlice, lambda params: make.keep_slice(params, arguments.run))
    run(slice_, *(at(arguments.results, slice_.run) for at in (paths.checkpoints, paths.kept)))


def score(arguments: Arguments) -> None:
    """Choose among a run's cycles on validation and predict the test set."""
    from fxcore.data.store import open_stores
    from fxcore.evaluation.score import score as run

    slice_ = _slice(arguments, ScoreSlice, lambda params: make.score_slice(params, arguments.run))
    stores = partial(open_stores, arguments.results, size=slice_.store_size)
    kept, predictions, choice = (
        at(arguments.results, slice_.run) for at in (paths.kept, paths.predictions, paths.choice)
    )
    run(slice_, kept, stores, _machine(arguments), arguments.gpus, predictions, choice)


def evaluate(arguments: Arguments) -> None:
    """Compute a run's test metrics from its predictions."""
    from fxcore.data.store import open_stores
    from fxcore.evaluation.evaluate import evaluate as run

    slice_ = _slice(arguments, EvaluateSlice, lambda params: make.evaluate_slice(params, arguments.run))
    stores = partial(open_stores, arguments.results, size=slice_.store_size)
    predictions, choice, metrics = (
        at(arguments.results, slice_.run) for at in (paths.predictions, paths.choice, paths.metrics)
    )
    run(slice_, predictions, choice, stores, metrics)


def summary(arguments: Arguments) -> None:
    """Gather the headline metrics of all runs."""
    from fxcore.evaluation.summary import summary as gather

    metrics, choices = (
        {run: at(arguments.results, run) for run in arguments.runs} for at in (paths.metrics, paths.choice)
    )
    gather(metrics, choices, paths.summary(arguments.results), paths.validation(arguments.results))


def table(arguments: Arguments) -> None:
    """Write one table."""
    from fxcore.report import render
    from fxcore.report.results import Results
    from fxcore.report.table import TABLES

    slice_ = _slice(arguments, TableSlice, make.table_slice)
    made = TABLES[arguments.table](Results(arguments.results, slice_))
    render.write(made, *(paths.table(arguments.results, arguments.table, kind) for kind in ("csv", "md", "tex")))


def figure(arguments: Arguments) -> None:
    """Write one figure."""
    from fxcore.report.figure import FIGURES, write
    from fxcore.report.results import Results

    slice_ = _slice(arguments, FigureSlice, make.figure_slice)
    made = FIGURES[arguments.figure](Results(arguments.results, slice_), slice_.report)
    write(made, *(paths.figure(arguments.results, arguments.figure, kind) for kind in ("png", "pdf")))


def index(arguments: Arguments) -> None:
    """Write the page that shows every table and figure."""
    from fxcore.report.index import index as write

    write(arguments.results, TABLES, FIGURES)


def import_weights(arguments: Arguments) -> None:
    """Turn released weights of others into a weights file of ours, and report every tensor."""
    from fxcore.models.weights import importing

    options = {name: getattr(arguments, name) for name in importing.DEFAULTS if getattr(arguments, name) is not None}
    source, output = arguments.source, arguments.output
    sys.stdout.write(importing.import_weights(arguments.kind, source, output, arguments.branch, options))


class _Commands:
    """Adds sub-commands that share their common options."""

    def __init__(self, root: argparse.ArgumentParser) -> None:
        self.commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(self, run: Callable[[Arguments], None]) -> argparse.ArgumentParser:
        """A sub-command with the name and the docstring of the function that runs it."""
        made = self.commands.add_parser(
            run.__name__.replace("_", "-"), help=(run.__doc__ or "").strip(), description=run.__doc__
        )
        made.set_defaults(execute=run)
        return made

    def job(
        self, run: Callable[[Arguments], None], what: str, of: str, choices: Sequence[str] | None = None
    ) -> argparse.ArgumentParser:
        """A rule's sub-command for one dataset, run, table or figure."""
        made = self.whole(run)
        made.add_argument(what, help=of, choices=choices)
        made.add_argument(
            "--params", default=PARAMS, metavar="FILE", help=f"{_PARAMS_HELP}, or the JSON that a rule passes"
        )
        return made

    def whole(self, run: Callable[[Arguments], None]) -> argparse.ArgumentParser:
        """A rule's sub-command for a whole experiment."""
        made = self.add(run)
        made.add_argument(
            "--results",
            type=Path,
            default=Path("results"),
            metavar="FOLDER",
            help="results root (default: %(default)s)",
        )
        made.add_argument("--log", type=Path, metavar="FILE", help="also write the log here")
        return made

    def trained(self, run: Callable[[Arguments], None]) -> argparse.ArgumentParser:
        """A rule's sub-command that computes with the network."""
        made = self.job(run, "run", _RUN)
        made.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: as local.yaml says)")
        made.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs to lease (default: %(default)s)")
        return made


KINDS = ("foundation-x", "ark", "swin", "dino")
PARAMS = "params.yaml"
_PARAMS_HELP = "parameter file (default: %(default)s)"
_RUN, _DATASET = "name of the run", "key of the dataset"


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    root = argparse.ArgumentParser(prog="fxcore", description=fxcore.__doc__)
    root.add_argument("--version", action="version", version=fxcore.__version__)
    commands = _Commands(root)
    shown = commands.add(plan)
    shown.add_argument("--params", default=PARAMS, metavar="FILE", help=_PARAMS_HELP)
    shown.add_argument("--run", metavar="RUN", help="list every pass of this run")
    pages = commands.add(reference)
    pages.add_argument(
        "--out", default="docs/reference", metavar="FOLDER", help="where to write (default: %(default)s)"
    )
    pages.add_argument(
        "--pipeline", default="dvc.yaml", metavar="FILE", help="DVC file to renew (default: %(default)s)"
    )
    _add_versioning(commands)
    _add_weights(commands)
    commands.job(phantom, "dataset", _DATASET)
    threads = commands.job(normalize, "dataset", _DATASET)
    threads.add_argument(
        "--threads", type=int, metavar="N", help="images decoded at once (default: as local.yaml says)"
    )
    commands.job(visits, "run", _RUN)
    stage = commands.trained(pretrain)
    stage.add_argument("--stage", required=True, metavar="NAME", help="name of the stage: cycle_1, cycle_2, …")
    commands.job(keep, "run", _RUN)
    commands.trained(score)
    commands.job(evaluate, "run", _RUN)
    commands.whole(summary).add_argument("runs", nargs="+", metavar="run", help="names of the runs")
    commands.job(table, "table", "name of the table", TABLES)
    commands.job(figure, "figure", "name of the figure", FIGURES)
    commands.whole(index)
    return root


def _add_weights(commands: _Commands) -> None:
    imported = commands.add(import_weights)
    imported.add_argument("kind", choices=KINDS, help="whose weights they are")
    imported.add_argument("source", type=Path, help="checkpoint as released; nothing in it is executed")
    imported.add_argument(
        "output", type=Path, help="weights file to write (.safetensors); its card is written beside it"
    )
    imported.add_argument(
        "--branch", metavar="NAME", help="teacher_model or model, … (default: the teacher, where there is one)"
    )
    for name, what in (("heads", "attention heads"), ("points", "sampling points a head and level")):
        imported.add_argument(f"--{name}", type=int, metavar="N", help=f"{what} (default: as published)")
    imported.add_argument(
        "--image-size", type=int, metavar="N", help="side of the images (default: as the tensors tell, else 224)"
    )


def _add_versioning(commands: _Commands) -> None:
    certified = commands.add(certify)
    certified.add_argument("--phase", choices=PHASES, help="only this phase's rules (default: all)")
    certified.add_argument("targets", nargs="*", metavar="target", help="files (default: all of the phase)")
    recorded = commands.add(record)
    recorded.add_argument(
        "--params", default=PARAMS, metavar="FILE", help="parameter file that was used (default: %(default)s)"
    )
    recorded.add_argument("targets", nargs="*", metavar="target", help="what Snakemake was asked for (default: all)")
    commands.add(sync)


def _logging(path: Path | None) -> None:
    """Plain lines to the log file; the same to a terminal, or to standard error where there is no log file."""
    handlers: list[logging.Handler] = []
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    if path is None or sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True)
    logging.getLogger("fxcore").setLevel(logging.INFO)
    logging.captureWarnings(True)


def main(argv: list[str] | None = None) -> int:
    """Run a sub-command; the exit code: 0, or 2 with one line for bad input."""
    arguments = parser().parse_args(argv)
    path = getattr(arguments, "log", None)
    _logging(path)
    try:
        arguments.execute(arguments)
    except (InputError, FloatingPointError) as error:
        line = f"fxcore {arguments.command}: {error}"
        if path is not None:
            with path.open("a", encoding="utf-8") as sink:
                sink.write(f"{line}\n")
        sys.stderr.write(f"{line}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:
        log.exception("fxcore %s failed", arguments.command)
        raise
    return 0
