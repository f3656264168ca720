"""Contrastive denoising: queries made from noisy ground truth, which the decoder must restore or reject (DINO, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fxcore.data.targets import Target
from fxcore.models.localization.boxes import to_corners
from fxcore.params.model import Denoising


@dataclass(frozen=True, slots=True)
class Noise:
    """Noisy queries before they are embedded, the same number n for each image: groups of positives followed by as many negatives.

    `labels` (B, n) and `boxes` (B, n, 4) are the noisy ones, `true_labels` and `true_boxes` what they were made from; `target`
    (B, n) is the index of that box, -1 for padding; `positive` (n,) tells which queries are to restore their box, the others
    are to be rejected.
    """

    labels: Tensor
    boxes: Tensor
    true_labels: Tensor
    true_boxes: Tensor
    target: Tensor
    positive: Tensor
    groups: int

    def part(self, start: int, end: int) -> Noise:
        """That of some images of the batch."""
        names = ("labels", "boxes", "true_labels", "true_boxes", "target")
        return replace(self, **{name: getattr(self, name)[start:end] for name in names})

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


def draw(targets: Sequence[Target], classes: int, how: Denoising) -> Noise | None:
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
    noisy = torch.where(redrawn, torch.randint_like(labels, classes), labels)
    shift = torch.rand_like(boxes) + (~positive)[:, None]
    sign = torch.randint_like(boxes, 2) * 2 - 1
    corners = to_corners(boxes) + shift * sign * boxes[..., 2:].repeat(1, 1, 2) / 2 * how.box_noise
    low, high = corners.clamp(0, 1).split(2, dim=-1)
    moved = torch.cat([(low + high) / 2, high - low], dim=-1)
    return Noise(noisy, moved, labels, boxes, target, positive, groups)
