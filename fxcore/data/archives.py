"""Archives of strangers: whole or refused, and nothing of them outside the folder they are unpacked to."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from fxcore.errors import InputError
from fxcore.progress import amount

_CHUNK = 1 << 20
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError),
    *(ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError, struct.error),
)
_OPENERS = {".gz": gzip.GzipFile, ".tgz": gzip.GzipFile, ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile}
_ITS_OWN = (None, errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)
"""Errors of the system that come from places and names in an archive."""
_HEADER = 1 << 20
"""Bytes of one that says more about a file of a tar."""
_DRIVE = re.compile(r"[A-Za-z]:")


class ArchiveError(InputError):
    """An archive that is damaged, or would do what no archive of pictures does."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may unpack to before it is taken for a bomb; pictures hardly shrink, tables some ten times."""

    total: int = 4 * 10**12
    """Bytes of all its files."""
    ratio: int = 100
    """These to the bytes of the archive, once they are more than `free`."""
    free: int = 10**9
    """Bytes that any archive may have."""
    files: int = 5 * 10**6
    """How many."""
    headroom: int = 10**8
    """Bytes that the disk must have left."""


LIMITS = Limits()


def inside(name: str) -> PurePosixPath | None:
    """A name in an archive as a path below a folder; None for one that is absolute, goes up, or has a drive letter."""
    path = PurePosixPath(name)
    unsafe = not name.strip() or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    return None if unsafe or _DRIVE.match(name) or not path.parts else path


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    folder: bool
    odd: str
    """What it is, where that is neither a file nor a folder."""
    open: Callable[[], IO[bytes]]


def extract(archive: Path, folder: Path, limits: Limits = LIMITS) -> dict[str, int]:
    """Unpack a zip or tar into an empty folder; every file by its name below it, with its bytes.

    Raises:
        ArchiveError: it is damaged, a name leaves the folder or comes twice, a member is a link or a device, or it is far larger than
            any archive of pictures.
        InputError: the disk is too full.
    """
    folder.mkdir(parents=True)
    found: dict[str, int] = {}
    gauge = _Gauge(archive, folder, limits)
    with _readable(archive):
        for member in _members(archive):
            name = _place(archive, member)
            target = folder / name
            if member.folder:
                _make(target, archive, member)
                continue
            if str(name) in found or target.exists():
                raise ArchiveError(f"{archive.name}: {member.name!r} comes twice in it; nothing of it was taken")
            gauge.announce(member)
            _make(target.parent, archive, member)
            found[str(name)] = _copy(member, target, gauge)
    return found


def check(path: Path) -> None:
    """Read a compressed file or archive to its end; any other kind is not looked at.

    Raises:
        ArchiveError: it is damaged or cut short.
    """
    with _readable(path):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as opened:
                if bad := opened.testzip():
                    raise zipfile.BadZipFile(f"{bad} has another checksum")
        elif opener := _OPENERS.get(path.suffix):
            with opener(path) as source:
                while source.read(_CHUNK):
                    pass
        elif path.suffix == ".tar":
            with path.open("rb") as plain:
                plain.seek(-min(512, path.stat().st_size), 2)
                if any(plain.read()):  # tarfile takes what was cut between two files for whole
                    raise EOFError("it has no end")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGED, OSError) as error:
        if getattr(error, "errno", None) not in _ITS_OWN:  # of the disk, not of what is read
            raise
        first, *_ = str(error).splitlines() or [type(error).__name__]
        raise ArchiveError(
            f"{path.name}: is damaged or cut short ({first.rstrip(':')}); it is no whole archive"
        ) from error
    except RecursionError as error:  # of headers that are about headers
        raise ArchiveError(f"{path.name}: is damaged (headers without end); it is no whole archive") from error
    except RuntimeError as error:  # what zipfile says of a password, or of a compression that it does not know
        raise ArchiveError(f"{path.name}: {error}; unpack it yourself") from error


class _Info(tarfile.TarInfo):
    """A header of a tar; one that is about others is read whole, and has a name and times in it, no more."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        ordinary = self.isreg() or self.isdir() or self.issym() or self.islnk() or self.isdev()
        if not ordinary and self.size > _HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


def _members(archive: Path) -> Iterator[_Member]:
    if archive.suffix == ".zip" or zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for one in opened.infolist():
                kind = stat.S_IFMT(one.external_attr >> 16)
                odd = "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "a link or a device"
                # As it stands in the archive: zipfile itself would cut a name at a zero, and turn strokes.
                yield _Member(one.orig_filename, one.file_size, one.is_dir(), odd, lambda one=one: opened.open(one))  # type: ignore[misc]
        return
    with tarfile.open(archive, tarinfo=_Info) as tar:
        for info in tar:
            odd = "" if info.isreg() or info.isdir() else "a link" if info.issym() or info.islnk() else "a device"
            yield _Member(info.name, info.size, info.isdir(), odd, lambda info=info: tar.extractfile(info))  # type: ignore


def _place(archive: Path, member: _Member) -> PurePosixPath:
    path = inside(member.name)
    if path is None:
        raise ArchiveError(f"{archive.name}: {member.name!r} in it lies outside its folder; nothing of it was taken")
    if member.odd:
        raise ArchiveError(f"{archive.name}: {member.name!r} in it is {member.odd}; nothing of it was taken")
    return path


def _make(folder: Path, archive: Path, member: _Member) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ArchiveError(
            f"{archive.name}: {member.name!r} in it is a file and a folder; nothing of it was taken"
        ) from error


class _Gauge:
    """Counts what an archive unpacks to, as it says and as it turns out."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self.archive, self.folder, self.limits = archive, folder, limits
        packed = archive.stat().st_size
        self.most = min(limits.total, max(limits.free, limits.ratio * packed))
        self.files = self.written = 0

    def announce(self, member: _Member) -> None:
        """A file that is to come."""
        self.files += 1
        if self.files > self.limits.files:
            raise ArchiveError(f"{self.archive.name}: has more than {self.limits.files:,} files; it looks like a bomb")
        self._bound(self.written + member.size)
        if (free := shutil.disk_usage(self.folder).free) < member.size + self.limits.headroom:
            raise InputError(
                f"{self.folder}: {amount(free, 'B')} are free, too few to unpack {self.archive.name}; free space and start again"
            )

    def add(self, size: int) -> None:
        """Bytes that were written."""
        self.written += size
        self._bound(self.written)

    def _bound(self, size: int) -> None:
        if size > self.most:
            raise ArchiveError(
                f"{self.archive.name}: unpacks to more than {amount(self.most, 'B')}, from"
                f" {amount(self.archive.stat().st_size, 'B')}; it looks like a bomb, and nothing of it was taken"
            )


def _copy(member: _Member, target: Path, gauge: _Gauge) -> int:
    size = 0
    with member.open() as source, target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            gauge.add(len(chunk))
            size += sink.write(chunk)
    if size != member.size:
        raise EOFError(f"{member.name!r} ends after {size:,} of {member.size:,} bytes")
    return size


def merge(made: Path, folder: Path) -> None:
    """Move everything below one folder into another on the same disk, file by file where a folder is there already."""
    for path in sorted(made.iterdir()):
        target = folder / path.name
        if path.is_dir() and target.is_dir():
            merge(path, target)
            path.rmdir()
        else:
            path.replace(target)
