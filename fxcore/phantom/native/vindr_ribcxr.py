"""VinDr-RibCXR: pictures of different sizes, and a JSON of columns with the ring of each rib."""

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
from fxcore.phantom.native.outline import rings

RIBS = tuple(f"{side}{number}" for side in "RL" for number in range(1, 11))
PARTS = {"train": Split.TRAIN, "val": Split.TEST}


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Those for validation are in the training part."""
    counts = Counts()
    columns: dict[str, dict[str, dict[str, Any]]] = {part: {name: {} for name in ("img", *RIBS)} for part in PARTS}
    for part in PARTS:
        (folder / "data" / part / "img").mkdir(parents=True)
    for case in cases:
        part = "val" if case.split is Split.TEST else "train"
        left, top = 3 + case.number % 4, 9 + case.number % 6
        row = str(len(columns[part]["img"]))
        name = f"data/{part}/img/VinDr_RibCXR_{part}_{case.number:03d}.png"
        Image.fromarray(framed(case.pixels, left=left, top=top, right=2)).save(folder / name)
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


def missing(case: Case, rib: str) -> bool:
    """Whether nobody drew a rib: one picture in four lacks the lowest on one side."""
    return case.number % 4 == 1 and rib == "L10"
