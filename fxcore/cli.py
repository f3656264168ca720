"""The command line: one sub-command a rule, same name as the rule, and some for people.

Jobs get the slice of the parameters they depend on as JSON from their rule; by hand, `--params` takes a parameter file.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import fxcore
from fxcore import commands as run
from fxcore import study_commands as study
from fxcore.arguments import RESULTS, Arguments
from fxcore.errors import InputError, refusal
from fxcore.machine import place
from fxcore.planning.contents import ALL_FIGURES, ALL_TABLES
from fxcore.planning.plan import PHASES
from fxcore.predict.options import Options

log = logging.getLogger(__name__)


class _Commands:
    """Adds sub-commands that share their common options."""

    def __init__(self, root: argparse.ArgumentParser) -> None:
        self.commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(self, command: Callable[[Arguments], None]) -> argparse.ArgumentParser:
        """A sub-command with the name and the docstring of the function that runs it."""
        made = self.commands.add_parser(
            command.__name__.replace("_", "-"), help=(command.__doc__ or "").strip(), description=command.__doc__
        )
        made.set_defaults(execute=command)
        return made

    def job(
        self, command: Callable[[Arguments], None], what: str, of: str, choices: Sequence[str] | None = None
    ) -> argparse.ArgumentParser:
        """A rule's sub-command for one dataset, run, table or figure."""
        made = self.sliced(command)
        made.add_argument(what, help=of, choices=choices)
        return made

    def sliced(self, command: Callable[[Arguments], None]) -> argparse.ArgumentParser:
        """A rule's sub-command for a part of the parameters."""
        made = self.whole(command, None, "that of the parameter file")
        made.add_argument(
            "--params", default=PARAMS, metavar="FILE", help=f"{_PARAMS_HELP}, or the JSON that a rule passes"
        )
        return made

    def whole(
        self, command: Callable[[Arguments], None], root: Path | None = Path(RESULTS), meaning: str = "%(default)s"
    ) -> argparse.ArgumentParser:
        """A rule's sub-command for a whole experiment; `root` of the results unless another is given, and what help calls it."""
        made = self.add(command)
        made.add_argument(
            "--results",
            type=Path,
            default=root,
            metavar="FOLDER",
            help=f"results root (default: {meaning})",
        )
        made.add_argument("--log", type=Path, metavar="FILE", help="also write the log here")
        return made

    def trained(self, command: Callable[[Arguments], None]) -> argparse.ArgumentParser:
        """A rule's sub-command that computes with the network of a run."""
        return self.computed(command, "run", _RUN)

    def computed(self, command: Callable[[Arguments], None], what: str, of: str) -> argparse.ArgumentParser:
        """A rule's sub-command that computes with a network."""
        made = self.job(command, what, of)
        made.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: as local.yaml says)")
        made.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs to lease (default: %(default)s)")
        return made


