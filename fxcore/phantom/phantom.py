"""A generated example dataset in the `folder` format: shaded shapes laid out like a thorax, with exact labels, boxes and masks.

It exercises every part of the pipeline; it is not meant to look like a radiograph.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.filters import gaussian

from fxcore.data import rle
from fxcore.errors import InputError
from fxcore.files import atomic_folder
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.progress import Progress
from fxcore.seeding import derive
from fxcore.slices.data import PhantomSlice

SIDE = 192
"""Pixels of a generated image."""
LUNGS = ("Right Lung", "Left Lung")
DRAWN = {
    Task.CLASSIFICATION: ("Cardiomegaly", "Lung Opacity"),
    Task.LOCALIZATION: (*LUNGS, "Lung Opacity"),
    Task.SEGMENTATION: ("Lungs", "Heart"),
}
"""Classes that can be drawn for each task."""
MASKED = 3
"""Of every four images, this many have masks; the rest is unknown to segmentation."""

Mask = NDArray[np.bool_]
Draw = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Picture:
    """One generated image with everything there is to know of it."""

    pixels: NDArray[np.uint8]
    present: dict[str, int]
    shapes: dict[str, Mask]


def draw(random: np.random.Generator) -> Picture:
    """Draw one thorax: two lungs, a heart that may be enlarged, and in every other image an opacity in one lung."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    uniform: Draw = random.uniform

    def ellipse(cx: float, cy: float, rx: float, ry: float, tilt: float = 0.0) -> Mask:
        u, v = x - cx, y - cy
        cos, sin = np.cos(tilt), np.sin(tilt)
        inside: Mask = ((u * cos + v * sin) / rx) ** 2 + ((v * cos - u * sin) / ry) ** 2 <= 1
        return inside

    cx, cy = 0.5 + uniform(-0.04, 0.04), 0.48 + uniform(-0.04, 0.04)
    gap, rx, ry = uniform(0.18, 0.21), uniform(0.11, 0.14), uniform(0.24, 0.30)
    tilt = uniform(0.05, 0.2)
    right, left = ellipse(cx - gap, cy, rx, ry, tilt), ellipse(cx + gap, cy + 0.01, rx, ry * 0.96, -tilt)
    large = random.random() < 0.4
    heart = ellipse(
        cx + 0.05, cy + 0.16, uniform(0.15, 0.18) if large else uniform(0.09, 0.12), uniform(0.10, 0.13), 0.4
    )
    left, right = left & ~heart, right & ~heart
    lungs = left | right
    picture = 0.35 + 0.3 * ellipse(cx, cy + 0.05, 0.42, 0.52) - 0.38 * lungs + 0.1 * heart
    picture += 0.05 * (np.sin(60 * (y - 0.6 * (x - cx) ** 2)) > 0.4) * lungs
    opacity = np.zeros_like(lungs)
    if random.random() < 0.5:
        side = left if random.random() < 0.5 else right
        rows, columns = np.nonzero(side)
        at = random.integers(len(rows))
        opacity = ellipse(columns[at] / SIDE, rows[at] / SIDE, uniform(0.07, 0.11), uniform(0.07, 0.11)) & side
        picture += uniform(0.15, 0.30) * gaussian(opacity.astype(np.float64), 3)
    picture = gaussian(picture, 1.5) * uniform(0.8, 1.1) + uniform(-0.08, 0.08) + random.normal(0, 0.03, picture.shape)
    shapes = {"Right Lung": right, "Left Lung": left, "Lungs": lungs, "Heart": heart, "Lung Opacity": opacity}
    present = {"Cardiomegaly": int(large), "Lung Opacity": int(opacity.any())}
    return Picture(
        np.round(255 * picture.clip(0, 1)).astype(np.uint8),
        present,
        {name: shape for name, shape in shapes.items() if shape.any()},
    )


def write(slice_: PhantomSlice, folder: Path) -> None:
    """Write the index CSV, the COCO files and the images of a phantom dataset.

    Raises:
        InputError: a class that cannot be drawn.
    """
    dataset = slice_.dataset
    for task in dataset.tasks:
        if unknown := [name for name in dataset.classes(task) if name not in DRAWN[task]]:
            raise InputError(
                f"datasets.{slice_.key}.{task}.classes: {unknown[0]} cannot be drawn; known: {', '.join(DRAWN[task])}"
            )
    with atomic_folder(folder) as part:
        _write(slice_, part)


def _write(slice_: PhantomSlice, folder: Path) -> None:
    dataset, columns = slice_.dataset, slice_.dataset.columns
    splits = [split for split in Split for _ in range((dataset.phantom or {})[split])]
    progress = Progress(f"phantom {slice_.key}", len(splits), "images")
    rows: list[dict[str, object]] = []
    coco = {task: _empty(dataset, task) for task in dataset.tasks if task is not Task.CLASSIFICATION}
    (folder / "images").mkdir()
    for number, split in enumerate(splits):
        picture = draw(np.random.Generator(np.random.PCG64(derive(slice_.seed, "phantom", slice_.key, number))))
        name = f"images/{number:05d}.png"
        Image.fromarray(picture.pixels).save(folder / name)
        patient = {columns.patient: f"p{number:05d}"} if columns.patient else {}
        labels = {label: picture.present[label] for label in dataset.classes(Task.CLASSIFICATION)}
        rows.append({columns.file: name, **patient, columns.split: str(split), **labels})
        for task, content in coco.items():
            if task is Task.LOCALIZATION or number % 4 < MASKED:
                _annotate(content, number, name, picture, dataset.classes(task))
        progress.advance()
    with (folder / dataset.index).open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for task, content in coco.items():
        (folder / getattr(dataset, task).file).write_text(json.dumps(content), encoding="utf-8")


def _empty(dataset: Dataset, task: Task) -> dict[str, list[Any]]:
    categories = [{"id": number, "name": name} for number, name in enumerate(dataset.classes(task), start=1)]
    return {"images": [], "annotations": [], "categories": categories}


def _annotate(
    content: dict[str, list[Any]], number: int, name: str, picture: Picture, classes: tuple[str, ...]
) -> None:
    content["images"].append({"id": number, "file_name": name, "height": SIDE, "width": SIDE})
    for category, label in enumerate(classes, start=1):
        if label in picture.shapes:
            shape = picture.shapes[label]
            rows, columns = np.nonzero(shape)
            left, top = int(columns.min()), int(rows.min())
            box = [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": category,
                    "bbox": box,
                    "area": int(shape.sum()),
                    "iscrowd": 0,
                    "segmentation": rle.encode(shape),
                }
            )
