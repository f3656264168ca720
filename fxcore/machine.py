"""Facts of the machine, in no slice and in no result: where native data lies, which device, how many threads.

Read from an untracked `local.yaml` beside `params.yaml`; the environment variable FXCORE_NATIVE overrides its `native`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from fxcore import yamlfile
from fxcore.complaint import complaint
from fxcore.errors import InputError
from fxcore.params.blocks import Block, Count, Positive

LOCAL = Path("local.yaml")


class Machine(Block):
    """One machine."""

    native: Path = Path("native")
    """Folder that holds the datasets as downloaded."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU when there is one."""
    threads: Count = 1
    """CPU threads of a training or scoring job; with one, results do not depend on the number of cores, and runs train side by side."""
    autosave: Annotated[float, Field(ge=0)] | None = 10.0
    """Minutes between two saves of a training job, which a killed one continues from; 0 saves after every update, null never."""
    workers: int = 0
    """Processes that load data beside a job, out of its `threads`; 0 loads in the job itself."""
    images_per_second: Positive = 20.0
    """Images that a training job does at least; only the time that jobs ask a cluster for follows from it."""

    def folder(self, key: str, folder: str | None) -> Path:
        """A dataset's native folder: below `native`, or relative to the project when `folder` starts with a dot."""
        return Path(folder) if folder and folder.startswith(".") else self.native / (folder or key)

    def among(self, processes: int) -> Machine:
        """What each of a job's processes has of its threads: at least one, and one that loads data if any does."""
        threads, workers = max(1, self.threads // processes), -(-self.workers // processes)
        return self.model_copy(update={"threads": threads, "workers": workers})


def load(path: Path = LOCAL) -> Machine:
    """The machine's facts; defaults where nothing is said.

    Raises:
        InputError: `local.yaml` has an unknown key or an impossible value.
    """
    content = yamlfile.load(path) if path.exists() else {}
    if native := os.environ.get("FXCORE_NATIVE"):
        content["native"] = native
    try:
        machine = Machine.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {complaint(error, Machine)}") from error
    if machine.workers >= machine.threads and machine.workers:
        raise InputError(
            f"{path}: workers is {machine.workers}; leave the job at least one of its {machine.threads} threads"
        )
    return machine


def visible_gpus() -> list[str]:
    """Ids of the NVIDIA GPUs this process may use, found without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one.strip() for one in visible.split(",") if one.strip() not in ("", "-1")]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(one) for one in range(len(list(folder.iterdir())))] if folder.is_dir() else []


def gpus() -> int:
    """How many these are."""
    return len(visible_gpus())


def place() -> tuple[int, int]:
    """This process among those that a launcher started as one job, from 0, and how many they are; (0, 1) without one."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
