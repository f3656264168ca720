"""The task losses: masked BCE, DINO's criterion, soft Dice (Foundation X, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from fxcore.data.targets import Batch
from fxcore.models.foundation import Classification, Localization, Prediction, Segmentation
from fxcore.models.localization.criterion import localization_loss
from fxcore.params.training import Pretrain


@dataclass(frozen=True, slots=True)
class Whole:
    """What the losses of a batch are divided by, wherever it is cut: its images, known labels and boxes."""

    images: int
    known: Tensor | None
    boxes: int

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Of a batch before it is cut."""
        boxes = sum(len(one.labels) for one in batch.boxes or ())
        return cls(len(batch.rows), None if batch.known is None else batch.known.sum(), boxes)

    def share(self, part: Batch) -> float:
        """The part of the batch that some of its images are."""
        return len(part.rows) / self.images


def classification_loss(logits: Tensor, labels: Tensor, known: Tensor, whole: Tensor | None = None) -> Tensor:
    """Binary cross-entropy averaged over the known labels of the batch, zero where none is known; all (B, classes).

    `whole` is the number of known labels where these images are a part of the batch.
    """
    each = binary_cross_entropy_with_logits(logits.float(), labels, reduction="none")
    return (each * known).sum() / (known.sum() if whole is None else whole).clamp(min=1)


def dice_loss(logits: Tensor, masks: Tensor, smooth: float) -> Tensor:
    """1 - soft Dice of each image and class, averaged; (B, classes, H, W), masks 0 or 1."""
    p = logits.float().sigmoid()
    overlap = (p * masks).sum((2, 3))
    return (1 - (2 * overlap + smooth) / (p.sum((2, 3)) + masks.sum((2, 3)) + smooth)).mean()


def task_loss(found: Prediction, batch: Batch, how: Pretrain, whole: Whole) -> dict[str, Tensor]:
    """The terms of the task's loss of a part of the `whole` batch, to be summed; over all parts they sum to the batch's."""
    match found:
        case Classification(logits=logits):
            assert batch.labels is not None
            assert batch.known is not None
            return {"bce": classification_loss(logits, batch.labels, batch.known, whole.known)}
        case Localization(proposals=proposals, decoded=decoded, noise=noise):
            assert batch.boxes is not None
            return localization_loss(proposals, decoded, noise, batch.boxes, how.localization_loss, whole.boxes)
        case Segmentation(logits=logits):
            assert batch.masks is not None
            return {"dice": whole.share(batch) * dice_loss(logits, batch.masks, how.dice_smooth)}
