"""Predictions of one network for one dataset, task and split: made with torch, kept as plain tables.

A table has a row a prediction: `row` of the image in the store and `label` the class index, with `score` (probability) for
classification; `score` and `left, top, width, height` in native pixels for localization; `counts`, COCO run lengths at store
size, for segmentation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fxcore.data import rle, transforms
from fxcore.data.loaders import Samples, in_order, loader
from fxcore.data.store import Store
from fxcore.evaluation.statistics import BOXES
from fxcore.models.foundation import FoundationX
from fxcore.models.localization.boxes import best
from fxcore.passes import Split, Task
from fxcore.slices.data import Heads

BATCH = 32
"""Images at a time; results do not depend on it."""


def predict(
    model: FoundationX,
    store: Store,
    dataset: str,
    task: Task,
    split: Split,
    heads: Heads,
    detections: int,
    workers: int = 0,
) -> pd.DataFrame:
    """Predict every image of a split that is annotated for the task; `model` in evaluation mode, on its own device."""
    device = next(model.parameters()).device
    samples = Samples(store, task, heads, transforms.plain(model.sizes.image_size))
    tables = []
    with torch.inference_mode():
        for batch in loader(samples, in_order(store.rows(task, split), BATCH), workers):
            images = transforms.normalise(batch.images.to(device), model.sizes)
            match task:
                case Task.CLASSIFICATION:
                    tables.append(_scores(batch.rows, model.classify(images, dataset).logits))
                case Task.LOCALIZATION:
                    found = model.localize(images, dataset)
                    tables += list(_boxes(store, batch.rows, found.logits, found.boxes, detections))
                case Task.SEGMENTATION:
                    tables.append(_masks(store, batch.rows, model.segment(images, dataset).logits))
    return pd.concat(tables, ignore_index=True)


def _scores(rows: list[int], logits: Tensor) -> pd.DataFrame:
    scores = logits.float().sigmoid().cpu().numpy()
    classes = scores.shape[1]
    return pd.DataFrame(
        {"row": np.repeat(rows, classes), "label": np.tile(np.arange(classes), len(rows)), "score": scores.reshape(-1)}
    )


def _boxes(store: Store, rows: list[int], logits: Tensor, boxes: Tensor, detections: int) -> Iterator[pd.DataFrame]:
    found = (one.cpu().numpy() for one in best(logits, boxes, detections))
    for row, score, label, corner in zip(rows, *found, strict=True):
        width, height = store.native_size(row)
        native = corner * np.array([width, height, width, height], dtype=np.float32)
        xywh = np.concatenate([native[:, :2], native[:, 2:] - native[:, :2]], axis=1)
        yield pd.DataFrame({"row": row, "label": label, "score": score, **dict(zip(BOXES, xywh.T, strict=True))})


def _masks(store: Store, rows: list[int], logits: Tensor) -> pd.DataFrame:
    """Probability above one half, decided at store size."""
    masks = interpolate(logits.float(), size=(store.size, store.size), mode="bilinear", align_corners=False) > 0
    found = [
        (row, label, rle.encode(mask)["counts"])
        for row, of_image in zip(rows, masks.cpu().numpy(), strict=True)
        for label, mask in enumerate(of_image)
    ]
    return pd.DataFrame(found, columns=["row", "label", "counts"])
