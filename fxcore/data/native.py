"""What all adapters need of native files: where they lie, listings, tables, and what to do about a mistake."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib
import io
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from fxcore import paths
from fxcore.complaint import nearest
from fxcore.data import published
from fxcore.data.records import CODES, Box, Code, Record
from fxcore.errors import InputError
from fxcore.files import sha256
from fxcore.machine import Machine
from fxcore.params.datasets import Dataset, View
from fxcore.passes import Task


@dataclass(frozen=True, slots=True)
class Native:
    """A dataset as downloaded: its own folder, and that of the pictures, which is another one where a release has none."""

    folder: Path
    pictures: Path


class Problems:
    """What to do about a mistake in native files: stop at the first, or collect them all; and what adapters leave out for a reason.

    `left` counts images of the release that its own rules say are not to be used, by reason.
    """

    def __init__(self, keep_going: bool = False) -> None:
        self.keep_going = keep_going
        self.found: list[str] = []
        self.left: Counter[str] = Counter()

    def leave(self, reason: str) -> None:
        """Count an image that is left out, which is no mistake."""
        self.left[reason] += 1

    def say(self, message: str) -> None:
        """Report a mistake; returns only where all are collected, and the caller then leaves out what is wrong.

        Raises:
            InputError: with the message, unless all mistakes are collected.
        """
        if not self.keep_going:
            raise InputError(message)
        self.found.append(message)


class Adapter(Protocol):
    """A module of `fxcore.data.adapters`."""

    VERSION: int
    """Raised whenever the records of unchanged files change."""

    def files(self, key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
        """The files that records are made from, and folders whose listing says what there is; no pictures.

        Raises:
            InputError: one that is needed is missing.
        """
        ...

    def records(self, key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
        """Every image of the dataset, with annotations for its tasks only, in an order that does not depend on the machine."""
        ...


def adapter_of(dataset: Dataset) -> Adapter:
    """The module that reads a dataset's format."""
    return cast(Adapter, importlib.import_module(f"fxcore.data.adapters.{dataset.adapter}"))


