"""Where a job computes: device, threads, precision, and which GPUs it may use."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from fxcore.errors import InputError
from fxcore.machine import Machine, visible_gpus


@contextmanager
def lease(count: int) -> Iterator[None]:
    """Hold `count` of the visible GPUs, all or none, and hide the others from this process.

    Snakemake limits how many GPUs jobs use together but does not say which; a lock file each does. Call before the first
    use of CUDA.

    Raises:
        InputError: fewer than `count` GPUs are there, or free.
    """
    if count == 0:
        yield
        return
    ids = visible_gpus()
    if count > len(ids):
        raise InputError(
            f"{count} GPUs asked for, but this machine has {len(ids)} that this job may use; lower the run's gpus, or --gpus"
            " (0 computes on the CPU)"
        )
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
    """The device of a job that was granted some number of GPUs; of several processes, each has its own.

    Raises:
        InputError: `machine.device` is cuda and there is none, or there are fewer than processes.
    """
    wanted = machine.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("local.yaml: device is cuda, but torch sees no GPU; install its CUDA build or set device: cpu")
    if wanted == "cpu" or granted == 0 or not torch.cuda.is_available():
        return torch.device("cpu")
    mine = int(os.environ.get("LOCAL_RANK", 0))
    if mine >= torch.cuda.device_count():
        raise InputError(
            f"process {mine + 1} of this machine has no GPU: torch sees {torch.cuda.device_count()}; start as many processes"
        )
    torch.cuda.set_device(mine)
    return torch.device("cuda", mine)


def prepare(machine: Machine) -> None:
    """Give the job its share of the processor."""
    torch.set_num_threads(max(1, machine.threads - machine.workers))


def require_compiler() -> None:
    """Look for what `torch.compile` builds its kernels with, before hours of training end in its traceback.

    Raises:
        InputError: there is no C++ compiler.
    """
    names = [os.environ.get("CXX", "c++"), "g++", "clang++"]
    if not any(map(shutil.which, names)):
        raise InputError(
            "pretrain.compile is true, but there is no C++ compiler (g++); install one or set compile: false"
        )


def peak(where: torch.device) -> float:
    """The most memory in use so far, GiB: what torch allocated on a GPU; on the CPU, what of the process was resident."""
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB


def autocast(precision: str, where: torch.device) -> AbstractContextManager[object]:
    """Mixed precision for `bf16` and `fp16`, nothing for `fp32`."""
    return nullcontext() if precision == "fp32" else torch.autocast(where.type, dtype=kind(precision))


def kind(precision: str) -> torch.dtype:
    """Of tensors in a precision of the parameters."""
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
