"""Native files by their route: fetched, verified and put in place, or the words that tell a person what to ask for. Nothing else of
fxcore opens a connection.

Everything on its way is in `.retrieve` of the dataset's folder. A file gets its name there only when it is whole, and what came
is written down, so that a retrieval may be killed at any time, goes on where it was, and needs no network when nothing is missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import quote

from fxcore.data import archives, kaggle
from fxcore.data.ledger import Entry, Ledger
from fxcore.data.native import Native, adapter_of
from fxcore.data.transfer import HEADROOM, Patience, Remote, StopError, Traffic, fetch
from fxcore.errors import InputError
from fxcore.escaping import redacted
from fxcore.files import sha256, write_json
from fxcore.params.registry import registry
from fxcore.params.routes import PhysioNet, Route
from fxcore.progress import amount
from fxcore.slices.data import RetrieveSlice

log = logging.getLogger(__name__)

PATIENCE = Patience()
STATE = ".retrieve"
SUMS = "SHA256SUMS.txt"
_SHOWN = 1000
"""Files that a record names one by one; of more it has a checksum of the list."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a route, or an archive whose content is wanted."""

    remote: Remote
    extract: bool = False

    @property
    def source(self) -> str:
        """Where it comes from, for everybody to read."""
        return redacted(self.remote.url)

    @property
    def folder(self) -> str:
        """Of what is on its way of it: no other file has it, nor this one from elsewhere."""
        return hashlib.sha256(f"{self.source} {self.remote.name}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Place:
    """A dataset's folder while files come into it."""

    folder: Path
    ledger: Ledger
    lock: int
    merging: threading.Lock = field(default_factory=threading.Lock)

    @property
    def state(self) -> Path:
        """What is on its way."""
        return self.folder / STATE

    def whole(self, one: Wanted) -> Entry | None:
        """What is written down of a file that is there."""
        return self.ledger.whole(one.remote.name, one.source, one.remote.sha256)


def retrieve(
    slice_: RetrieveSlice,
    native: Native,
    record: Path,
    connections: int,
    force: bool = False,
    patience: Patience = PATIENCE,
) -> str:
    """Fetch what is missing of a dataset, write down what there is, and say so; with `force` fetch all of it anew.

    Raises:
        InputError: one line why not; what came so far stays, and the same call goes on with it.
    """
    key, route, folder = slice_.key, slice_.route, native.folder
    if connections < 1:
        raise InputError(f"--connections {connections}: give at least 1")
    if route.kind == "by_hand":
        return _there(slice_, native)
    with _opened(folder, key) as place:
        if force:
            place.ledger.forget()
            _clear(place)
        if route.kind == "kaggle":
            entries = [_by_client(slice_, place, patience)]
            facts: dict[str, Any] = {"from": entries[0].source}
        else:
            wanted, facts = _wanted(slice_, place, patience)
            entries = _all(key, route, wanted, place, connections, patience)
        _clear(place)
    write_json(record, {"dataset": key, "route": route.kind, **facts, **_summary(entries)}, seal=False)
    size = sum(sum(one.holds.values()) or one.size for one in entries)
    files = sum(len(one.holds) or 1 for one in entries)
    said = f"{key}: {files:,} files, {amount(size, 'B')}, are in {folder}, each as it was when it was verified\n"
    if native.pictures != folder and not native.pictures.is_dir():
        said += f"Its pictures are not there yet: {native.pictures} (fxcore retrieve {slice_.dataset.pictures})\n"
    return said


def describe(slice_: RetrieveSlice, native: Native) -> str:
    """For a person: what it takes to get a dataset, and where its files go."""
    key, route, known = slice_.key, slice_.route, registry().get(slice_.dataset.adapter)
    lines = [f"{key}: {known.title} {known.version} ({known.access}; {known.licence})" if known else key]
    steps = (*route.before, *(route.by_hand.steps if route.by_hand else ()))
    lines += [f"  {number}. {step}" for number, step in enumerate(steps, 1)]
    if route.by_hand:
        lines += [f"Put this into {native.folder}:", *(f"  {one}" for one in route.by_hand.tree)]
        lines += [f"Then, with source: native in the parameters: fxcore check {key}"]
    if route.gigabytes:
        lines.append(f"It takes about {route.gigabytes:g} GB.")
    return "\n".join([*lines, *([route.note] if route.note else [])]) + "\n"


def _there(slice_: RetrieveSlice, native: Native) -> str:
    """Of a dataset that no machine fetches: that what is needed is in place.

    Raises:
        InputError: it is not.
    """
    adapter_of(slice_.dataset).files(slice_.key, slice_.dataset, native)
    return f"{slice_.key}: what it is read from is in {native.folder}; fxcore check {slice_.key} reads it\n"


@contextmanager
def _opened(folder: Path, key: str) -> Iterator[Place]:
    """The dataset's folder, for this process alone."""
    state = folder / STATE
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error.strerror}); say elsewhere where native data lie"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: another retrieval is at work in %s; waiting until it has ended", key, folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in state.glob("*/tmp????????"):  # of a killed process: pooch's names of what is not verified
            left.unlink()
        shutil.rmtree(state / "unpacked", ignore_errors=True)
        yield Place(folder, Ledger(state / "ledger.jsonl", folder), lock)
    finally:
        os.close(lock)


