"""Prototypes: the teacher's balanced assignments and the student's cross-entropy to them, some prototypes at a time.

With 131,072 prototypes a matrix of logits is the largest thing in memory, and a plain loss holds several. Nothing here holds
more than a chunk of its columns: Sinkhorn-Knopp needs the matrix only through its sums over rows and columns, the loss through
its logarithm of summed exponentials; each chunk is computed again when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from fxcore.training.parallel import ALONE, Group


@dataclass(frozen=True, slots=True)
class Assignments:
    """The teacher's: of row i to prototype k it is exp(rows_i · directions_k / temperature - top_i) · u_k · v_i; rows sum to 1.

    `rows` (M, channels) on the unit sphere, `directions` (K, channels), `u` (K), `v` and `top` (M), the largest exponents.
    """

    rows: Tensor
    directions: Tensor
    temperature: float
    u: Tensor
    v: Tensor
    top: Tensor

    def chunk(self, start: int, end: int) -> Tensor:
        """Assignments (M, end - start) to some of the prototypes."""
        return self.scores(start, end) * self.u[start:end] * self.v[:, None]

    def scores(self, start: int, end: int) -> Tensor:
        """The exponentials."""
        return torch.exp(self.logits(start, end) - self.top[:, None])

    def logits(self, start: int, end: int) -> Tensor:
        """Exponents, float32."""
        return (self.rows @ self.directions[start:end].T).float() / self.temperature


_LEAST = 1e-30
"""Of what a prototype is given, so that one which is far from every row takes nothing rather than infinitely much."""


def _chunks(prototypes: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, prototypes, size):
        yield start, min(start + size, prototypes)


@torch.no_grad()
def sinkhorn(
    rows: Tensor, directions: Tensor, temperature: float, iterations: int, chunk: int, group: Group = ALONE
) -> Assignments:
    """Balance the teacher's assignments: in turn, all prototypes get as much, and each row gives 1 (Sinkhorn-Knopp, float32).

    The rows of all processes of `group` are balanced together.

    Args:
        rows: (M, channels), normalised; of this process.
        directions: (K, channels), as the teacher's logits are made with.
        temperature: of the teacher.
        iterations: of both normalisations, rows last.
        chunk: prototypes computed at a time.
        group: the processes.
    """
    prototypes, device = len(directions), rows.device
    top = torch.full((len(rows),), -torch.inf, device=device)
    found = Assignments(rows, directions, temperature, torch.ones(prototypes, device=device), torch.ones_like(top), top)
    for start, end in _chunks(prototypes, chunk):
        torch.maximum(top, found.logits(start, end).amax(dim=1), out=top)
    # Exponentials that are too large or too small for float32 would come back as holes in the assignments.
    found.v.copy_(torch.exp(top - group.max(top.max() if len(top) else top.new_tensor(-torch.inf))))
    everywhere = float(group.sum(torch.tensor(float(len(rows)), device=device)))
    for _ in range(iterations):
        given = torch.zeros_like(top)
        for start, end in _chunks(prototypes, chunk):
            scores = found.scores(start, end)
            found.u[start:end] = 1 / (prototypes * group.sum(found.v @ scores)).clamp(min=_LEAST)
            given += scores @ found.u[start:end]
        found.v.copy_(1 / (everywhere * given))
    found.v.mul_(everywhere)
    return found


class _CrossEntropy(Function):
    """Value and gradients in two passes over the prototypes; holds no logits in between."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        directions: Tensor,
        temperature: float,
        targets: Assignments,
        index: Tensor,
        weights: Tensor,
        chunk: int,
    ) -> Tensor:
        """The weighted sum of cross-entropies."""
        top = torch.full((len(rows),), -torch.inf, device=rows.device)
        total, agreed = torch.zeros_like(top), torch.zeros_like(top)
        for start, end in _chunks(len(directions), chunk):
            logits = (rows @ directions[start:end].T).float() / temperature
            higher = torch.maximum(top, logits.amax(dim=1))
            total = total * torch.exp(top - higher) + torch.exp(logits - higher[:, None]).sum(dim=1)
            top = higher
            agreed += (_wanted(targets, index, weights, start, end) * logits).sum(dim=1)
        normaliser = top + total.log()
        ctx.save_for_backward(rows, directions, index, weights, normaliser)
        ctx.temperature, ctx.targets, ctx.chunk = temperature, targets, chunk
        return (weights.sum(dim=1) * normaliser - agreed).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """To the rows and to the directions."""
        rows, directions, index, weights, normaliser = ctx.saved_tensors
        to_rows, to_directions = torch.zeros_like(rows, dtype=torch.float32), torch.empty_like(directions)
        whole = weights.sum(dim=1, keepdim=True)
        for start, end in _chunks(len(directions), ctx.chunk):
            some = directions[start:end]
            logits = (rows @ some.T).float() / ctx.temperature
            slope = whole * torch.exp(logits - normaliser[:, None])
            slope -= _wanted(ctx.targets, index, weights, start, end)
            slope = (slope * (gradients[0] / ctx.temperature)).to(rows.dtype)
            to_rows += slope @ some
            to_directions[start:end] = slope.T @ rows
        return to_rows.to(rows.dtype), to_directions, None, None, None, None, None


def _wanted(targets: Assignments, index: Tensor, weights: Tensor, start: int, end: int) -> Tensor:
    """What each of the student's rows is held against: (N, end - start)."""
    teachers = targets.chunk(start, end)
    found = teachers[index[:, 0]] * weights[:, :1]
    for place in range(1, index.shape[1]):
        found = found + teachers[index[:, place]] * weights[:, place : place + 1]
    return found


def cross_entropy(
    rows: Tensor,
    directions: Tensor,
    temperature: float,
    targets: Assignments,
    index: Tensor,
    weights: Tensor,
    chunk: int,
) -> Tensor:
    """Σ_ij weights_ij · H(targets of row index_ij, softmax(rows_i · directions / temperature)).

    Args:
        rows: the student's (N, channels), normalised.
        directions: the student's prototypes (K, channels).
        temperature: of the student.
        targets: the teacher's assignments, without a gradient.
        index: (N, P): rows of the teacher that each row of the student is held against.
        weights: (N, P), of each of these pairs; 0 for none.
        chunk: prototypes computed at a time.
    """
    found: Tensor = _CrossEntropy.apply(rows, directions, temperature, targets, index, weights, chunk)
    return found
