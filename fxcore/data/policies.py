"""What several readers say of an image, as one statement: labels by vote, boxes fused. Adapters know no such policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fxcore.data.records import Box, Code, Record
from fxcore.params.datasets import Dataset


def read(record: Record, dataset: Dataset) -> Record:
    """A record with one statement where several readers made theirs: labels by vote, boxes fused."""
    labels, boxes = record.labels, record.boxes
    if record.readers:
        labels = {name: vote([one.get(name) for one in record.readers], dataset.readers) for name in record.readers[0]}
    if boxes and dataset.fuse_boxes is not None:
        boxes = fused(boxes, dataset.fuse_boxes)
    return replace(record, labels=labels, boxes=boxes)


def vote(codes: Sequence[Code], rule: str) -> Code:
    """One code of several readers': present if `any`, the `majority` or all (`consensus`) of them say so; else absent."""
    if len(codes) == 1:
        return codes[0]
    least = {"any": 1, "majority": len(codes) // 2 + 1, "consensus": len(codes)}[rule]
    return 1 if sum(code == 1 for code in codes) >= least else 0


def fused(boxes: Iterable[Box], iou: float) -> tuple[Box, ...]:
    """Boxes of several readers, those of one class that overlap by `iou` or more in place of each other: their mean.

    Greedy, in the order given: a box joins the first group whose mean it overlaps. A box of a single reader stays. Boxes of one
    reader never join: they are two findings.
    """
    groups: list[list[Box]] = []
    for box in boxes:
        for group in groups:
            mates = group[0].label == box.label and box.reader not in {one.reader for one in group}
            if mates and coco_mask.iou(_mean(group)[None], np.array([box.xywh]), [0])[0, 0] >= iou:
                group.append(box)
                break
        else:
            groups.append([box])
    return tuple(replace(group[0], xywh=_xywh(group), reader=None) for group in groups)


def _xywh(group: Sequence[Box]) -> tuple[float, float, float, float]:
    left, top, width, height = map(float, _mean(group))
    return left, top, width, height


def _mean(group: Sequence[Box]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([one.xywh for one in group], axis=0)
    return mean