def _clear(place: Place) -> None:
    """Remove what is on its way, once everything is in place or is to be fetched anew."""
    for path in place.state.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in ("lock", "ledger.jsonl"):
            path.unlink()


def _wanted(slice_: RetrieveSlice, place: Place, patience: Patience) -> tuple[list[Wanted], dict[str, Any]]:
    """The files of a route, and what the record says of where they come from."""
    route, access = slice_.route, _access(slice_)
    if route.physionet is None:
        files = [one for file in route.http or () for one in file.each()]
        return [Wanted(Remote(one.url, one.place, one.sha256, one.size, access), one.extract) for one in files], {}
    project = route.physionet
    base = project.url.rstrip("/") + "/"
    sums = Wanted(Remote(base + SUMS, SUMS, access=access))
    _all(slice_.key, route.model_copy(update={"gigabytes": None}), [sums], place, 1, patience)
    listed = [Wanted(Remote(base + quote(name), name, value, None, access)) for name, value in _sums(place, project)]
    return [sums, *listed], {"from": redacted(base), "only": list(project.only)}


def _access(slice_: RetrieveSlice) -> str:
    """What it takes to be let in, for messages."""
    known = registry().get(slice_.dataset.adapter)
    given = slice_.route.before
    return (
        f"{known.access}; fxcore retrieve {slice_.key} lists it" if known and given else (known.access if known else "")
    )


def _sums(place: Place, project: PhysioNet) -> list[tuple[str, str]]:
    """The files that a project's list of checksums names, as far as they are wanted."""
    found: list[tuple[str, str]] = []
    path = place.folder / SUMS
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        value, _, name = line.strip().partition(" ")
        name = name.strip().removeprefix("*").removeprefix("./")
        inside = archives.inside(name)
        hexadecimal = len(value) == 64 and not set(value) - set("0123456789abcdef")
        if line.strip() and (inside is None or not hexadecimal or inside.parts[0] == STATE):
            raise InputError(
                f"{path}, row {number}: is no checksum and path below the folder; is it PhysioNet's own list?"
            )
        if line.strip() and name != SUMS and (not project.only or any(fnmatchcase(name, one) for one in project.only)):
            found.append((str(inside), value))
    if not found:
        raise InputError(
            f"{path}: names no file like {', '.join(project.only) or 'any'}; correct retrieve.physionet.only"
        )
    return found


def _all(
    key: str, route: Route, wanted: Sequence[Wanted], place: Place, connections: int, patience: Patience
) -> list[Entry]:
    """The entries of all files, in their order, after those that are missing were fetched."""
    there = {one.remote.name: place.whole(one) for one in wanted}
    missing = [one for one in wanted if there[one.remote.name] is None]
    if missing:
        _room(route, wanted, missing, place)
        sizes = [one.remote.size for one in missing]
        traffic = Traffic(key, len(missing), sum(map(int, sizes)) if all(sizes) else None, patience)  # type: ignore[arg-type]
        log.info("%s: %d of %d files are to be fetched, or verified if they lie there", key, len(missing), len(wanted))
        for name, entry in _each(missing, lambda one: _get(one, place, traffic), connections, traffic).items():
            there[name] = entry
    return [entry for entry in there.values() if entry is not None]


def _each(
    missing: Sequence[Wanted], get: Callable[[Wanted], Entry], connections: int, traffic: Traffic
) -> dict[str, Entry]:
    """`get` of each, some at a time; the first failure stops the others.

    Raises:
        InputError: the first failure.
    """
    waiting: SimpleQueue[Wanted] = SimpleQueue()
    for one in missing:
        waiting.put(one)
    found: dict[str, Entry] = {}

    def work() -> None:
        """Take what is next until nothing is left."""
        while not traffic.stop.is_set():
            try:
                one = waiting.get_nowait()
            except Empty:
                return
            found[one.remote.name] = get(one)
            traffic.moved(0, files=1)

    with ThreadPoolExecutor(min(connections, len(missing))) as pool:
        try:
            running = [pool.submit(work) for _ in range(min(connections, len(missing)))]
            wait(running, return_when=FIRST_EXCEPTION)
        finally:  # after an interrupt from the keyboard, too: the pool waits for its threads
            if len(found) < len(missing):
                traffic.stop.set()
    errors = [error for one in running if (error := one.exception()) is not None]
    if errors:
        raise next((error for error in errors if not isinstance(error, StopError)), errors[0])
    return found


