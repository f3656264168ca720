"""The localization loss: focal, L1 and GIoU over proposals, all decoder layers, and denoising queries (DINO)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fxcore.data.targets import Target
from fxcore.models.localization.boxes import generalized_iou, to_corners
from fxcore.models.localization.decoder import Decoded, Proposals
from fxcore.models.localization.denoising import Noise, pad
from fxcore.models.localization.matcher import match
from fxcore.params.training import LocalizationLoss


def focal(logits: Tensor, truth: Tensor, alpha: float, gamma: float) -> Tensor:
    """Sigmoid focal loss of each logit; `truth` is 0 or 1, same shape (Lin et al. 2017, equation 5)."""
    p = logits.sigmoid()
    right = p * truth + (1 - p) * (1 - truth)
    weight = alpha * truth + (1 - alpha) * (1 - truth)
    return weight * (1 - right) ** gamma * functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")


def box_terms(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distance and 1 - GIoU of paired boxes, cxcywh in 0..1: (..., 4), (..., 4) → (...), (...)."""
    return (ours - theirs).abs().sum(-1), 1 - generalized_iou(to_corners(ours), to_corners(theirs))


def matched_terms(logits: Tensor, boxes: Tensor, targets: Sequence[Target], how: LocalizationLoss) -> Tensor:
    """Class, L1 and GIoU sums of each layer under its own matching: (layers, B, queries, …) → (layers, 3)."""
    found = match(logits, boxes, targets, how)
    labels, theirs, _ = pad(targets)
    truth = torch.zeros_like(logits)
    truth[found.layer, found.image, found.query, labels[found.image, found.box]] = 1
    l1, giou = box_terms(boxes[found.layer, found.image, found.query], theirs[found.image, found.box])
    sums = torch.zeros(len(logits), 2, dtype=boxes.dtype, device=boxes.device)
    sums = sums.index_add(0, found.layer, torch.stack([l1, giou], dim=-1))
    return torch.cat(
        [focal(logits, truth, how.focal_alpha, how.focal_gamma).flatten(1).sum(1, keepdim=True), sums], dim=1
    )


def denoising_terms(logits: Tensor, boxes: Tensor, noise: Noise, how: LocalizationLoss) -> Tensor:
    """Class, L1 and GIoU sums of the noisy queries over all layers, a group: (layers, B, n, …) → (3,).

    Positives are held against the box they were made from, negatives against background; padding counts for nothing.
    """
    real = noise.target >= 0
    restore = real & noise.positive
    truth = functional.one_hot(noise.true_labels, logits.shape[-1]).to(logits.dtype) * restore[..., None]
    classes = focal(logits, truth.expand_as(logits), how.focal_alpha, how.focal_gamma) * real[..., None]
    l1, giou = box_terms(boxes, noise.true_boxes)
    return torch.stack([classes.sum(), (l1 * restore).sum(), (giou * restore).sum()]) / noise.groups


def localization_loss(
    proposals: Proposals,
    decoded: Decoded,
    noise: Noise | None,
    targets: Sequence[Target],
    how: LocalizationLoss,
    whole: int | None = None,
) -> dict[str, Tensor]:
    """Weighted terms, to be summed: `class`, `l1`, `giou` of the last layer, `auxiliary`, `proposals`, `denoising`.

    Each is a sum over queries divided by the number of ground-truth boxes in the batch (at least one); `whole` is that number
    where these images are a part of the batch.
    """
    noisy = 0 if noise is None else len(noise.positive)
    weights = torch.tensor([how.weight_class, how.weight_l1, how.weight_giou], device=decoded.boxes.device)
    boxes = max(1, sum(len(one.labels) for one in targets) if whole is None else whole)
    logits = torch.cat([proposals.logits[None], decoded.logits[:, :, noisy:]]).float()
    terms = (
        matched_terms(logits, torch.cat([proposals.boxes[None], decoded.boxes[:, :, noisy:]]), targets, how)
        * weights
        / boxes
    )
    losses = {
        **dict(zip(("class", "l1", "giou"), terms[-1], strict=True)),
        "auxiliary": terms[1:-1].sum(),
        "proposals": how.weight_proposals * terms[0].sum(),
    }
    if noise is not None:
        restored = denoising_terms(decoded.logits[:, :, :noisy].float(), decoded.boxes[:, :, :noisy], noise, how)
        losses["denoising"] = (restored * weights).sum() / boxes
    return losses
