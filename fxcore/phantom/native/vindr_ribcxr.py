"""VinDr-RibCXR: pictures of different sizes, and a JSON of columns with the ring of each rib.

Some pictures are of VinDr-CXR, and nothing says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.case import Case, framed
from fxcore.phantom.native import vindr_cxr
from fxcore.phantom.native.outline import rings
from fxcore.phantom.release import EACH, FIRST, SAFE, Findings, Plant, Release

RIBS = tuple(f"{side}{number}" for side in "RL" for number in range(1, 11))
PARTS = {"train": Split.TRAIN, "val": Split.TEST}


def _image(number: int, _: Findings) -> str:
    part = "val" if number - number % EACH == FIRST[Split.TEST] else "train"
    return f"VinDr_RibCXR_{part}_{number:03d}"


def _group(number: int, findings: Findings) -> str:
    return f"vindr_ribcxr:{_image(number, findings)}"


RELEASE = Release(
    "vindr_ribcxr",
    image=_image,
    group=_group,
    plants=(
        Plant(Split.TRAIN, 3, vindr_cxr.RELEASE, Split.TEST),
        Plant(Split.TRAIN, 3, vindr_cxr.RELEASE, Split.TRAIN, (SAFE, 1.0)),
        Plant(Split.TEST, 4, vindr_cxr.RELEASE, Split.TRAIN, (SAFE, 1.0)),
    ),
)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Those for validation are in the training part."""
    counts = Counts()
    columns: dict[str, dict[str, dict[str, Any]]] = {part: {name: {} for name in ("img", *RIBS)} for part in PARTS}
    for part in PARTS:
        (folder / "data" / part / "img").mkdir(parents=True)
    for case in cases:
        part = "val" if case.split is Split.TEST else "train"
        left, top, right = margins(case)
        row = str(len(columns[part]["img"]))
        name = f"data/{part}/img/{_image(case.number, case.findings)}.png"
        Image.fromarray(framed(case.pixels, left=left, top=top, right=right)).save(folder / name)
        columns[part]["img"][row] = name
        drawn = []
        for rib in RIBS:
            ring = None if missing(case, rib) else max(rings(case.phantom.organs[rib]), key=len, default=None)
            points = [{"x": float(x + left), "y": float(y + top)} for x, y in ring or ()]
            columns[part][rib][row] = points or "None"
            drawn += [rib] if points and rib in dataset.classes(Task.SEGMENTATION) else []
        counts.add(PARTS[part], None, None, None, drawn)
    for part, content in columns.items():
        path = folder / "data" / part / f"Vindr_RibCXR_{part}_mask.json"
        path.write_text(json.dumps(content), encoding="utf-8")
    return counts


def margins(case: Case) -> tuple[int, int, int]:
    """Unexposed pixels left of a phantom, above and right of it; a picture of VinDr-CXR keeps those that it has there."""
    if case.source:
        side, top = vindr_cxr.margins(case.source.number)
        return side, top, side
    return 3 + case.number % 4, 9 + case.number % 6, 2


def missing(case: Case, rib: str) -> bool:
    """Whether nobody drew a rib: one picture in four lacks the lowest on one side."""
    return case.number % 4 == 1 and rib == "L10"