def files_of(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
    """What a dataset's records are made from: the files of its adapter, and published lists of its images where they lie there.

    Raises:
        InputError: one is missing.
    """
    lists = published.find(dataset.adapter, native.folder)
    return *adapter_of(dataset).files(key, dataset, native), *lists.values()


def locate(results: Path, machine: Machine, key: str, dataset: Dataset) -> Native:
    """Where a dataset's native files lie: a phantom's below the results root, others as the machine says."""
    if dataset.source == "phantom":
        folder = paths.phantom(results, key)
        return Native(folder, folder)
    folder = machine.folder(key, dataset.folder)
    return Native(folder, folder if dataset.pictures is None else machine.folder(key, dataset.pictures))


_SMALL = 1 << 20
"""Bytes of a file whose content planning looks at."""


def checksums(files: Sequence[Path], folder: Path) -> dict[str, str]:
    """SHA-256 of each file by its name below `folder`; of a folder, that of the names and sizes of what is in it."""
    found: dict[str, str] = {}
    for path in files:
        found[_name(path, folder)] = _listing(path) if path.is_dir() else sha256(path)
    return found


def fingerprints(files: Sequence[Path], folder: Path) -> dict[str, str]:
    """What planning knows files by, quickly: `checksums` of small ones and of folders, size and time of large ones."""
    found: dict[str, str] = {}
    for path in files:
        about = path.stat()
        if path.is_dir() or about.st_size <= _SMALL:
            found |= checksums([path], folder)
        else:
            found[_name(path, folder)] = f"{about.st_size} bytes of {about.st_mtime_ns}"
    return dict(sorted(found.items()))  # in the order that a file of them has


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _listing(folder: Path) -> str:
    """A checksum of the names and sizes of all files below a folder."""
    names = (
        f"{(Path(root) / name).relative_to(folder)} {(Path(root) / name).stat().st_size}"
        for root, _, files in os.walk(folder, followlinks=True)
        for name in files
    )
    return hashlib.sha256("\n".join(sorted(names)).encode(errors="surrogateescape")).hexdigest()


def needed(path: Path, key: str) -> Path:
    """The path, if it is there.

    Raises:
        InputError: it is not.
    """
    if not path.exists():
        raise InputError(
            f"datasets.{key}: no {path}; put it there, correct datasets.{key}.folder, or say where native data lie with"
            " FXCORE_NATIVE or local.yaml"
        )
    return path


def first(folder: Path, names: Iterable[str], key: str) -> Path:
    """The first of some alternative names (or glob patterns) that is in a folder.

    Raises:
        InputError: none is.
    """
    tried = list(names)
    for name in tried:
        if found := sorted(folder.glob(name)):
            return found[0]
    raise InputError(
        f"datasets.{key}: {folder} has no {' or '.join(tried)}; put it there, correct datasets.{key}.folder, or say where"
        " native data lie with FXCORE_NATIVE or local.yaml"
    )


def listing(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Files below a folder by name, whichever sub-folder they are in; `suffixes` in lower case, "" for all.

    Raises:
        InputError: two files have one name.
    """
    found: dict[str, Path] = {}
    for root, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if not name.lower().endswith(tuple(suffixes)) or name.startswith("._"):
                continue
            if name in found:
                raise InputError(f"{Path(root) / name}: {found[name]} has the same name; keep one of them")
            found[name] = Path(root) / name
    return found


def check_classes(key: str, dataset: Dataset, known: Mapping[Task, Sequence[str]]) -> None:
    """Refuse classes that a release has no column or category for; it has none for a task that is not among the `known`.

    Raises:
        InputError: a class of one of the dataset's tasks is not known.
    """
    for task in Task:
        names = known.get(task, ())
        if strange := [name for name in dataset.classes(task) if name not in names]:
            raise InputError(
                f"datasets.{key}.{task}.classes: {strange[0]} is no class of this release; {nearest(strange[0], names)}"
            )


def opened(path: Path) -> IO[str]:
    """A text file, compressed by gzip if its name says so; a byte-order mark is skipped."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


_LONGEST = 1 << 24
"""Letters of a line."""
Row = Mapping[str, str]
"""Cells by column, stripped."""


def lines(path: Path) -> Iterator[list[str]]:
    """The stripped cells of each line of a CSV, its header first, however many they are.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with opened(path) as source:
            for cells in csv.reader(_bounded(source)):
                yield list(map(str.strip, cells))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; download it again") from error
    except (OSError, EOFError, csv.Error, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); download it again") from error


def _bounded(source: IO[str]) -> Iterator[str]:
    """The lines of a file; one that is none would be in memory as a whole before anybody saw it."""
    while line := source.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise csv.Error(f"a line of more than {_LONGEST - 1:,} letters")
        yield line


def rows(
    path: Path, needs: Sequence[str], problems: Problems, aliases: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Row]]:
    """Rows of a CSV with their place in it (`file, row 2` is the first after the header), by the names of its header.

    `aliases` gives our name of columns that releases spell in several ways. Names and cells are stripped. Columns that nobody
    needs are ignored; a row with too few or too many cells is a mistake.

    Raises:
        InputError: no CSV, or a column of `needs` is missing; a wrong row, unless mistakes are collected.
    """
    content = lines(path)
    names = next(content, [])
    header = [(aliases or {}).get(name, name) for name in names]
    if missing := [name for name in needs if name not in header]:
        raise InputError(
            f"{path}: no column {missing[0]!r}; it has {', '.join(names) or 'no header'}; is it the release's own file?"
        )
    for number, cells in enumerate(content, start=2):
        if len(cells) == len(header):
            yield f"{path}, row {number}", dict(zip(header, cells, strict=True))
        elif cells:
            problems.say(f"{path}, row {number}: has {len(cells)} cells; the header has {len(header)}")


def codes(
    row: Row, classes: Sequence[str], where: str, problems: Problems, known: Mapping[str, Code] = CODES
) -> dict[str, Code] | None:
    """What a row says of some classes, in the writing of `known`; None where a cell is a mistake."""
    try:
        return {name: known[row[name]] for name in classes}
    except KeyError:
        wrong = next(name for name in classes if row[name] not in known)
    allowed = ", ".join(text or "blank" for text in known)
    problems.say(f"{where}: {wrong} is {row[wrong]!r}; expected one of {allowed}")
    return None


def box(label: str, xywh: Sequence[str], where: str, problems: Problems, reader: str | None = None) -> Box | None:
    """A box of left, top, width and height as text; None where that is a mistake."""
    try:
        left, top, width, height = map(float, xywh)
    except ValueError:
        left = top = width = height = math.nan
    if not all(map(math.isfinite, (left, top, width, height))) or width <= 0 or height <= 0:
        problems.say(f"{where}: the box of {label} is {', '.join(xywh)}; expected left, top, width, height, above 0")
        return None
    return Box(label, (left, top, width, height), where, reader)


_VIEWS: dict[str, View | None] = {
    **dict.fromkeys(("", "UNK")),
    "PA": "PA",
    **dict.fromkeys(("AP", "AP_HORIZONTAL"), "AP"),
    **dict.fromkeys(("L", "LL", "RL", "LAT", "LATERAL", "XTABLE LATERAL"), "LAT"),
}


def view(text: str) -> View | None:
    """A projection as releases name it; oblique, decubitus and other rare ones are OTHER."""
    return _VIEWS.get(text.upper(), "OTHER")


class Unique:
    """Refuses an identifier that comes twice."""

    def __init__(self, problems: Problems, what: str = "image") -> None:
        self.problems, self.what = problems, what
        self.seen: dict[str, str] = {}

    def __call__(self, name: str, where: str) -> bool:
        """Whether `name` is new; one that is not is a mistake."""
        before = self.seen.setdefault(name, where)
        if before is not where:
            self.problems.say(f"{where}: {self.what} {name} is in {before} already; keep one")
        return before is where


def numbers(row: Row, columns: Sequence[str], where: str, problems: Problems) -> list[float] | None:
    """The numbers in some cells of a row; None where one is no finite number, which is a mistake."""
    found: list[float] = []
    for name in columns:
        try:
            value = float(row[name])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            problems.say(f"{where}: {name} is {row[name]!r}; expected a number")
            return None
        found.append(value)
    return found


def header(path: Path, where: str, keywords: Sequence[str]) -> dict[str, str]:
    """Values in the header of a DICOM file as text, "" for one that is not there; the picture is not read.

    Raises:
        InputError: the file is missing, is no DICOM, or is cut short.
    """
    from fxcore.data import dicom  # pydicom is slow to import, and only some adapters look at headers

    with dicom.readable(path, where):
        found = dicom.opened(path, stop_before_pixels=True, specific_tags=list(keywords))
        return {name: str(found.get(name) or "").strip() for name in keywords}


def header_view(path: Path, where: str, problems: Problems) -> View | None:
    """The projection that a DICOM header states; one that cannot be read is a mistake."""
    try:
        return view(header(path, where, ["ViewPosition"])["ViewPosition"])
    except InputError as error:
        problems.say(str(error))
        return None


def header_size(path: Path, where: str, problems: Problems) -> tuple[int, int] | None:
    """Height and width in pixels that a DICOM header states; one that cannot be read, or does not say, is a mistake."""
    try:
        stated = header(path, where, ["Rows", "Columns"])
    except InputError as error:
        problems.say(str(error))
        return None
    if not (stated["Rows"].isdecimal() and stated["Columns"].isdecimal()):
        problems.say(f"{where}: {path} does not say how large it is; download it again or remove the row")
        return None
    return int(stated["Rows"]), int(stated["Columns"])
