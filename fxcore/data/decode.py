"""Pictures and masks of records at store size, in processes side by side; what was done survives a kill.

Rows are decoded in chunks. A chunk writes its rows of the arrays and then says so in a journal: one that is in the journal is
not done again, if everything that it depends on is the same, its pictures among it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, islice
from math import isfinite
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fxcore.data import duplicates, images, rle, shapes
from fxcore.data.records import Box, Record
from fxcore.errors import InputError
from fxcore.files import is_there, writing
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.progress import Progress

log = logging.getLogger(__name__)

ARRAYS = ("images.npy", "masks.npy", "thumbs.npy")
"""What is written row by row."""
CHUNK = 64
"""Images between two lines of the journal."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt: bytes free at the end of the heap before it shrinks, and bytes of a block that is mapped for itself."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What is known of a picture once it is decoded.

    Its native size; its masks as COCO's counts, in the record's order; a digest of the stored pixels and a perceptual hash; the mean
    of its corners and of the band where lungs lie, 0..255; CRC-32 of its pixels and its masks as stored; and why it cannot be used, if
    so: because the picture itself is `unreadable`, or because something that is said of it does not fit.
    """

    width: int
    height: int
    masks: tuple[str, ...]
    digest: str
    hash: int
    corners: float
    band: float
    crc: int = 0
    mask_crc: int = 0
    wrong: str | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """What decoding needs to know, in every process."""

    work: Path
    classes: tuple[str, ...]
    side: int

    def arrays(self) -> list[np.memmap[Any, np.dtype[np.uint8]]]:
        """Pictures (rows, side, side), masks (rows with masks, classes, side, bytes) and thumbs, to be written in place."""
        return [np.lib.format.open_memmap(self.work / name, mode="r+") for name in ARRAYS]


def rows_of_masks(records: Sequence[Record]) -> list[int]:
    """The row of the masks' array that each record has; -1 for none."""
    rows = count()
    return [-1 if record.masks is None else next(rows) for record in records]


