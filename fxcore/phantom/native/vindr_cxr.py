"""VinDr-CXR as PhysioNet gives it: DICOM of several kinds and sizes, three readers who differ, consensus in test."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fxcore.data import policies
from fxcore.data.adapters.vindr_cxr import GLOBAL, LOCAL
from fxcore.data.counts import Counts
from fxcore.data.records import Box, Code
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom import labels
from fxcore.phantom.case import Case, extent, framed
from fxcore.phantom.native import formats
from fxcore.phantom.release import Findings, Release

_KINDS: tuple[tuple[formats.Syntax, int, bool], ...] = (
    ("explicit", 12, False),
    ("explicit", 14, True),
    ("jpeg2000", 16, False),
    ("explicit", 16, False),
    ("jpeg2000", 8, True),
)
"""Transfer syntax, bits stored, and whether MONOCHROME1."""
_SHIFTS = ((0.0, 0.0), (0.5, -0.25), (-0.25, 0.5))
"""Of the readers' boxes, in pixels right and down."""

_DRAWN = (
    *("Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "ILD", "Infiltration"),
    *("Lung Opacity", "Nodule/Mass", "Other lesion", "Pleural effusion", "Pleural thickening", "Pneumothorax"),
    "Pulmonary fibrosis",
)
"""Findings with boxes that Foundation X localizes in figure 3; the registry has the classes of whole images only."""


class Read(NamedTuple):
    """What one reader says: classes that are there, and boxes as class and corners."""

    reader: str
    there: frozenset[str]
    boxes: list[tuple[str, tuple[float, float, float, float]]]


def image_of(number: int, _: Findings) -> str:
    """The release's name of a picture."""
    return f"{9 * 16**31 + number:032x}"


def _group(number: int, findings: Findings) -> str:
    return f"vindr_cxr:{image_of(number, findings)}"


RELEASE = Release("vindr_cxr", image=image_of, group=_group, also=_DRAWN)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Those for validation are in the release's training part."""
    counts = Counts()
    (folder / "annotations").mkdir(parents=True)
    images: dict[Split, list[list[str]]] = {Split.TRAIN: [], Split.TEST: []}
    drawn: dict[Split, list[list[str]]] = {Split.TRAIN: [], Split.TEST: []}
    for case in cases:
        split = Split.TEST if case.split is Split.TEST else Split.TRAIN
        image, (left, top) = image_of(case.number, case.findings), margins(case.number)
        wide = picture(folder / str(split) / f"{image}.dicom", case, case.number)[1]
        reads = _reads(case, 1 if split is Split.TEST else 3, wide, left, top)
        for read in reads:
            by = [read.reader] if split is Split.TRAIN else []
            images[split].append([image, *by, *(str(int(name in read.there)) for name in (*LOCAL, *GLOBAL))])
            corners = [[name, *map(str, box)] for name, box in read.boxes] or [["No finding", "", "", "", ""]]
            drawn[split] += [[image, *by, *cells] for cells in corners]
        counts.add(split, None, _voted(reads, dataset), _kept(reads, dataset, wide))
    for split in images:
        by = ["rad_id"] if split is Split.TRAIN else []
        _table(folder / f"annotations/image_labels_{split}.csv", [["image_id", *by, *LOCAL, *GLOBAL], *images[split]])
        names = ["image_id", *by, "class_name", "x_min", "y_min", "x_max", "y_max"]
        _table(folder / f"annotations/annotations_{split}.csv", [names, *drawn[split]])
    for name in ("LICENSE.txt", "SHA256SUMS.txt"):
        (folder / name).write_text("synthetic\n", encoding="utf-8")
    return counts


def margins(number: int) -> tuple[int, int]:
    """Unexposed pixels left and right of the phantom of a number, and above it."""
    return number % 4, 10 + number % 7


def within(content: formats.Grey, number: int) -> formats.Grey:
    """The picture of a number, or a mask of it, within its margins."""
    left, top = margins(number)
    return framed(content, left=left, right=left, top=top)


def picture(path: Path, case: Case, number: int) -> tuple[int, ...]:
    """Write a case as the release's picture of some number; its rows and columns.

    No patient in the header, and a window over all of the range, as almost everywhere in the release.
    """
    shown = within(case.pixels, number)
    syntax, bits, inverted = _KINDS[number % len(_KINDS)]
    window = {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}
    formats.dicom(
        path,
        np.ascontiguousarray(shown),
        f"1.2.999.3.{number + 1}",
        syntax,
        bits,
        inverted,
        PatientAge="000Y",
        **window,
    )
    return shown.shape


def _reads(case: Case, readers: int, width: int, left: int, top: int) -> list[Read]:
    """What the readers say. Of every tenth picture one sees nothing, and of another tenth one draws past the edge."""
    there = frozenset(name for name in (*LOCAL, *GLOBAL) if labels.known(name) and case.has(name))
    found: list[Read] = []
    for number, (right, down) in enumerate(_SHIFTS[:readers]):
        boxes: list[tuple[str, tuple[float, float, float, float]]] = []
        for name in LOCAL:
            for shape in case.shapes(name):
                at, row, across, high = extent(shape)
                x, y = at + left + right, row + top + down
                boxes.append((name, (x, y, x + across, y + high)))
        reader = f"R{(case.number + number) % 17 + 1}"
        found.append(Read(reader, there, boxes))
    last = found[-1]
    if readers == 3 and case.number % 10 == 4:
        found[-1] = Read(last.reader, frozenset({"No finding"}), [])
    elif readers == 3 and case.number % 10 == 1 and last.boxes:
        name, (near, upper, _, low) = last.boxes[0]
        last.boxes[0] = name, (near, upper, width + 1.5, low)
    return found


def _voted(reads: Sequence[Read], dataset: Dataset) -> dict[str, Code] | None:
    classes = dataset.classes(Task.CLASSIFICATION)
    votes = {name: policies.vote([1 if name in one.there else 0 for one in reads], dataset.readers) for name in classes}
    return votes or None


def _kept(reads: Sequence[Read], dataset: Dataset, width: int) -> list[str] | None:
    """The class of each box after clipping and, where that is asked for, fusing."""
    classes = dataset.classes(Task.LOCALIZATION)
    boxes = [
        Box(name, (x, y, min(right, width) - x, low - y), "", read.reader)
        for read in reads
        for name, (x, y, right, low) in read.boxes
        if name in classes
    ]
    kept = boxes if dataset.fuse_boxes is None else policies.fused(boxes, dataset.fuse_boxes)
    return [box.label for box in kept] if classes else None


def _table(path: Path, lines: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink, lineterminator="\n").writerows(lines)
