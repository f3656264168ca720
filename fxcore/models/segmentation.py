"""UPerNet as published: pyramid pooling on the deepest map, a feature pyramid, and a head a dataset (Foundation X section 1.4)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, batch_norm, interpolate

from fxcore.params.model import Segmentation


class Norm(nn.BatchNorm2d):
    """BatchNorm that also takes a single value a channel, as a pooling bin of one image is: it goes by the running statistics."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        if not self.training or maps[:, 0].numel() > 1:
            return super().forward(maps)
        return batch_norm(maps, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def _conv(before: int, after: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, padding=size // 2, bias=False), Norm(after), nn.ReLU(inplace=True)
    )


def _resize(maps: Tensor, like: Tensor) -> Tensor:
    return interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=True)


class PyramidPooling(nn.Module):
    """The deepest map beside its averages over coarse grids, mixed to the map's own channels."""

    def __init__(self, channels: int, bins: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.bins = bins
        self.branches = nn.ModuleList(_conv(channels, channels // 4, 1) for _ in bins)
        self.bottleneck = _conv(channels + len(bins) * (channels // 4), channels, 3)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, deepest: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        pooled = [
            _resize(branch(adaptive_avg_pool2d(deepest, bins)), deepest)
            for branch, bins in zip(self.branches, self.bins, strict=True)
        ]
        mixed: Tensor = self.dropout(self.bottleneck(torch.cat([deepest, *pooled], dim=1)))
        return mixed


class SegmentationDecoder(nn.Module):
    """Shared by all datasets: pyramid pooling and a feature pyramid down to stride 4."""

    def __init__(self, sizes: Segmentation, channels: tuple[int, ...]) -> None:
        """`channels` of the four stage maps, finest first."""
        super().__init__()
        self.pooling = PyramidPooling(channels[-1], sizes.bins, sizes.dropout)
        self.finest = nn.Identity() if channels[0] == sizes.width else nn.Conv2d(channels[0], sizes.width, 1)
        self.lateral = nn.ModuleList(nn.Conv2d(one, sizes.width, 1) for one in channels[1:])
        self.smooth = nn.Conv2d(sizes.width, sizes.width, 3, padding=1)
        self.fusion = _conv(4 * sizes.width, sizes.width, 3)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Raw stage maps (B, C, H, W), finest first → the fused map (B, width, H, W) at the finest stride.

        Each level adds only the projected level above it (not a running sum), and one smoothing convolution serves all levels.
        """
        *middle, deepest = maps[1:]
        levels = [self.finest(maps[0])]
        levels += [lateral(one) for lateral, one in zip(self.lateral, (*middle, self.pooling(deepest)), strict=True)]
        summed = [self.smooth(fine + _resize(coarse, fine)) for fine, coarse in pairwise(levels)]
        fused: Tensor = self.fusion(torch.cat([_resize(one, summed[0]) for one in (*summed, levels[-1])], dim=1))
        return fused


def segmentation_head(width: int, classes: int) -> nn.Conv2d:
    """A dataset's head: one 3×3 convolution from the fused map to a logit a class."""
    return nn.Conv2d(width, classes, 3, padding=1)
