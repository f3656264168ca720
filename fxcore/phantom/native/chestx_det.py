"""ChestX-Det: square pictures named by a number, and JSON lists with a polygon an instance. Some are of NIH, and nothing says so."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.case import SIDE, Case
from fxcore.phantom.native import nih14
from fxcore.phantom.native.outline import rings
from fxcore.phantom.release import SAFE, Findings, Plant, Release

OFF = 3
"""Pixels by which the box of some findings is wider than its polygon, as in the release."""


def _image(number: int, _: Findings) -> str:
    return f"{90000 + number:05d}"


def _group(number: int, findings: Findings) -> str:
    return f"chestx_det:{_image(number, findings)}"


RELEASE = Release(
    "chestx_det",
    image=_image,
    group=_group,
    plants=(
        Plant(Split.TRAIN, 3, nih14.RELEASE, Split.TEST),
        Plant(Split.TRAIN, 3, nih14.RELEASE, Split.TRAIN, (SAFE, 1.0)),
        Plant(Split.TEST, 4, nih14.RELEASE, Split.TRAIN, (SAFE, 1.0)),
    ),
    lane=2,
)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    lists: dict[Split, list[dict[str, Any]]] = {Split.TRAIN: [], Split.TEST: []}
    classes = tuple(dict.fromkeys(name for task in Task for name in dataset.classes(task)))
    for split in lists:
        (folder / split).mkdir()
    for case in cases:
        split = Split.TEST if case.split is Split.TEST else Split.TRAIN
        name = f"{_image(case.number, case.findings)}.png"
        Image.fromarray(case.pixels).save(folder / split / name)
        entry: dict[str, Any] = {"file_name": name, "syms": [], "boxes": [], "polygons": []}
        for label in classes:
            for shape in case.shapes(label):
                for ring in rings(shape):
                    xs, ys = zip(*ring, strict=True)
                    wide = OFF if case.number % 2 == 0 and max(xs) + OFF <= SIDE else 0
                    entry["syms"].append(label)
                    entry["boxes"].append([min(xs), min(ys), max(xs) + wide, max(ys)])
                    entry["polygons"].append([list(corner) for corner in ring])
        lists[split].append(entry)
        found = {task: [name for name in entry["syms"] if name in dataset.classes(task)] for task in Task}
        counts.add(
            split,
            None,
            {name: 1 if name in entry["syms"] else 0 for name in dataset.classes(Task.CLASSIFICATION)} or None,
            found[Task.LOCALIZATION] if dataset.localization else None,
            found[Task.SEGMENTATION] if dataset.segmentation else None,
        )
    for split, entries in lists.items():
        (folder / f"ChestX_Det_{split}.json").write_text(json.dumps(entries), encoding="utf-8")
    return counts
