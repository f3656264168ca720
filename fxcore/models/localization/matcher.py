"""One-to-one assignment of queries to ground truth at the least total cost (DETR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fxcore.data.targets import Target
from fxcore.models.localization.boxes import generalized_iou, to_corners
from fxcore.params.training import LocalizationLoss

_EPS = 1e-8


@dataclass(frozen=True, slots=True)
class Matches:
    """Matched pairs as index vectors of one length: in which layer and image, which query, which of the image's boxes."""

    layer: Tensor
    image: Tensor
    query: Tensor
    box: Tensor


def class_cost(logits: Tensor, how: LocalizationLoss) -> Tensor:
    """Focal cost of claiming each class: the positive term minus the negative one; any shape."""
    p = logits.sigmoid()
    positive = how.focal_alpha * (1 - p) ** how.focal_gamma * -(p + _EPS).log()
    negative = (1 - how.focal_alpha) * p**how.focal_gamma * -(1 - p + _EPS).log()
    return positive - negative


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, targets: Sequence[Target], how: LocalizationLoss) -> Matches:
    """Assign every ground-truth box (or as many as there are queries) to a query, in each layer apart.

    Args:
        logits: (layers, B, queries, classes).
        boxes: (layers, B, queries, 4), cxcywh in 0..1.
        targets: one for each image.
        how: cost weights.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and most runs have no boxes

    labels = torch.cat([one.labels for one in targets])
    theirs = torch.cat([one.boxes for one in targets])
    counts = [len(one.labels) for one in targets]
    ends = np.cumsum(counts)
    logits, boxes = logits.float(), boxes.float()
    cost = how.cost_class * class_cost(logits, how)[..., labels]
    cost = cost + how.cost_l1 * (boxes[..., None, :] - theirs).abs().sum(-1)
    cost = cost - how.cost_giou * generalized_iou(to_corners(boxes)[..., None, :], to_corners(theirs))
    table = cost.cpu().numpy()
    rows: list[np.ndarray] = [np.empty((4, 0), dtype=np.int64)]
    for layer in range(table.shape[0]):
        for image, (count, end) in enumerate(zip(counts, ends, strict=True)):
            query, box = linear_sum_assignment(table[layer, image, :, end - count : end])
            rows.append(np.stack([np.full_like(query, layer), np.full_like(query, image), query, box]))
    found = torch.from_numpy(np.concatenate(rows, axis=1)).to(logits.device)
    return Matches(*found)
