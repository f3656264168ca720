"""NODE21: square MetaImages of 16 bit, a table of boxes in no order, and tables of the images' origins, some of which there are."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fxcore.data.counts import Counts
from fxcore.data.records import Labels
from fxcore.params.datasets import Dataset
from fxcore.passes import Split
from fxcore.phantom.case import Case, Source, extent
from fxcore.phantom.labels import present
from fxcore.phantom.native import formats, jsrt, nih14
from fxcore.phantom.release import Findings, Plant, Release

HEADER = ("", "height", "img_name", "label", "width", "x", "y")
ORIGINS = ("original_image_name", "orig_dataset", "node21_img_id")
DEPTH = 16
"""Times the grey value."""


def _image(number: int, findings: Findings) -> str:
    return f"{'n' if present('Nodule', findings) else 'c'}{90001 + number}"


def _group(number: int, findings: Findings) -> str:
    return _origin(number, present("Nodule", findings))[2]


RELEASE = Release(
    "node21",
    image=_image,
    group=_group,
    plants=(
        # The tables of origins tell their patients, and a hash of these the split.
        Plant(Split.TRAIN, 2, nih14.RELEASE, Split.TRAIN, (0.7, 1.0)),
        Plant(Split.TRAIN, 3, nih14.RELEASE, Split.TEST, (0.7, 1.0)),
        Plant(Split.TRAIN, 2, jsrt.RELEASE, Split.TRAIN, (0.8, 1.0)),
        Plant(Split.TEST, 2, nih14.RELEASE, Split.TEST, (0.0, 0.3)),
        Plant(Split.TEST, 2, nih14.RELEASE, Split.TRAIN, (0.25, 0.45)),
        Plant(Split.TEST, 2, jsrt.RELEASE, Split.TEST, (0.0, 0.2)),
    ),
    lane=3,
    tells=True,
)


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
        image = _image(case.number, case.findings)
        formats.metaimage(root / "proccessed_data" / "images" / f"{image}.mha", case.pixels.astype(np.uint16) * DEPTH)
        boxes = [extent(shape) for shape in case.shapes("Nodule")]
        rows = [(height, f"{image}.mha", 1, width, left, top) for left, top, width, height in boxes]
        table += rows or [(0, f"{image}.mha", 0, 0, 0, 0)]
        name, source, patient = _taken(case.source) if case.source else _origin(case.number, nodule)
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


def _taken(source: Source) -> tuple[str, str, str]:
    """The name of an image that another phantom has, that one, and the patient there."""
    assert source.patient
    return Path(source.image).stem, {"nih14": "chestxray14"}.get(source.adapter, source.adapter), source.patient


def _origin(number: int, nodule: bool) -> tuple[str, str, str]:
    """A name that no source has, the source, and the patient that the name tells."""
    match number % 4:
        case 0:
            patient = f"{98_000_000 + number:08d}"
            return f"{patient}_003", "chestxray14", f"nih:{patient}"
        case 1:
            name = f"JPC{'L' if nodule else 'N'}N9{number:06d}"
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
