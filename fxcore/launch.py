"""Starting one job as several processes, one a GPU, with PyTorch's launcher (what `torchrun` runs)."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from fxcore.errors import InputError


def launch(count: int, arguments: Sequence[str]) -> None:
    """Run `fxcore ARGUMENTS` in `count` processes that know of each other, and wait; when one fails the others are ended.

    Raises:
        InputError: a process was killed.
        SystemExit: a process failed, and has said why; or this one was told to stop.
    """
    # The launcher's own account of a failure, a page of it, would hide the one line that says what to do; so would warnings of
    # PyTorch's core that mean nothing here (that an update of localization could have missed a parameter and did not).
    elastic = logging.getLogger("torch.distributed.elastic")
    elastic.addHandler(logging.NullHandler())
    elastic.propagate = False
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with tempfile.TemporaryDirectory(prefix="fxcore-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "fxcore", *arguments)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode >= 0:
                raise SystemExit(failure.exitcode) from error
            raise InputError(
                f"process {rank + 1} of {count} was killed (signal {-failure.exitcode}), perhaps for want of memory; the"
                " others were ended. Start the same command again: it continues from the last autosave"
            ) from error
        except SignalException as error:
            raise SystemExit(128 + error.sigval) from error