def _arrays(work: Path, images_: int, masked: int, classes: int, side: int) -> None:
    small = (images_, duplicates.SIDE, duplicates.SIDE)
    for name, shape in zip(ARRAYS, ((images_, side, side), (masked, classes, side, -(-side // 8)), small), strict=True):
        path = work / name
        with writing(path):
            np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
            if hasattr(
                os, "posix_fallocate"
            ):  # else a full disk is no error of a mapped file, but a signal that ends the job
                with path.open("r+b") as array:
                    os.posix_fallocate(array.fileno(), 0, path.stat().st_size)


def decode(
    key: str, records: Sequence[Record], dataset: Dataset, side: int, work: Path, identity: str, processes: int
) -> list[Decoded]:
    """Fill `ARRAYS` in `work`; what was found of each record.

    `identity` says everything that the result depends on; what a killed job left in `work` is gone on with if its identity is the
    same.

    What is wrong with a picture is found, said in the log, and no error: the others are decoded, and all that is wrong is known at once.
    """
    classes = dataset.classes(Task.SEGMENTATION)
    mask_rows = rows_of_masks(records)
    journal = _Journal(work / "journal.jsonl", identity, lambda start: _stamp(records[start : start + CHUNK]))
    if not journal.found:
        _arrays(work, len(records), max(mask_rows) + 1, len(classes), side)
    job = Job(work, classes, side)
    starts = [start for start in range(0, len(records), CHUNK) if start not in journal.found]
    work_of = ((job, start, mask_rows[start : start + CHUNK], records[start : start + CHUNK]) for start in starts)
    progress = Progress(f"normalize {key}", sum(len(records[start : start + CHUNK]) for start in starts), "images")
    arrays = job.arrays()
    for start, stamp, found in _mapped(work_of, processes):
        for array in arrays:
            array.flush()  # here, while the processes go on: it waits for the disk
        journal.add(start, stamp, found)
        for one in filter(None, (one.wrong for one in found)):
            log.warning("%s", one)
        progress.advance(len(found))
    return [one for start in sorted(journal.found) for one in journal.found[start]]


def _mapped(work: Iterator[Any], processes: int) -> Iterator[tuple[int, str, list[Decoded]]]:
    if processes == 1:
        _keep_memory()
        yield from map(_chunk, work)
        return
    # Forked from a server that has no threads and has imported what they need, once for all.
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "fxcore.data.dicom"])
    with _watched(), ProcessPoolExecutor(processes, mp_context=context, initializer=_keep_memory) as pool:
        ahead = deque(pool.submit(_chunk, one) for one in islice(work, 2 * processes))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(_chunk, one) for one in islice(work, 1))


@contextmanager
def _watched() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise InputError(
            "a process that decodes pictures died, probably for want of memory; give the machine more, or set fewer threads in"
            " local.yaml, and start again; what is decoded is not decoded again"
        ) from error


def _keep_memory() -> None:
    """Let this process keep what it frees: every picture took its megabytes from the system anew, a thousand page faults each.

    Page faults of several processes wait for each other. Only glibc needs to be told, and only glibc can be.
    """
    if tell := getattr(ctypes.CDLL(None), "mallopt", None):
        tell(_TRIM_THRESHOLD, 512 << 20)
        tell(_MMAP_THRESHOLD, 32 << 20)


class _Journal:
    """Chunks that are done, a line each; the first line is the identity of what they belong to."""

    def __init__(self, path: Path, identity: str, stamp: Callable[[int], str]) -> None:
        """Take from `path` the chunks whose pictures are those that were decoded: `stamp` of a chunk's first row is the same."""
        self.path = path
        self.found: dict[int, list[Decoded]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        arrays_there = all((path.parent / name).exists() for name in ARRAYS)
        if arrays_there and lines and lines[0] == identity:
            last = {start: (made, found) for start, made, found in filter(None, map(_entry, lines[1:]))}
            self.found = {start: found for start, (made, found) in last.items() if made == stamp(start)}
            return
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{identity}\n", encoding="utf-8")

    def add(self, start: int, stamp: str, found: list[Decoded]) -> None:
        """Put down that the chunk from row `start` on is done."""
        self.found[start] = found
        text = json.dumps([start, stamp, [asdict(one) for one in found]])
        with writing(self.path), self.path.open("a", encoding="utf-8") as sink:
            sink.write(f"{_crc(text)} {text}\n")


def _entry(line: str) -> tuple[int, str, list[Decoded]] | None:
    crc, _, text = line.partition(" ")
    if crc != _crc(text):
        return None  # the line that was being written when the job was killed, or a damaged one
    start, stamp, found = json.loads(text)
    return start, stamp, [Decoded(**one | {"masks": tuple(one["masks"])}) for one in found]


def _stamp(records: Sequence[Record]) -> str:
    """What changes when a picture is put there, replaced or taken away: a checksum of sizes and times."""
    seen: list[tuple[int, int] | None] = []
    for record in records:
        try:
            status = record.file.stat()
        except (OSError, ValueError):
            seen.append(None)
        else:
            seen.append((status.st_size, status.st_mtime_ns))
    return hashlib.blake2b(repr(seen).encode(), digest_size=16).hexdigest()


def _crc(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _chunk(work: tuple[Job, int, list[int], Sequence[Record]]) -> tuple[int, str, list[Decoded]]:
    job, start, mask_rows, records = work
    stamp = _stamp(records)
    pictures, packed, thumbs = job.arrays()
    found = [
        _one(job, record, pictures[start + at], None if row < 0 else packed[row], thumbs[start + at])
        for at, (row, record) in enumerate(zip(mask_rows, records, strict=True))
    ]
    return start, stamp, found


def _one(
    job: Job, record: Record, picture: NDArray[np.uint8], packed: NDArray[np.uint8] | None, thumb: NDArray[np.uint8]
) -> Decoded:
    try:
        image = pixels(record)
    except InputError as error:
        return Decoded(0, 0, (), "", 0, 0.0, 0.0, wrong=str(error), unreadable=is_there(record.file))
    height, width = image.shape
    try:
        check_said(record, width, height)
        counts = [] if packed is None else _masks(job, record, height, width, packed)
    except InputError as error:
        return Decoded(0, 0, (), "", 0, 0.0, 0.0, wrong=str(error))
    picture[:] = images.resize(image, job.side)
    thumb[:] = duplicates.thumb(picture)
    digest = hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest()
    sums = zlib.crc32(picture.data), 0 if packed is None else zlib.crc32(packed.data)
    return Decoded(width, height, tuple(counts), digest, duplicates.perceptual(thumb), *_brightness(picture), *sums)


def _masks(job: Job, record: Record, height: int, width: int, packed: NDArray[np.uint8]) -> list[str]:
    """Store a record's masks; each as COCO's counts."""
    counts: list[str] = []
    stored = np.zeros((len(job.classes), job.side, job.side), dtype=np.bool_)
    for mask in record.masks or ():
        bitmap = shapes.bitmap(mask, height, width)
        counts.append(rle.encode(bitmap)["counts"])
        stored[job.classes.index(mask.label)] |= images.resize_mask(bitmap, job.side)
    packed[:] = np.packbits(stored, axis=-1)
    return counts


def _brightness(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """Means of the four corners, an eighth of the side each, and of the band where the spine and the lungs lie."""
    eighth = len(picture) // 8
    edges = (slice(None, eighth), slice(-eighth, None))
    corners = [picture[rows, columns].mean() for rows in edges for columns in edges]
    return float(np.mean(corners)), float(picture[3 * eighth : 5 * eighth, eighth:-eighth].mean())


def pixels(record: Record) -> NDArray[np.uint8]:
    """A record's picture, as its adapter reads it.

    Raises:
        InputError: it cannot be read, or shows nothing.
    """
    image = record.read(record.file, record.where)
    if image.min() == image.max():
        raise InputError(
            f"{record.where}: {record.file} has the value {image.min()} in every pixel; download it again, or list"
            f" {record.image} under exclude"
        )
    return image


def check_said(record: Record, width: int, height: int) -> None:
    """Hold what is said of a picture's size and its boxes against the picture.

    Raises:
        InputError: it is of another picture.
    """
    _check_stated(record, width, height)
    for box in record.boxes or ():
        _check_box(box, record, width, height)


def _check_stated(record: Record, width: int, height: int) -> None:
    for stated in record.stated:
        if (stated.width, stated.height) != (width, height):
            raise InputError(
                f"{stated.where}: says {stated.width} × {stated.height} pixels; the picture {record.image} has"
                f" {width} × {height}; annotate the picture at its own size"
            )


def _check_box(box: Box, record: Record, width: int, height: int) -> None:
    left, top, across, down = box.xywh
    if not (across > 0 and down > 0 and all(map(isfinite, box.xywh))):
        raise InputError(f"{box.where}: box {list(box.xywh)} has no area; correct or remove it")
    if (
        min(left, top) < -shapes.OVERHANG
        or left + across > width + shapes.OVERHANG
        or top + down > height + shapes.OVERHANG
    ):
        raise InputError(
            f"{box.where}: box {list(box.xywh)} (left, top, width, height) leaves the image {record.image}"
            f" of {width} × {height} pixels; correct it"
        )
