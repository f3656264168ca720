"""CheXmask on VinDr-CXR: the pictures of VinDr-CXR, and a table of run lengths and landmarks at two resolutions."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fxcore.data import images
from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.case import Case, Mask
from fxcore.phantom.native import vindr_cxr
from fxcore.phantom.native.outline import rings
from fxcore.phantom.release import Release

COLUMNS = (
    *("image_id", "Dice RCA (Mean)", "Dice RCA (Max)", "Landmarks"),
    *("Left Lung", "Right Lung", "Heart", "Height", "Width"),
)
POINTS = {"Right Lung": 44, "Left Lung": 50, "Heart": 26}
"""Landmarks of each organ, in their order."""
GRID = 64
"""Side of the masks of the other table, 1024 in the release."""

RELEASE = Release("chexmask_vindr", image=vindr_cxr.image_of, tells=True, alike=vindr_cxr.RELEASE)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Those for validation are in the training part."""
    counts = Counts()
    tables: dict[str, list[tuple[object, ...]]] = {"OriginalResolution": [], "Preprocessed": []}
    for place, case in enumerate(cases):
        split = Split.TEST if case.split is Split.TEST else Split.TRAIN
        organs = {name: case.phantom.organs[name].astype(np.uint8) for name in POINTS}
        masks = {name: vindr_cxr.within(organ, case.number) > 0 for name, organ in organs.items()}
        ids = [vindr_cxr.image_of(case.number, case.findings)]
        if place == 0:
            ids.append(f"{8 * 16**31:032x}")  # a picture whose masks are too bad
        for image, quality in zip(ids, (0.7 + place % 30 / 100, 0.6999), strict=False):
            vindr_cxr.picture(folder / str(split) / f"{image}.dicom", case, case.number)
            _rows(tables, image, quality, masks, place % 3 == 1)
        boxes = dataset.classes(Task.LOCALIZATION) or None
        counts.add(split, None, None, boxes, dataset.classes(Task.SEGMENTATION) or None)
    for name, table in tables.items():
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *table])
        (folder / name).mkdir()
        content = text.getvalue().encode()
        if name == "Preprocessed":
            (folder / name / "VinDr-CXR.csv.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / name / "VinDr-CXR.csv").write_bytes(content)
    (folder / "README.md").write_text("Synthetic.\n", encoding="utf-8")
    return counts


def runs(mask: Mask) -> str:
    """Starts, from 1, and lengths of a mask's runs, row by row."""
    line = np.concatenate([[False], mask.reshape(-1), [False]])
    edges = np.flatnonzero(line[1:] != line[:-1])
    pairs = np.stack([edges[::2] + 1, edges[1::2] - edges[::2]], axis=1)
    return " ".join(map(str, pairs.reshape(-1)))


def _rows(
    tables: dict[str, list[tuple[object, ...]]], image: str, quality: float, masks: dict[str, Mask], printed: bool
) -> None:
    marks = [value for name, points in POINTS.items() for value in _landmarks(masks[name], points)]
    # Some landmarks are an array as NumPy prints it, over several lines.
    text = str(np.array(marks).reshape(-1, 2)) if printed else ",".join(map(str, marks))
    for name, of in (
        ("OriginalResolution", masks),
        ("Preprocessed", {key: images.resize_mask(mask, GRID) for key, mask in masks.items()}),
    ):
        encoded = [runs(of[organ]) for organ in ("Left Lung", "Right Lung", "Heart")]
        tables[name].append((image, quality, min(quality + 0.05, 1), text, *encoded, *of["Heart"].shape))


def _landmarks(mask: Mask, points: int) -> list[int]:
    """Corners of the outline at even distances."""
    ring = max(rings(mask), key=len)
    return [value for at in range(points) for value in ring[at * len(ring) // points]]
