"""The task losses: masked BCE, DINO's criterion, soft Dice (Foundation X, section 5)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from fxcore.data.targets import Batch
from fxcore.models.foundation import Classification, Localization, Prediction, Segmentation
from fxcore.models.localization.criterion import localization_loss
from fxcore.params.training import Pretrain


def classification_loss(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy averaged over the known labels of the batch, zero where none is known; all (B, classes)."""
    each = binary_cross_entropy_with_logits(logits.float(), labels, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def dice_loss(logits: Tensor, masks: Tensor, smooth: float) -> Tensor:
    """1 - soft Dice of each image and class, averaged; (B, classes, H, W), masks 0 or 1."""
    p = logits.float().sigmoid()
    overlap = (p * masks).sum((2, 3))
    return (1 - (2 * overlap + smooth) / (p.sum((2, 3)) + masks.sum((2, 3)) + smooth)).mean()


def task_loss(found: Prediction, batch: Batch, how: Pretrain) -> dict[str, Tensor]:
    """The terms of the task's loss, to be summed."""
    match found:
        case Classification(logits=logits):
            assert batch.labels is not None
            assert batch.known is not None
            return {"bce": classification_loss(logits, batch.labels, batch.known)}
        case Localization(proposals=proposals, decoded=decoded, denoised=denoised):
            assert batch.boxes is not None
            return localization_loss(proposals, decoded, denoised, batch.boxes, how.localization_loss)
        case Segmentation(logits=logits):
            assert batch.masks is not None
            return {"dice": dice_loss(logits, batch.masks, how.dice_smooth)}
