"""The format `folder`: an index CSV, COCO JSON files, and the images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from fxcore.data import rle
from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.phantom.case import SIDE, Case, extent

Coco = dict[str, list[Any]]


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    rows: list[dict[str, object]] = []
    coco = {task: _empty(dataset, task) for task in dataset.tasks if task is not Task.CLASSIFICATION}
    (folder / "images").mkdir()
    for case in cases:
        name, patient = f"images/{case.number:05d}.png", f"p{case.number:05d}"
        Image.fromarray(case.pixels).save(folder / name)
        policy, columns = dataset.classification, dataset.columns
        codes = {label: case.code(label, policy) for label in policy.classes} if policy else None
        texts = {label: "" if code is None else str(code) for label, code in (codes or {}).items()}
        of_patient = {columns.patient: patient} if columns.patient else {}
        of_patient |= {columns.split: str(case.split)} if columns.split else {}
        of_patient |= {columns.group: ""} if columns.group else {}  # patients who are nobody else's
        rows.append({columns.file: name, **of_patient, **texts})
        marked = {task: _annotate(content, case, name, dataset.classes(task)) for task, content in coco.items()}
        boxes, masks = marked.get(Task.LOCALIZATION), marked.get(Task.SEGMENTATION)
        counts.add(case.split, patient if columns.patient else None, codes, boxes, masks)
    with (folder / dataset.index).open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for task, content in coco.items():
        (folder / getattr(dataset, task).file).write_text(json.dumps(content), encoding="utf-8")
    return counts


def _empty(dataset: Dataset, task: Task) -> Coco:
    categories = [{"id": number, "name": name} for number, name in enumerate(dataset.classes(task), start=1)]
    return {"images": [], "annotations": [], "categories": categories}


def _annotate(content: Coco, case: Case, name: str, classes: tuple[str, ...]) -> list[str]:
    """The class of each annotation that was added."""
    marked: list[str] = []
    content["images"].append({"id": case.number, "file_name": name, "height": SIDE, "width": SIDE})
    for category, label in enumerate(classes, start=1):
        for shape in case.shapes(label):
            marked.append(label)
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": case.number,
                    "category_id": category,
                    "bbox": list(extent(shape)),
                    "area": int(shape.sum()),
                    "iscrowd": 0,
                    "segmentation": rle.encode(shape),
                }
            )
    return marked
