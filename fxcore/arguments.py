"""What sub-commands make of their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from fxcore import machine
from fxcore.machine import Machine
from fxcore.params import present
from fxcore.params.experiment import Params
from fxcore.slices import make
from fxcore.slices.make import Slice

Arguments = argparse.Namespace
RESULTS = "results"
"""The results root where nothing names another one."""


def sliced(arguments: Arguments, kind: type[Slice], of: Callable[[Params], Slice]) -> Slice:
    """The job's slice: the JSON a rule gives, or the part of a parameter file; its results root is meant unless another one is named."""
    text: str = arguments.params
    if text.lstrip().startswith("{"):
        found, root = make.parse(kind, text), RESULTS
    else:
        params = present.load(Path(text), machine.load())
        found, root = of(params), params.results_root
    if arguments.results is None:
        arguments.results = Path(root)
    return found


def granted(arguments: Arguments) -> Machine:
    """This machine, with the threads that Snakemake granted."""
    here = machine.load()
    threads = getattr(arguments, "threads", None) or here.threads
    return here.model_copy(update={"threads": threads, "workers": min(here.workers, threads - 1)})


def launched(arguments: Arguments, here: Machine) -> bool:
    """Whether a job that was given several GPUs started itself once a GPU, and these have done its work."""
    if arguments.gpus <= 1 or here.device == "cpu" or machine.place()[1] > 1:
        return False
    from fxcore.launch import launch
    from fxcore.training import runtime

    with runtime.lease(arguments.gpus):
        launch(arguments.gpus, arguments.argv)
    return True
