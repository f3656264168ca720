"""Where a job computes: device, threads, precision, and which GPUs it may use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from fxcore.errors import InputError
from fxcore.machine import Machine, gpus


@contextmanager
def lease(count: int) -> Iterator[None]:
    """Hold `count` of the visible GPUs, all or none, and hide the others from this process.

    Snakemake limits how many GPUs jobs use together but does not say which; a lock file each does. Call before the first
    use of CUDA.

    Raises:
        InputError: fewer than `count` GPUs are free.
    """
    if count == 0:
        yield
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    ids = [one.strip() for one in visible.split(",")] if visible else [str(one) for one in range(gpus())]
    folder = Path(tempfile.gettempdir()) / f"fxcore-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    # SLURM may give every job GPUs of its own and number them from 0 in each.
    job = os.environ.get("SLURM_JOB_ID", "")
    with ExitStack() as held:
        mine: list[str] = []
        for one in ids:
            lock = FileLock(folder / f"{job}-{one}.lock")
            try:
                held.enter_context(lock.acquire(timeout=0))
            except Timeout:
                continue
            mine.append(one)
            if len(mine) == count:
                break
        if len(mine) < count:
            raise InputError(
                f"{count} GPUs asked for, {len(mine)} free of {len(ids)}; lower the run's gpus or wait for the other jobs"
            )
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        yield


def device(machine: Machine, granted: int) -> torch.device:
    """The device of a job that was granted some number of GPUs.

    Raises:
        InputError: `machine.device` is cuda and there is none.
    """
    wanted = machine.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("local.yaml: device is cuda, but torch sees no GPU; install its CUDA build or set device: cpu")
    return torch.device("cuda" if wanted != "cpu" and granted > 0 and torch.cuda.is_available() else "cpu")


def prepare(machine: Machine) -> None:
    """Give the job its share of the processor."""
    torch.set_num_threads(max(1, machine.threads - machine.workers))


def autocast(precision: str, where: torch.device) -> AbstractContextManager[object]:
    """Mixed precision for `bf16` and `fp16`, nothing for `fp32`."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return nullcontext() if half is None else torch.autocast(where.type, dtype=half)
