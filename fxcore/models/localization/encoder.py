"""The shared half of localization: input projections, positions, and the deformable encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fxcore.models.localization.deformable_attention import DeformableAttention, Shapes
from fxcore.params.model import Localization

GROUP = 8
"""Channels in a group of the input projections' GroupNorm: 32 groups of the published 256."""
TEMPERATURE = 20
"""Of the sine positions of image tokens (DINO)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Encoder output: tokens (B, tokens, width) of levels with `shapes`, and each token's centre (1, tokens, 2) as (x, y) in 0..1."""

    tokens: Tensor
    shapes: Shapes
    centres: Tensor


def sine(coordinates: Tensor, channels: int, temperature: float) -> Tensor:
    """Sine and cosine, interleaved, of each coordinate: (..., n) in 0..1 → (..., n · channels)."""
    exponent = 2 * (torch.arange(channels, device=coordinates.device) // 2) / channels
    phase = coordinates[..., None] * (2 * math.pi) / temperature**exponent
    return torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], dim=-1).flatten(-3)


def centres(shapes: Shapes, device: torch.device) -> Tensor:
    """Pixel centres of all levels as (x, y) in 0..1, levels in order, row-major: (1, tokens, 2)."""
    grids = []
    for height, width in shapes:
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        grids.append(torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).flatten(0, 1))
    return torch.cat(grids)[None]


def positions(shapes: Shapes, channels: int, device: torch.device) -> tuple[Tensor, ...]:
    """Sine position of every token, level by level: (1, height · width, channels), y before x."""
    found = []
    for height, width in shapes:
        y = torch.arange(1, height + 1, device=device) / (height + 1e-6)
        x = torch.arange(1, width + 1, device=device) / (width + 1e-6)
        grid = torch.stack([y[:, None].expand(height, width), x.expand(height, width)], -1).flatten(0, 1)
        found.append(sine(grid, channels // 2, TEMPERATURE)[None])
    return tuple(found)


class EncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward net, each added and normalised."""

    def __init__(self, sizes: Localization, levels: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(sizes.width, sizes.heads, levels, sizes.points)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.linear1 = nn.Linear(sizes.width, sizes.feedforward)
        self.linear2 = nn.Linear(sizes.feedforward, sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)

    def forward(self, tokens: Tensor, position: Tensor, reference: Tensor, shapes: Shapes) -> Tensor:
        """(B, tokens, width) → the same; `position` is added to the queries only."""
        tokens = self.norm1(tokens + self.self_attn(tokens + position, reference, tokens, shapes))
        return self.norm2(tokens + self.linear2(self.linear1(tokens).relu()))


class Encoder(nn.Module):
    """Stage maps of strides 8, 16, 32 and one coarser level, as tokens that have seen each other."""

    def __init__(self, sizes: Localization, channels: tuple[int, ...]) -> None:
        """`channels` of the stage maps, finest first; the extra level comes from the last of them."""
        super().__init__()
        levels = len(channels) + 1
        projections = [nn.Conv2d(one, sizes.width, 1) for one in channels]
        projections.append(nn.Conv2d(channels[-1], sizes.width, 3, stride=2, padding=1))
        for projection in projections:
            nn.init.xavier_uniform_(projection.weight)
            assert projection.bias is not None
            nn.init.zeros_(projection.bias)
        self.input_proj = nn.ModuleList(
            nn.Sequential(one, nn.GroupNorm(sizes.width // GROUP, sizes.width)) for one in projections
        )
        self.level_embed = nn.Parameter(torch.randn(levels, sizes.width))
        self.layers = nn.ModuleList(EncoderLayer(sizes, levels) for _ in range(sizes.encoder_layers))

    def forward(self, maps: tuple[Tensor, ...]) -> Memory:
        """Normalised stage maps (B, C, H, W), finest first → the encoder's memory."""
        projected = [projection(one) for projection, one in zip(self.input_proj, (*maps, maps[-1]), strict=True)]
        shapes: Shapes = tuple((one.shape[-2], one.shape[-1]) for one in projected)
        tokens = torch.cat([one.flatten(2).transpose(1, 2) for one in projected], dim=1)
        sines = positions(shapes, tokens.shape[-1], tokens.device)
        position = torch.cat([sine_ + level for sine_, level in zip(sines, self.level_embed, strict=True)], dim=1)
        reference = centres(shapes, tokens.device)
        for layer in self.layers:
            tokens = layer(tokens, position, reference, shapes)
        return Memory(tokens, shapes, reference)
