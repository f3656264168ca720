"""Writing files so that nothing half-written ever stands under a declared name, and reading back exactly what was written."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from fxcore.errors import REFUSED, InputError

_CHUNK = 1 << 20
_SEAL = '\n "seal": "'
"""What stands between a JSON object and the SHA-256 of all before."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line that the system refused what writing `path` takes.

    Raises:
        InputError: the disk is full, or broken, or somebody else's.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        where = f": {error.filename}" if error.filename else ""
        raise InputError(
            f"{path}: cannot be written ({error.strerror}{where}); make room or rights there, and start again"
        ) from error


def _part(path: Path) -> Path:
    """A name beside `path` that no other process gives."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}.part")


def _host() -> str:
    return f"{zlib.crc32(os.uname().nodename.encode()):08x}"


@cache
def _tidy(folder: Path) -> None:
    """Remove what killed processes of this machine left in a folder; once, since others may write a hundred thousand files there."""
    for part in folder.glob(f".*.{_host()}-*.part"):
        pid = part.name.removesuffix(".part").rpartition("-")[2]
        if pid.isdecimal() and not _runs(int(pid)):
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; move it there when the block ends well, remove it otherwise.

    Raises:
        InputError: the system refuses, for example because the disk is full; what was there before is still there.
    """
    part = _part(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path.parent)
        try:
            part.touch()
            mode = part.stat().st_mode
            yield part
            part.chmod(mode)  # some libraries make files that only their owner can read
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new, empty folder beside `path`; put it in the place of `path` when the block ends well, remove it otherwise.

    Raises:
        InputError: the system refuses, for example because the disk is full.
    """
    part = _part(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path.parent)
        try:
            part.mkdir()
            yield part
            shutil.rmtree(path, ignore_errors=True)
            part.replace(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, atomically."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: object, seal: bool = True) -> None:
    """Write an object as JSON whose bytes depend on nothing but the content (sorted keys, no NaN), atomically.

    Its last entry is a seal, for `read_json`; not in files that only other programs and people read.
    """
    text = json.dumps(content, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    write_text(path, sealed(text) if seal else f"{text}\n")


def sealed(text: str) -> str:
    """A JSON object with the SHA-256 of all that stands before as its last entry."""
    body = text.removesuffix("}").rstrip()
    return _closed(body if body == "{" else f"{body},")


def unsealed(text: str) -> dict[str, Any]:
    """The object that was sealed.

    Raises:
        ValueError: this is no JSON object that was sealed, or a character has changed.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or text != _closed(text.rpartition(_SEAL)[0]):
        raise ValueError("it does not have the checksum that it was written with")
    del content["seal"]
    return content


def _closed(body: str) -> str:
    return f'{body}{_SEAL}{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'


def is_there(path: Path) -> bool:
    """Whether a path is a file; a name that is too long or has a zero in it is none's."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def link(source: Path, target: Path) -> None:
    """Put a file in the place of another, if it is not that file already: a hard link where the file system has them."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(target)
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, part)
    part.replace(target)


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file of the results says.

    Raises:
        InputError: it is not readable, or not what was written; how to make it again.
    """
    try:
        return unsealed(path.read_bytes().decode())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({error}); {again(path)}") from error


def again(path: Path) -> str:
    """What to do about a file of the results that is not right."""
    return f"make it again with: {snakemake('--force', '--', str(path))}"


def snakemake(*more: str, file: str | None = None) -> str:
    """The command of a person who makes the results of a parameter file, or those that this job is one of: Snakemake tells its jobs."""
    file = file or os.environ.get("FXCORE_PARAMS", "params.yaml")
    chosen = () if file == "params.yaml" else ("--config", f"params={file}")
    return shlex.join(("snakemake", "--cores", "all", *chosen, *more))
