"""Multi-scale deformable attention (Deformable DETR, equation 3) in pure PyTorch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

Shapes = tuple[tuple[int, int], ...]
"""Height and width of each feature level, finest first; plain integers, so that no step waits for a device."""


FEW = 1 << 16
"""Numbers that a level of an image gives (queries · heads · points · channels) below which starting operations costs more than
gathering saves."""


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
    differentiated = torch.is_grad_enabled() and any(one.requires_grad for one in (value, locations, weights))
    few = locations[0, :, :, 0, :, 0].numel() * value.shape[-1] < FEW
    if differentiated or few or value.device.type != "cpu":
        return _sampled(value, shapes, locations, weights)
    return _gathered(value, shapes, locations, weights)


def _sampled(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """By `grid_sample`, which has a gradient."""
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


def _gathered(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """By weighted sums of table rows, several times as fast on a CPU; in float32 at least, whatever the dtype of `value`."""
    batch, queries, heads = locations.shape[:3]
    exact = torch.promote_types(value.dtype, torch.float32)
    mixed = value.new_zeros(batch, queries * heads, value.shape[-1], dtype=exact)
    # Image by image and level by level: a level's tokens are a table as they lie, and its indices stay in the cache.
    for image in range(batch):
        levels = value[image].to(exact).split([height * width for height, width in shapes])
        for level, (tokens, shape) in enumerate(zip(levels, shapes, strict=True)):
            place, share = locations[image, :, :, level].to(exact), weights[image, :, :, level].to(exact)
            mixed[image] += _corners(tokens, shape, place, share)
    return mixed.view(batch, queries, -1).to(value.dtype)


def _corners(tokens: Tensor, shape: tuple[int, int], locations: Tensor, weights: Tensor) -> Tensor:
    """One level of one image: for each query and head, the four pixels around each point, summed by closeness and weight.

    Args:
        tokens: (height · width, heads, channels).
        shape: height and width.
        locations: (queries, heads, points, 2).
        weights: (queries, heads, points).

    Returns:
        (queries · heads, channels).
    """
    height, width = shape
    heads = tokens.shape[1]
    left, near_left, near_right = _neighbours(locations[..., 0], width)
    top, near_top, near_bottom = _neighbours(locations[..., 1], height)
    near_top, near_bottom = near_top * weights, near_bottom * weights
    head = torch.arange(heads, dtype=torch.int32, device=tokens.device)[:, None]
    first = (top * width + left).int() * heads + head
    # A single row or column is its own neighbour, with no closeness.
    right, below = min(width - 1, 1) * heads, min(height - 1, 1) * width * heads
    rows = torch.stack([first, first + right, first + below, first + below + right], dim=-1)
    shares = torch.stack(
        [near_top * near_left, near_top * near_right, near_bottom * near_left, near_bottom * near_right], dim=-1
    )
    return functional.embedding_bag(
        rows.flatten(0, 1).flatten(1),
        tokens.flatten(0, 1),
        mode="sum",
        per_sample_weights=shares.flatten(0, 1).flatten(1),
    )


def _neighbours(coordinate: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of two adjacent pixels around a coordinate in 0..1: the first's index, and how close each is, 1 at it and 0 a pixel off.

    Outside, the two are the nearest inside, and close only as far as the coordinate is less than a pixel away: zero padding.
    """
    place = coordinate * size - 0.5
    # No NaN becomes an index; it remains in the closeness.
    first = place.floor().clamp_(0, max(size - 2, 0)).nan_to_num_(0)
    distance = place - first
    second = (1 - (distance - 1).abs()).clamp_(0, min(size - 1, 1))
    return first, (1 - distance.abs()).clamp_(min=0), second


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
