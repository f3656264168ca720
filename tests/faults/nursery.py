"""Jobs as children of one process that has imported everything, with a fault on order: a kill, a full disk, another user.

Starting Python and torch takes longer than a job of the tiny experiment; a fork takes nothing. A fault comes at the k-th *step* of a
job: a file below its folder that is opened to be written, a write to one, a name that is given, taken away or moved.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
_NAMES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "os.truncate")
"""Audit events that change names."""


@dataclass(frozen=True)
class Ended:
    """How a job ended: its exit code, minus the signal that ended it; its steps, and which of them take room; what it said."""

    code: int
    steps: int
    grown: int
    said: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Nursery:
    """The process whose children jobs are."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.nursery"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
        self.process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, argv: list[str], folder: Path, **fault: Any) -> Ended:
        """A sub-command of fxcore in a folder.

        Faults: `kill` at a step; a disk that is `full` from such a step on that takes room; a `limit` of bytes for each file; a
        `group` of processes whose memory is limited; another `user`; a `twin` beside it.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"argv": argv, "folder": str(folder), **fault}) + "\n")
        self.process.stdin.flush()
        return Ended(**json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class _Steps:
    """Counts what a job does to files below its folder, and brings the fault."""

    def __init__(self, folder: str, count: mmap.mmap, kill: int | None, full: int | None) -> None:
        self.folder, self.count, self.kill, self.full = folder, count, kill, full
        self.opened, self.inside = io.open, False
        sys.addaudithook(self.heard)
        builtins.open = io.open = self.open  # type: ignore[assignment]
        if hasattr(os, "posix_fallocate"):
            allocate = os.posix_fallocate
            os.posix_fallocate = lambda *of: (self.step(grows=True), allocate(*of))[1]  # type: ignore[assignment]

    def step(self, grows: bool, path: str | None = None, half: Any = None) -> None:
        """One more; `grows` if it takes room on the disk, `half` is done where the job is killed in the middle of it."""
        if self._next(0) == self.kill:
            if half is not None:
                half()
            os.kill(os.getpid(), signal.SIGKILL)
        if grows and self._next(8) >= (self.full or sys.maxsize):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *([path] if path else []))

    def _next(self, at: int) -> int:
        done = int.from_bytes(self.count[at : at + 8], "little") + 1
        self.count[at : at + 8] = done.to_bytes(8, "little")
        return done

    def ours(self, path: Any) -> bool:
        try:
            return str(Path(os.fsdecode(path)).absolute()).startswith(self.folder)
        except TypeError:  # a number
            return False

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) and self.ours(path):
                self.step(bool(flags & os.O_CREAT) and not Path(path).exists(), os.fsdecode(path))
        elif event in _NAMES and self.ours(arguments[0]):
            self.step(event == "os.mkdir", os.fsdecode(arguments[0]))

    def open(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        """`open`, whose writes are counted."""
        if not set(mode) & set("wax+") or not self.ours(file):
            return self.opened(file, mode, buffering, *rest, **more)
        steps = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                view = memoryview(data).cast("B")
                steps.step(True, half=lambda: io.FileIO.write(self, view[: len(view) // 2]))
                return io.FileIO.write(self, view)

        raw = Raw(file, mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **more)


def _child(order: dict[str, Any], count: mmap.mmap, said: int) -> int:
    os.setsid()
    os.dup2(said, 2)
    os.chdir(order["folder"])
    if limit := order.get("limit"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if group := order.get("group"):
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    if user := order.get("user"):
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    from fxcore.cli import main

    _Steps(order["folder"], count, order.get("kill"), order.get("full"))
    return main(order["argv"])


def _ended(order: dict[str, Any], said: Any, count: mmap.mmap) -> dict[str, Any]:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = _child(order, count, said.fileno())
        except BaseException:  # noqa: BLE001 - the parent is told
            import traceback

            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    twin = order.get("twin") and _ended({**order, "twin": False}, said, count)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # processes that it left, as the end of its session would
    said.seek(0)
    steps, grown = (int.from_bytes(count[at : at + 8], "little") for at in (0, 8))
    code = os.waitstatus_to_exitcode(status) or (twin["code"] if twin else 0)
    return {"code": code, "steps": steps, "grown": grown, "said": said.read().decode()}


def _serve() -> None:
    import importlib
    import pkgutil
    import tempfile

    import fxcore

    for module in pkgutil.walk_packages(fxcore.__path__, "fxcore."):
        if module.name != "fxcore.__main__":
            importlib.import_module(module.name)
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_pdf  # noqa: F401
    import torch

    torch.set_num_threads(1)
    for line in sys.stdin:
        with tempfile.TemporaryFile() as said:
            answer = _ended(json.loads(line), said, mmap.mmap(-1, 16))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
