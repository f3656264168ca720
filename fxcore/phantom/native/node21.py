"""NODE21: square MetaImages of 16 bit, a table of boxes in no order, and tables of the images' origins."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fxcore.data.counts import Counts
from fxcore.data.records import Labels
from fxcore.params.datasets import Dataset
from fxcore.phantom.case import Case, extent
from fxcore.phantom.native import formats

HEADER = ("", "height", "img_name", "label", "width", "x", "y")
ORIGINS = ("original_image_name", "orig_dataset", "node21_img_id")
DEPTH = 16
"""Times the grey value."""


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    root = folder / "cxr_images"
    for name in ("proccessed_data/images", "original_data/images"):
        (root / name).mkdir(parents=True)
    table: list[tuple[object, ...]] = []
    origins: dict[bool, list[tuple[str, str, str]]] = {True: [], False: []}
    for case in cases:
        nodule = case.has("Nodule")
        image = f"{'n' if nodule else 'c'}{case.number + 1:04d}"
        formats.metaimage(root / "proccessed_data" / "images" / f"{image}.mha", case.pixels.astype(np.uint16) * DEPTH)
        boxes = [extent(shape) for shape in case.shapes("Nodule")]
        rows = [(height, f"{image}.mha", 1, width, left, top) for left, top, width, height in boxes]
        table += rows or [(0, f"{image}.mha", 0, 0, 0, 0)]
        name, source, patient = _origin(case.number, nodule)
        origins[nodule].append((name, source, image))
        labels: Labels | None = {"Nodule": 1 if nodule else 0} if dataset.classification else None
        counts.add(None, patient, labels, ["Nodule"] * len(boxes) if dataset.localization else None)
    shuffled = [table[at] for at in np.random.default_rng(len(table)).permutation(len(table))]
    numbered = [(number, *row) for number, row in enumerate(shuffled)]
    _csv(root / "proccessed_data" / "metadata.csv", HEADER, numbered)
    # In the pixels of the sources, twice as many: whoever reads this one gets wrong boxes.
    doubled = [(at, 2 * high, name, label, 2 * wide, 2 * x, 2 * y) for at, high, name, label, wide, x, y in numbered]
    _csv(root / "original_data" / "metadata.csv", HEADER, doubled)
    _csv(root / "original_data" / "filenames_orig_and_new.csv", ORIGINS, origins[True])
    _csv(root / "original_data" / "non_nodule_filenames_orig_and_new.csv", ORIGINS, origins[False])
    return counts


def _origin(number: int, nodule: bool) -> tuple[str, str, str]:
    """A name that no source has, the source, and the patient that the name tells."""
    match number % 4:
        case 0:
            return f"{70000 + number:08d}_003", "chestxray14", f"nih:{70000 + number:08d}"
        case 1:
            name = f"JPC{'L' if nodule else 'N'}N7{number:05d}"
            return name, "jsrt", f"jsrt:{name}"
        case 2:
            return f"CXR{90000 + number}_IM-0003-1001", "openi", f"openi:CXR{90000 + number}"
        case _:
            return f"{10**38 + number}_k{number:05d}", "padchest", f"padchest:{10**38 + number}"


def _csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
