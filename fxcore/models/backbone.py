"""The shared image encoder: any timm network with stages at strides 4, 8, 16 and 32 (Swin-B in the paper)."""

from __future__ import annotations

from typing import Any

import timm
from timm.layers.format import Format
from torch import Tensor, nn

from fxcore.errors import InputError
from fxcore.params.model import Model

STRIDES = (4, 8, 16, 32)


class Backbone(nn.Module):
    """Four stage maps of an image, and the norms that the tasks put on them."""

    def __init__(self, model: Model) -> None:
        """Build `model.backbone` for square inputs of `model.image_size`, weights drawn at random.

        Raises:
            InputError: timm does not know the name or the arguments, or the stages are not those of a hierarchical network.
        """
        super().__init__()
        name: str = model.backbone.name
        arguments: dict[str, Any] = dict(model.backbone.arguments)
        if "swin" in name:
            arguments["img_size"] = model.image_size
        try:
            body: Any = timm.create_model(name, features_only=True, **arguments)
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            raise InputError(f"model.backbone: timm cannot build {name} with {arguments}: {error}") from error
        reductions = tuple(body.feature_info.reduction())
        if reductions[-4:] != STRIDES:
            raise InputError(f"model.backbone: {name} has stages at strides {reductions}; expected {STRIDES}")
        self.body: nn.Module = body
        self.channels_last = getattr(body, "output_fmt", Format.NCHW) == Format.NHWC
        self.channels: tuple[int, ...] = tuple(body.feature_info.channels())[-4:]
        self.norm = nn.LayerNorm(self.channels[-1])
        """Before the pooled feature of classification."""
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.channels[1:])
        """On the maps of strides 8, 16 and 32, for localization."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 1 or 3, H, W), normalised → stage maps (B, C, H / stride, W / stride), raw; grey is given to all three channels."""
        maps = self.body(images.expand(-1, 3, -1, -1))[-4:]
        return tuple(one.permute(0, 3, 1, 2) if self.channels_last else one for one in maps)

    def normalised(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The maps of strides 8, 16 and 32, each under its own norm over the channels."""
        return tuple(
            norm(one.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for norm, one in zip(self.norms, maps[1:], strict=True)
        )
