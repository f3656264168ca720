"""The teacher: an exponential moving average of the student, the anchor of the consistency losses (Foundation X, figure 1)."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class Teacher(Generic[Network]):
    """A copy of the student that follows it: θ_t ← m·θ_t + (1 - m)·θ_s after each pass.

    Statistics that no gradient moves (BatchNorm buffers) are copied, so the teacher predicts with the student's
    normalisation and never with its initial one.
    """

    def __init__(self, student: Network) -> None:
        """Start from `student`, detached from it."""
        self.model: Network = copy.deepcopy(student).eval().requires_grad_(False)

    @torch.no_grad()
    def follow(self, student: nn.Module, momentum: float) -> None:
        """Move one step towards `student`, which must have the parameters and buffers the teacher was made with.

        `momentum` in [0, 1]: 0.80 in the paper.
        """
        ours: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(student.parameters())
        torch._foreach_lerp_(ours, theirs, 1.0 - momentum)
        for mine, its in zip(self.model.buffers(), student.buffers(), strict=True):
            mine.copy_(its)