def _get(one: Wanted, place: Place, traffic: Traffic) -> Entry:
    """Fetch a file, or take it as it lies there if it has the right checksum; put it in place and write it down."""
    remote, target = one.remote, place.folder / one.remote.name
    if remote.sha256 and not one.extract and target.is_file():
        if sha256(target) == remote.sha256:
            about = target.stat()
            entry = Entry(remote.name, one.source, remote.sha256, about.st_size, about.st_mtime_ns)
            place.ledger.add(entry)
            return entry
        log.info("%s: another file of that name lies there; it is replaced", remote.name)
    before = place.ledger.entries.get(remote.name)
    if remote.sha256 is None and before is not None and before.source == one.source:
        remote = replace(remote, sha256=before.sha256)
    path = fetch(remote, place.state / one.folder, Path(remote.name).name[-80:], traffic)
    if one.remote.sha256 is None:
        try:
            archives.check(path)
        except InputError:
            path.unlink()
            raise
    entry = Entry(remote.name, one.source, remote.sha256 or sha256(path), path.stat().st_size)
    return _unpacked(entry, path, place) if one.extract else _placed(entry, path, target, place)


def _placed(entry: Entry, path: Path, target: Path, place: Place) -> Entry:
    # Written down first: a process that is killed between the two finds the file on its way, and its checksum.
    entry = replace(entry, time=path.stat().st_mtime_ns)
    place.ledger.add(entry)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be put there ({error.strerror}); make that possible and start again"
        ) from error
    return entry


def _unpacked(entry: Entry, path: Path, place: Place) -> Entry:
    """Unpack an archive beside, move what is in it to the dataset's folder, and remove it."""
    made = place.state / "unpacked" / path.parent.name
    log.info("%s: unpacking %s", entry.name, amount(entry.size, "B"))
    try:
        holds = archives.extract(path, made)
        if not holds or any(name.partition("/")[0] == STATE for name in holds):
            raise archives.ArchiveError(
                f"{entry.name}: has {f'a folder {STATE}' if holds else 'no file'}; unpack it yourself"
            )
        with place.merging:
            archives.merge(made, place.folder)
    except archives.ArchiveError:
        path.unlink()
        raise
    except OSError as error:
        raise InputError(
            f"{place.folder}: cannot unpack {entry.name} ({error.strerror}); make that possible and start again"
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    entry = replace(entry, holds=holds)
    place.ledger.add(entry)
    path.unlink()
    return entry


def _by_client(slice_: RetrieveSlice, place: Place, patience: Patience) -> Entry:
    """The content of the archive that Kaggle's client downloads."""
    route = slice_.route
    assert route.kaggle is not None
    one = Wanted(Remote(route.kaggle.page, f"{route.kaggle.page.rpartition('/')[2]}.zip"), extract=True)
    if entry := place.whole(one):
        return entry
    _room(route, [one], [one], place)
    traffic = Traffic(slice_.key, 1, None, patience)
    path = kaggle.download(route.kaggle, place.state / one.folder, traffic, place.lock)
    return _unpacked(Entry(one.remote.name, one.source, sha256(path), path.stat().st_size), path, place)


def _room(route: Route, wanted: Sequence[Wanted], missing: Sequence[Wanted], place: Place) -> None:
    """Whether the disk has room for what is missing; an archive is there beside what comes out of it for a time.

    Raises:
        InputError: it has not.
    """
    absent = [one for one in missing if one.extract or not (place.folder / one.remote.name).exists()]
    known = sum((one.remote.size or 0) * (2 if one.extract else 1) for one in absent)
    share = len(absent) / len(wanted) * (2 if all(one.extract for one in absent) else 1)
    coming = sum(path.stat().st_size for path in place.state.rglob("*") if path.is_file())
    need = max(known, int((route.gigabytes or 0) * 1e9 * share)) - coming
    free = shutil.disk_usage(place.folder).free
    if free < need + HEADROOM:
        raise InputError(
            f"{place.folder}: about {amount(need, 'B')} are to come, and {amount(free, 'B')} are free; free space, or say elsewhere"
            " where native data lie with FXCORE_NATIVE or local.yaml"
        )


def _summary(entries: Sequence[Entry]) -> dict[str, Any]:
    """What a record says of files: nothing that differs between two machines."""
    lines = sorted(f"{one.sha256}  {one.name}" for one in entries)
    named = [
        {"name": one.name, "from": one.source, "sha256": one.sha256, "bytes": one.size}
        | ({"holds": len(one.holds)} if one.holds else {})
        for one in entries[:_SHOWN]
    ]
    return {
        "files": len(entries),
        "bytes": sum(one.size for one in entries),
        "digest": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        "named": named if len(entries) <= _SHOWN else named[:1],
    }
