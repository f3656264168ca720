"""Policies by name: what uncertain, missing and contradicting statements mean. Adapters know none of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fxcore.data.records import Box, Code, Labels, Record
from fxcore.params.datasets import Dataset
from fxcore.params.datasets import Labels as Policy
from fxcore.seeding import derive

UNCERTAIN = -1


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
            if mates and overlap(_mean(group), np.array(box.xywh)) >= iou:
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


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Intersection over union of two boxes: left, top, width, height."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    common = float(np.prod(np.clip(high - low, 0, None)))
    return common / (float(np.prod(a[2:]) + np.prod(b[2:])) - common)


def targets(
    codes: NDArray[np.float32], policy: Policy, images: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Class targets 0..1 (images, classes) of raw codes, NaN where a class is not mentioned, and which targets are known.

    `u_lsr_ones` gives an uncertain class a target between the bounds of `smoothing`, drawn from the image and the class alone.
    """
    uncertain, blank = codes == UNCERTAIN, np.isnan(codes)
    known = ~(uncertain & (policy.uncertain == "u_ignore")) & ~(blank & (policy.blank == "blank_ignore"))
    target = np.where(uncertain, float(policy.uncertain == "u_ones"), np.where(blank, 0.0, codes))
    if policy.uncertain == "u_lsr_ones":
        low, high = policy.smoothing
        for row, column in np.argwhere(uncertain):
            share = derive("smoothing", policy.smoothing_seed, images[row], policy.classes[column]) / 2**63
            target[row, column] = low + (high - low) * share
    return target.astype(np.float32), known


def only(labels: Labels, classes: Sequence[str]) -> dict[str, Code]:
    """The codes of some classes."""
    return {name: labels[name] for name in classes}