KINDS = ("foundation-x", "ark", "swin", "dino", "chexfound", "chexfound-head")
PARAMS = "params.yaml"
_PARAMS_HELP = "parameter file (default: %(default)s)"
_PATIENCE = 5.0
"""Seconds."""
_STRICT = (
    "fail, and write nothing, if a number that the parameters ask for could not be had, say since the test set has no"
    " positives; cells that are empty by design (no baseline run, no teacher) are none of these"
)
_RUN, _DATASET, _BACKBONE = "name of the run", "key of the dataset", "name of the backbone"


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    root = argparse.ArgumentParser(prog="fxcore", description=fxcore.__doc__)
    root.add_argument("--version", action="version", version=fxcore.__version__)
    commands = _Commands(root)
    shown = commands.add(run.plan)
    shown.add_argument("--params", default=PARAMS, metavar="FILE", help=_PARAMS_HELP)
    shown.add_argument("--run", metavar="RUN", help="list every pass of this run")
    shown.add_argument(
        "--costs", action="store_true", help="also operations and disk, from the networks' shapes; takes some seconds"
    )
    shown.add_argument(
        "--tflops", type=float, metavar="R", help="also hours on a device that sustains R TFLOP/s; implies --costs"
    )
    pages = commands.add(run.reference)
    pages.add_argument(
        "--out", default="docs/reference", metavar="FOLDER", help="where to write (default: %(default)s)"
    )
    _add_check(commands)
    _add_explain(commands)
    _add_versioning(commands)
    _add_weights(commands)
    _add_predict(commands)
    fetched = commands.job(run.retrieve, "dataset", _DATASET)
    fetched.add_argument(
        "--connections", type=int, default=4, metavar="N", help="files fetched at once (default: %(default)s)"
    )
    fetched.add_argument("--force", action="store_true", help="fetch everything anew, whatever is there")
    commands.job(run.phantom, "dataset", _DATASET)
    threads = commands.job(run.normalize, "dataset", _DATASET)
    threads.add_argument(
        "--threads", type=int, metavar="N", help="images decoded at once (default: as local.yaml says)"
    )
    commands.job(run.split, "family", "name of the family of datasets: they are split together")
    commands.sliced(run.leakage)
    commands.job(run.visits, "run", _RUN)
    stage = commands.trained(run.pretrain)
    stage.add_argument("--stage", required=True, metavar="NAME", help="name of the stage: cycle_1, cycle_2, …")
    commands.job(run.keep, "run", _RUN)
    commands.trained(run.score)
    commands.trained(run.few_shot)
    _add_study(commands)
    commands.job(run.evaluate, "run", _RUN)
    commands.sliced(run.evaluate_few_shot)
    commands.job(run.release, "run", _RUN)
    gathered = commands.whole(run.summary)
    gathered.add_argument("runs", nargs="*", metavar="run", help="names of the runs")
    gathered.add_argument(
        "--heads", nargs="+", default=[], metavar="HEAD", help="also these heads and ensembles of the CXR-LT study"
    )
    gathered.add_argument("--few-shot", action="store_true", help="also trainings on few images")
    _add_report(commands)
    return root


def _add_report(commands: _Commands) -> None:
    """Tables, figures and the page that shows them."""
    commands.job(run.table, "table", "name of the table", ALL_TABLES).add_argument(
        "--strict", action="store_true", help=_STRICT
    )
    commands.job(run.figure, "figure", "name of the figure", ALL_FIGURES)
    shown = commands.whole(run.index)
    shown.add_argument(
        "--tables",
        nargs="+",
        choices=ALL_TABLES,
        default=ALL_TABLES,
        metavar="TABLE",
        help="tables to show (default: all)",
    )
    shown.add_argument(
        "--figures",
        nargs="+",
        choices=ALL_FIGURES,
        default=ALL_FIGURES,
        metavar="FIGURE",
        help="figures to show (default: all)",
    )


def _add_study(commands: _Commands) -> None:
    """Those of the CXR-LT study."""
    commands.sliced(study.corpus)
    pretrained = commands.computed(study.ssl, "backbone", _BACKBONE)
    kept = commands.whole(study.keep_backbone)
    kept.add_argument("backbone", help=_BACKBONE)
    for one in (pretrained, kept):
        one.add_argument("resolution", type=int, help="of the stage, in pixels")
    commands.computed(study.head, "head", "name of the head")
    commands.job(study.evaluate_head, "head", "name of the head or ensemble")


def _add_check(commands: _Commands) -> None:
    made = commands.add(run.check)
    made.add_argument("keys", nargs="*", metavar="key", help="datasets (default: all of the parameter file)")
    made.add_argument("--params", default=PARAMS, metavar="FILE", help=_PARAMS_HELP)
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--keep-going", action="store_true", help="collect everything that is wrong, not only the first")
    made.add_argument(
        "--pictures",
        action="store_true",
        help="decode every picture, and hold boxes and masks against it; may take hours",
    )


def _add_explain(commands: _Commands) -> None:
    made = commands.add(run.explain)
    made.add_argument("table", help="name of the table or figure: table3_pretraining, …")
    made.add_argument("dataset", help=_DATASET)
    made.add_argument("task", help="classification, localization or segmentation")
    made.add_argument("--params", default=PARAMS, metavar="FILE", help=_PARAMS_HELP)
    made.add_argument(
        "--results", type=Path, metavar="FOLDER", help="results root (default: that of the parameter file)"
    )
    made.add_argument("--json", action="store_true", help="print JSON, with everything in full")


