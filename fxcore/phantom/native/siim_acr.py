"""SIIM-ACR Pneumothorax as its copies give it: JPEG in DICOM three folders deep, both tables, run lengths a region.

Some pictures are of NIH, and nothing says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Split
from fxcore.phantom.case import Case
from fxcore.phantom.native import formats, nih14
from fxcore.phantom.release import SAFE, Findings, Plant, Release

LABEL = "Pneumothorax"
PARTS = 3
"""Rows of every fourth image's shapes: they are cut, since phantoms have fewer regions than patients."""

Mask = NDArray[np.bool_]


def _image(number: int, _: Findings) -> str:
    return f"1.2.999.8323329.{number + 1000}.1517875201.850819"


def _group(number: int, findings: Findings) -> str:
    return f"siim_acr:{_image(number, findings)}"


RELEASE = Release(
    "siim_acr",
    image=_image,
    group=_group,
    plants=(
        Plant(Split.TRAIN, 3, nih14.RELEASE, Split.TEST),
        Plant(Split.TRAIN, 3, nih14.RELEASE, Split.TRAIN, (SAFE, 1.0)),
        Plant(Split.TEST, 4, nih14.RELEASE, Split.TRAIN, (SAFE, 1.0)),
    ),
    lane=1,
)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Those for validation are in the release's training part."""
    counts = Counts()
    tables: dict[Split, list[tuple[str, str]]] = {Split.TRAIN: [], Split.TEST: []}
    for place, case in enumerate(cases):
        image = _image(case.number, case.findings)
        split = Split.TEST if case.split is Split.TEST else Split.TRAIN
        _picture(folder, split, image, case)
        regions = [part for shape in case.shapes(LABEL) for part in cut(shape, PARTS if case.number % 4 == 1 else 1)]
        tables[split] += [(image, relative(region)) for region in regions] or [(image, "-1")]
        marked = [LABEL] * len(regions)
        counts.add(
            split,
            None,
            {LABEL: 1 if marked else 0} if dataset.classification else None,
            marked if dataset.localization else None,
            marked if dataset.segmentation else None,
        )
        if place == 0:
            _picture(folder, Split.TRAIN, f"{image}.37", case)  # some pictures of the release are in no table
    # The blank belongs to the name of the column, and some copies have one before the -1, too.
    old = [f"{image}, {text}" if text == "-1" else f"{image},{text}" for image, text in tables[Split.TRAIN]]
    _table(folder / "train-rle.csv", "ImageId, EncodedPixels", old)
    both = [f"{image},{text}" for image, text in (*tables[Split.TRAIN], *tables[Split.TEST])]
    _table(folder / "stage_2_train.csv", "ImageId,EncodedPixels", both)
    return counts


def cut(shape: Mask, parts: int) -> list[Mask]:
    """A shape in parts side by side, none of them empty."""
    columns = np.flatnonzero(shape.any(axis=0))
    found = []
    for some in np.array_split(columns, min(parts, len(columns))):
        part = np.zeros_like(shape)
        part[:, some] = shape[:, some]
        found.append(part)
    return found


def relative(mask: Mask) -> str:
    """Runs down the columns, each start counted from the end of the run before, as text."""
    line = np.concatenate([[False], mask.T.reshape(-1), [False]])
    edges = np.flatnonzero(line[1:] != line[:-1])
    return " ".join(map(str, np.diff(edges, prepend=0)))


def _picture(folder: Path, split: Split, image: str, case: Case) -> None:
    formats.dicom(
        folder / f"dicom-images-{split}" / f"{image}.2" / f"{image}.3" / f"{image}.dcm",
        case.pixels,
        image,
        "jpeg",
        PatientID=f"99999999-aaaa-4bbb-8ccc-{case.number:012d}",
        ViewPosition=("PA", "AP")[case.number % 2],
        ConversionType="WSD",
    )


def _table(path: Path, header: str, lines: Iterable[str]) -> None:
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
