"""Multi-scale deformable attention (Deformable DETR, equation 3) in pure PyTorch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

Shapes = tuple[tuple[int, int], ...]
"""Height and width of each feature level, finest first; plain integers, so that no step waits for a device."""


def deformable_attention(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """Bilinear samples of `value` at `locations`, summed with `weights`.

    Args:
        value: (B, tokens, heads, channels); tokens of all levels row-major, levels in the order of `shapes`.
        shapes: height and width of each level.
        locations: (B, queries, heads, levels, points, 2) as (x, y); 0..1 spans a level, zero outside.
        weights: (B, queries, heads, levels, points).

    Returns:
        (B, queries, heads · channels).
    """
    batch, _, heads, channels = value.shape
    grids = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)
    shares = weights.permute(3, 0, 2, 1, 4).flatten(1, 2)[:, :, None]
    levels = value.split([height * width for height, width in shapes], dim=1)
    mixed = value.new_zeros(())
    # Level by level: the samples of all levels side by side would be the largest tensor of the network.
    for level, grid, share, (height, width) in zip(levels, grids, shares, shapes, strict=True):
        picture = level.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        mixed = mixed + (functional.grid_sample(picture, grid, align_corners=False) * share).sum(-1)
    return mixed.reshape(batch, heads * channels, -1).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Each query attends to `points` positions around its reference on each level, for each head."""

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        """Start with heads looking in as many directions and points at growing distance (Deformable DETR, appendix A.4)."""
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)
        angles = torch.arange(heads) * (2 * math.pi / heads)
        directions = torch.stack([angles.cos(), angles.sin()], -1)
        directions = directions / directions.abs().amax(-1, keepdim=True)
        offsets = directions.view(heads, 1, 1, 2) * torch.arange(1, points + 1).view(1, 1, points, 1)
        with torch.no_grad():
            self.sampling_offsets.weight.zero_()
            self.sampling_offsets.bias.copy_(offsets.expand(heads, levels, points, 2).flatten())
            self.attention_weights.weight.zero_()
            self.attention_weights.bias.zero_()
            for projection in (self.value_proj, self.output_proj):
                nn.init.xavier_uniform_(projection.weight)
                projection.bias.zero_()

    def forward(self, query: Tensor, reference: Tensor, value: Tensor, shapes: Shapes) -> Tensor:
        """Attend from `query` to `value`.

        Args:
            query: (B, queries, width).
            reference: (B or 1, queries, 2 or 4) in 0..1; points (x, y), or boxes (cx, cy, w, h) whose size scales the offsets.
            value: (B, tokens, width).
            shapes: height and width of each level.

        Returns:
            (B, queries, width).
        """
        batch, queries, _ = query.shape
        layout = (batch, queries, self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(query).view(*layout, 2)
        weights = self.attention_weights(query).view(*layout[:3], -1).softmax(-1).view(layout)
        anchor = reference[:, :, None, None, None, :]
        if reference.shape[-1] == 2:
            sizes = torch.tensor(
                [(width, height) for height, width in shapes], dtype=offsets.dtype, device=offsets.device
            )
            locations = anchor + offsets / sizes[:, None, :]
        else:
            locations = anchor[..., :2] + offsets / self.points * anchor[..., 2:] * 0.5
        memory = self.value_proj(value).view(batch, -1, self.heads, value.shape[-1] // self.heads)
        return self.output_proj(deformable_attention(memory, shapes, locations, weights))
