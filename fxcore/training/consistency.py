"""The consistency losses: student features stay close to the teacher's (Foundation X, L_const in figure 1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from fxcore.models.foundation import Trunk


def consistency(student: Trunk, teacher: Trunk) -> Tensor:
    """Mean over the branch's terms of the mean squared error, the teacher detached.

    Terms: classification, the pooled backbone feature; localization, the backbone maps and the encoder's tokens by
    position; segmentation, the backbone map and the fused decoder map.
    """
    terms = [
        torch.stack(
            [mse_loss(ours.float(), theirs.detach().float()) for ours, theirs in zip(mine, its, strict=True)]
        ).mean()
        for mine, its in zip(student.compared, teacher.compared, strict=True)
    ]
    return torch.stack(terms).mean()
