"""JSRT with the masks of SCR: raw pictures, GIFs of half their size in two folds, and tables whose lines end as on old Macs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from fxcore.data.counts import Counts
from fxcore.data.records import Labels
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.phantom.case import SIDE, Case, Mask, extent
from fxcore.phantom.labels import present
from fxcore.phantom.native import formats
from fxcore.phantom.release import Findings, Release

STRUCTURES = ("Heart", "Left Lung", "Right Lung", "Left Clavicle", "Right Clavicle")
SCALE = 2


def _image(number: int, findings: Findings) -> str:
    return f"JPC{'L' if present('Nodule', findings) else 'N'}N{number + 1:03d}"


def _group(number: int, findings: Findings) -> str:
    return f"jsrt:{_image(number, findings)}"


RELEASE = Release("jsrt", image=_image, group=_group)


def halved(mask: Mask) -> Mask:
    """A mask of half the size, set where half of the four pixels are."""
    half = SIDE // SCALE
    small: Mask = mask.reshape(half, SCALE, half, SCALE).mean(axis=(1, 3)) >= 0.5
    return small


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    (folder / "All247images").mkdir()
    for fold in (1, 2):
        for name in STRUCTURES:
            (folder / "scratch" / f"fold{fold}" / "masks" / name.lower()).mkdir(parents=True)
    nodules, others = "", ""
    for case in cases:
        ill = case.has("Nodule")
        stem = _image(case.number, case.findings)
        _picture(folder / "All247images" / f"{stem}.IMG", case)
        for name in STRUCTURES:
            masks = folder / "scratch" / f"fold{2 - (case.number + 1) % 2}" / "masks"
            values = halved(case.phantom.organs[name]).astype(np.uint8) * 255
            Image.fromarray(values).convert("P").save(masks / name.lower() / f"{stem}.gif", optimize=False)
        age, sex = 40 + case.number % 50, ("female", "male")[case.number % 2]
        if ill:
            left, top, width, height = extent(case.shapes("Nodule")[0])
            place = f"{left + width // 2}\t{top + height // 2}"
            # One age is not known, and places and diagnoses are broken over cells.
            nodules += f"{stem}.IMG\t3\t22\t{'?' if case.number % 7 == 3 else age}\t{sex}\t{place}\tmalignant\t"
            nodules += "r.upper\tlobe\tlung cancer\t\r"
        else:
            others += f"{stem}.IMG {age}  {sex}   non-nodule\r"
        labels: Labels | None = {"Nodule": 1 if ill else 0} if dataset.classification else None
        counts.add(None, stem, labels, None, dataset.classes(Task.SEGMENTATION) or None)
    (folder / "CLNDAT_EN.txt").write_bytes(nodules.encode())
    (folder / "CNNDAT_EN.TXT").write_bytes(others.encode())
    return counts


def _picture(path: Path, case: Case) -> None:
    """Where a pixel is black, the first one has a value of more than 12 bits."""
    formats.raw(path, case.pixels)
    values = np.frombuffer(path.read_bytes(), dtype=">u2").copy()
    values[np.flatnonzero(values == 4095)[:1]] = 4095 + 900
    path.write_bytes(values.tobytes())
