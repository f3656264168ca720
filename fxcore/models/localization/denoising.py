"""Contrastive denoising: queries made from noisy ground truth, which the decoder must restore or reject (DINO, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fxcore.data.targets import Target
from fxcore.models.localization.boxes import to_corners
from fxcore.params.model import Denoising


@dataclass(frozen=True, slots=True)
class Denoised:
    """Noisy queries, the same number for each image: groups of positives followed by as many negatives.

    `content` (B, n, width); `boxes` (B, n, 4); `target` (B, n) is the index of the box a query was made from, -1 for padding;
    `positive` (n,) tells which queries are to restore their box, the others are to be rejected.
    """

    content: Tensor
    boxes: Tensor
    target: Tensor
    positive: Tensor
    groups: int

    def mask(self, queries: int) -> Tensor:
        """Who may not attend to whom, (n + queries, n + queries): groups see themselves and the matching queries, those see no group."""
        noisy = len(self.positive)
        group = torch.arange(noisy, device=self.positive.device) // (noisy // self.groups)
        owner = torch.cat([group, group.new_full((queries,), -1)])
        return (owner[:, None] != owner[None, :]) & (owner[None, :] >= 0)


def pad(targets: Sequence[Target]) -> tuple[Tensor, Tensor, Tensor]:
    """Targets as rectangles: labels (B, most), boxes (B, most, 4), and which entries are real (B, most)."""
    labels = nn.utils.rnn.pad_sequence([one.labels for one in targets], batch_first=True)
    boxes = nn.utils.rnn.pad_sequence([one.boxes for one in targets], batch_first=True)
    counts = torch.tensor([len(one.labels) for one in targets], device=labels.device)
    return labels, boxes, torch.arange(labels.shape[1], device=labels.device) < counts[:, None]


def denoise(targets: Sequence[Target], embedding: nn.Embedding, classes: int, how: Denoising) -> Denoised | None:
    """Noisy copies of each image's boxes, in `how.queries // most boxes` groups (at least one); None without any box.

    A positive's corners move by up to `box_noise` half box sizes, a negative's by one to two times that; with chance
    `label_noise` / 2 a label is redrawn among all classes.
    """
    most = max((len(one.labels) for one in targets), default=0)
    if most == 0 or how.queries == 0:
        return None
    groups = max(1, how.queries // most)
    labels, boxes, real = pad(targets)
    labels, boxes = labels.repeat(1, 2 * groups), boxes.repeat(1, 2 * groups, 1)
    target = torch.where(real, torch.arange(most, device=real.device), -1).repeat(1, 2 * groups)
    positive = torch.arange(2 * groups * most, device=real.device) // most % 2 == 0
    redrawn = torch.rand_like(boxes[..., 0]) < how.label_noise * 0.5
    labels = torch.where(redrawn, torch.randint_like(labels, classes), labels)
    shift = torch.rand_like(boxes) + (~positive)[:, None]
    sign = torch.randint_like(boxes, 2) * 2 - 1
    corners = to_corners(boxes) + shift * sign * boxes[..., 2:].repeat(1, 1, 2) / 2 * how.box_noise
    low, high = corners.clamp(0, 1).split(2, dim=-1)
    moved = torch.cat([(low + high) / 2, high - low], dim=-1)
    return Denoised(embedding(labels), moved, target, positive, groups)
