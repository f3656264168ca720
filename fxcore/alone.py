"""One job at a time where two would be in each other's way: in a folder of unfinished work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fxcore.errors import InputError
from fxcore.files import writing


@contextmanager
def alone(work: Path, doing: str) -> Iterator[None]:
    """Hold the lock of `work`, which lies beside it; the system lets go of it when the process ends, however it ends.

    Raises:
        InputError: another job is `doing` that; or the lock is somebody else's file.
    """
    lock = FileLock(work.with_name(f"{work.name}.lock"))
    try:
        with writing(work):
            work.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"another job is {doing}; wait for that one, or stop it") from error
    try:
        yield
    finally:
        lock.release()