def _add_weights(commands: _Commands) -> None:
    imported = commands.add(run.import_weights)
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
        "--rate", metavar="RATE", help="learning rate of the head to take, or its name, where a file has several"
    )
    imported.add_argument(
        "--image-size", type=int, metavar="N", help="side of the images (default: as the tensors tell, else 224)"
    )


def _add_predict(commands: _Commands) -> None:
    made = commands.add(run.predict)
    made.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGE", help="radiographs as PNG, JPEG or DICOM, or folders of them"
    )
    made.add_argument("--weights", type=Path, required=True, metavar="FILE", help="weights file with a card")
    made.add_argument("--datasets", nargs="+", default=[], metavar="KEY", help="whose heads to ask (default: all)")
    made.add_argument(
        "--out", type=Path, default=Path("predictions"), metavar="FOLDER", help="where to write (default: %(default)s)"
    )
    made.add_argument(
        "--threshold",
        type=float,
        default=Options.threshold,
        metavar="P",
        help="score from which a box is drawn (default: %(default)s)",
    )
    made.add_argument(
        "--detections",
        type=int,
        default=Options.detections,
        metavar="N",
        help="boxes written an image and head (default: %(default)s)",
    )
    made.add_argument(
        "--batch", type=int, default=Options.batch, metavar="N", help="images at a time (default: %(default)s)"
    )


def _add_versioning(commands: _Commands) -> None:
    commands.add(run.sources)
    certified = commands.add(run.certify)
    certified.add_argument("--phase", choices=PHASES, help="only this phase's rules (default: all)")
    certified.add_argument("targets", nargs="*", metavar="target", help="files (default: all of the phase)")
    recorded = commands.add(run.record)
    recorded.add_argument(
        "--params", default=PARAMS, metavar="FILE", help="parameter file that was used (default: %(default)s)"
    )
    recorded.add_argument("targets", nargs="*", metavar="target", help="what Snakemake was asked for (default: all)")
    commands.add(run.sync)


def _logging(path: Path | None, rank: int) -> None:
    """Plain lines to the log file; the same to a terminal, or to standard error where there is no log file.

    Of processes that work together the first begins the log and fills it, the others add what goes wrong.
    """
    handlers: list[logging.Handler] = []
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if rank == 0:
            path.write_text("")
        handlers.append(logging.FileHandler(path, mode="a", encoding="utf-8"))
    if path is None or sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    logging.basicConfig(
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=handlers,
        level=logging.ERROR if rank else logging.WARNING,
        force=True,
    )
    logging.getLogger("fxcore").setLevel(logging.ERROR if rank else logging.INFO)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written, say on a full disk, would be told with tracebacks


def _hesitate(others: bool) -> None:
    """Where `others` may have failed before this process, give the launcher time to end it: the first to fail speaks for all.

    What all find wrong at once, the first process says.
    """
    if others:
        time.sleep(_PATIENCE)


def main(argv: list[str] | None = None) -> int:
    """Run a sub-command; the exit code: 0, or 2 with one line for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = parser().parse_args(argv, Arguments(argv=argv))
    path = getattr(arguments, "log", None)
    rank, processes = place()
    try:
        _logging(path, rank)
        arguments.execute(arguments)
    except (InputError, FloatingPointError) as error:
        _hesitate(rank > 0)
        return _said(f"fxcore {arguments.command}: {error}", path)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        _hesitate(processes > 1)
        if known := refusal(error):
            return _said(f"fxcore {arguments.command}: {known}", path)
        log.exception("fxcore %s failed", arguments.command)
        raise
    return 0


def _said(line: str, path: Path | None) -> int:
    """Say a line in the log, where the disk has room for it, and in the terminal; the exit code for bad input."""
    if path is not None:
        with suppress(OSError), path.open("a", encoding="utf-8") as sink:
            sink.write(f"{line}\n")
    sys.stderr.write(f"{line}\n")
    return 2
