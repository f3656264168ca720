"""Phantom datasets: synthetic radiographs with a dataset's classes, written in the `folder` format."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fxcore.data import rle
from fxcore.errors import InputError
from fxcore.files import atomic_folder
from fxcore.params.datasets import Dataset, Labels
from fxcore.passes import Split, Task
from fxcore.phantom.labels import MEANS, ORGANS, choose, known, plain, present
from fxcore.phantom.scene import Phantom, draw
from fxcore.progress import Progress
from fxcore.seeding import derive
from fxcore.slices.data import PhantomSlice

SIDE = 160
"""Pixels of a phantom's width and height."""
CONSPICUITY = (0.75, 1.0)
"""Of findings; faint ones would need more pictures than a laptop trains on."""
BLANK, HEDGED = 0.7, 0.1
"""Where blanks mean absence: share of absent classes that are not mentioned, and of training labels that are uncertain."""

Coco = dict[str, list[Any]]
Mask = NDArray[np.bool_]


def write(slice_: PhantomSlice, folder: Path) -> None:
    """Write the index CSV, the COCO files and the images of a phantom dataset.

    Raises:
        InputError: a class that cannot be drawn.
    """
    dataset = slice_.dataset
    for task in dataset.tasks:
        if unknown := [name for name in dataset.classes(task) if not known(name)]:
            raise InputError(
                f"datasets.{slice_.key}.{task}.classes: {unknown[0]} cannot be drawn; known: {', '.join((*MEANS, *ORGANS))}"
            )
    with atomic_folder(folder) as part:
        _write(slice_, part)


def _write(slice_: PhantomSlice, folder: Path) -> None:
    dataset = slice_.dataset
    # In no order, so that pictures at even distances are of all kinds.
    places = [
        (split, int(place))
        for split in Split
        for place in np.random.Generator(np.random.PCG64(derive("places", slice_.key, str(split)))).permutation(
            (dataset.phantom or {})[split]
        )
    ]
    progress = Progress(f"phantom {slice_.key}", len(places), "images")
    classes = [name for task in dataset.tasks for name in dataset.classes(task)]
    rows: list[dict[str, object]] = []
    coco = {task: _empty(dataset, task) for task in dataset.tasks if task is not Task.CLASSIFICATION}
    (folder / "images").mkdir()
    for number, (split, place) in enumerate(places):
        random = np.random.Generator(np.random.PCG64(derive("phantom", slice_.key, number)))
        findings = choose(classes, place, random)
        phantom = draw(random, findings, SIDE, CONSPICUITY)
        name = f"images/{number:05d}.png"
        Image.fromarray(phantom.pixels).save(folder / name)
        rows.append(_row(dataset, name, number, split, findings, random))
        for task, content in coco.items():
            _annotate(content, number, name, phantom, dataset.classes(task))
        progress.advance()
    with (folder / dataset.index).open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for task, content in coco.items():
        (folder / getattr(dataset, task).file).write_text(json.dumps(content), encoding="utf-8")


def _row(
    dataset: Dataset, name: str, number: int, split: Split, findings: tuple[str, ...], random: np.random.Generator
) -> dict[str, object]:
    columns = dataset.columns
    patient = {columns.patient: f"p{number:05d}"} if columns.patient else {}
    labels = dataset.classification
    codes = (
        {label: _code(labels, present(label, findings), split, random) for label in labels.classes} if labels else {}
    )
    return {columns.file: name, **patient, columns.split: str(split), **codes}


def _code(labels: Labels, is_present: bool, split: Split, random: np.random.Generator) -> str:
    """A label as the dataset's kind writes it: labelled by a report parser where blanks mean absence, else by readers."""
    if labels.blank == "blank_zero":
        if split is Split.TRAIN and is_present and random.random() < HEDGED:
            return "-1"
        if not is_present and random.random() < BLANK:
            return ""
    return str(int(is_present))


def _empty(dataset: Dataset, task: Task) -> Coco:
    categories = [{"id": number, "name": name} for number, name in enumerate(dataset.classes(task), start=1)]
    return {"images": [], "annotations": [], "categories": categories}


def _shapes(phantom: Phantom, name: str) -> list[Mask]:
    """What a class marks in a picture, an instance each."""
    key = plain(name)
    if key in ORGANS:
        return [np.logical_or.reduce([phantom.organs[organ] for organ in ORGANS[key]])]
    return [mask for finding in MEANS.get(key, ()) for mask in phantom.findings.get(finding, ())]


def _annotate(content: Coco, number: int, name: str, phantom: Phantom, classes: tuple[str, ...]) -> None:
    content["images"].append({"id": number, "file_name": name, "height": SIDE, "width": SIDE})
    for category, label in enumerate(classes, start=1):
        for shape in _shapes(phantom, label):
            rows, columns = np.nonzero(shape)
            left, top = int(columns.min()), int(rows.min())
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": category,
                    "bbox": [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top],
                    "area": int(shape.sum()),
                    "iscrowd": 0,
                    "segmentation": rle.encode(shape),
                }
            )
