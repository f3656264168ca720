"""Boxes as tensors: formats, generalised overlap, and the logit space in which decoders refine them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

_EPS = 1e-6


def to_corners(boxes: Tensor) -> Tensor:
    """(cx, cy, w, h) to (x0, y0, x1, y1), any leading shape."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def generalized_iou(ours: Tensor, theirs: Tensor) -> Tensor:
    """GIoU in -1..1 of corner boxes that broadcast against each other; (..., 4), (..., 4) → (...)."""
    overlap = (
        (torch.minimum(ours[..., 2:], theirs[..., 2:]) - torch.maximum(ours[..., :2], theirs[..., :2]))
        .clamp(min=0)
        .prod(-1)
    )
    hull = (
        (torch.maximum(ours[..., 2:], theirs[..., 2:]) - torch.minimum(ours[..., :2], theirs[..., :2]))
        .clamp(min=0)
        .prod(-1)
    )
    areas = (ours[..., 2:] - ours[..., :2]).prod(-1) + (theirs[..., 2:] - theirs[..., :2]).prod(-1)
    union = areas - overlap
    return overlap / (union + _EPS) - (hull - union) / (hull + _EPS)


def inverse_sigmoid(probability: Tensor, eps: float = 1e-3) -> Tensor:
    """Logit of a probability, held within ± log(1/eps) as in DINO."""
    clamped = probability.clamp(0, 1)
    return torch.log(clamped.clamp(min=eps) / (1 - clamped).clamp(min=eps))


def best(logits: Tensor, boxes: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The highest scores over queries and classes of each image (DINO's post-processing; no suppression).

    Args:
        logits: (B, queries, classes).
        boxes: (B, queries, 4), cxcywh in 0..1.
        most: how many to keep an image.

    Returns:
        Scores in 0..1 and class indices (B, n), and corner boxes (B, n, 4) within 0..1; the highest score first.
    """
    classes = logits.shape[-1]
    scores, index = logits.float().sigmoid().flatten(1).topk(min(most, logits[0].numel()), dim=1)
    corners = to_corners(boxes.float()).clamp(0, 1).gather(1, (index // classes)[..., None].expand(-1, -1, 4))
    return scores, index % classes, corners


class MLP(nn.Sequential):
    """Linear layers of `sizes` with ReLU between them."""

    def __init__(self, *sizes: int) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers[:-1])


def box_head(width: int) -> MLP:
    """A three-layer box regressor whose first answer is "no change": the last layer starts at zero."""
    head = MLP(width, width, width, 4)
    last = head[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return head
