"""The vision transformer of CXR-LT: timm's blocks, run over crops of several sizes at once (CXR-LT spec, network).

Tokens come as [CLS], registers, patches. [CLS] and registers have no position embedding; DINOv2 gives one to [CLS], which adds
up to the same network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timm.layers.mlp import GluMlp
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from fxcore.params.cxrlt import Vit as Sizes

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours; grey is given to all three channels."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Tokens of several groups of equal crops, one after the other: `tokens` (all, width), `shapes` (crops, tokens) of each group."""

    tokens: Tensor
    shapes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, groups: Sequence[Tensor]) -> Packed:
        """Pack groups of (crops, tokens, width)."""
        return cls(torch.cat([one.flatten(0, 1) for one in groups]), tuple((len(one), one.shape[1]) for one in groups))

    def groups(self) -> Iterator[Tensor]:
        """(crops, tokens, width) of each group, as views."""
        sizes = [crops * tokens for crops, tokens in self.shapes]
        for part, shape in zip(torch.split(self.tokens, sizes), self.shapes, strict=True):
            yield part.view(*shape, -1)


class VisionNetwork(nn.Module):
    """A vision transformer for square grey images of any side that is a multiple of the patch."""

    mean: Tensor
    std: Tensor

    def __init__(self, sizes: Sizes, resolution: int, *, checkpointing: bool = False) -> None:
        """Draw a network whose position embeddings are of `resolution` pixels."""
        super().__init__()
        self.sizes, self.checkpointing = sizes, checkpointing
        # timm's packed SwiGLU, whose activation a block sets; its annotations want a class where a partial one serves
        gated: Any = partial(GluMlp, gate_last=False)
        self.net: Any = VisionTransformer(
            img_size=resolution,
            patch_size=sizes.patch,
            num_classes=0,
            global_pool="",
            embed_dim=sizes.width,
            depth=sizes.depth,
            num_heads=sizes.heads,
            mlp_ratio=2 * sizes.hidden / sizes.width,  # the gate beside what it gates
            init_values=sizes.layer_scale,
            no_embed_class=True,
            reg_tokens=sizes.registers,
            dynamic_img_size=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            act_layer=nn.SiLU,
            mlp_layer=gated,
        )
        blocks: Any = self.net.blocks
        for block in blocks:  # timm's gates begin open, DINOv2's as every other linear layer
            nn.init.trunc_normal_(block.mlp.fc1.weight, std=0.02)
            nn.init.zeros_(block.mlp.fc1.bias)
        self.mask_token = nn.Parameter(torch.zeros(sizes.width))
        """In place of a masked patch, before its position is added."""
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    @property
    def prefix(self) -> int:
        """Tokens before the patches."""
        return 1 + self.sizes.registers

    def embed(self, images: Tensor, masked: Tensor | None = None) -> Tensor:
        """Images (B, 1, S, S) in 0..1, with `masked` patches (B, patches) → tokens (B, prefix + patches, width)."""
        patches = self.net.patch_embed.proj((images - self.mean) / self.std).flatten(2).transpose(1, 2)
        if masked is not None:
            patches = torch.where(masked[..., None], self.mask_token.to(patches.dtype), patches)
        patches = patches + self.positions(images.shape[-1] // self.sizes.patch)
        parts = [self.net.cls_token, *([] if self.net.reg_token is None else [self.net.reg_token])]
        return torch.cat([*(part.expand(len(images), -1, -1) for part in parts), patches], dim=1)

    def positions(self, side: int) -> Tensor:
        """Position embeddings (1, side², width) of a square grid: bicubic where it is another than the network's, not antialiased."""
        return resampled(self.net.pos_embed, side)

    def forward(self, groups: Sequence[tuple[Tensor, Tensor | None]]) -> list[Tensor]:
        """Groups of images of one size with their masks, all in one pass → tokens (B, prefix + patches, width), under the last norm.

        In training, each branch of each block sees but a part of the crops (`drop_path`), and counts the more.
        """
        packed = Packed.of([self.embed(images, masked) for images, masked in groups])
        for block in self.net.blocks:
            packed = self._step(block, packed)
        return [self.net.norm(group) for group in packed.groups()]

    def features(self, images: Tensor, blocks: int) -> list[Tensor]:
        """Outputs of the last blocks (B, prefix + patches, width), each under the final norm."""
        packed, found = Packed.of([self.embed(images)]), []
        for at, block in enumerate(self.net.blocks):
            packed = self._step(block, packed)
            if at >= len(self.net.blocks) - blocks:
                found.append(self.net.norm(next(packed.groups())))
        return found

    def _step(self, block: Any, packed: Packed) -> Packed:
        if self.checkpointing and torch.is_grad_enabled():
            tokens: Tensor = checkpoint(_block, block, packed, self._rate, use_reentrant=False)
        else:
            tokens = _block(block, packed, self._rate)
        return Packed(tokens, packed.shapes)

    @property
    def _rate(self) -> float:
        return self.sizes.drop_path if self.training else 0.0


def _block(block: Any, packed: Packed, rate: float) -> Tensor:
    """A pre-norm block: what attention and then the feed-forward net add to the tokens of the crops that take each branch."""

    def attended(kept: Packed) -> Tensor:
        """Attention among the tokens of each crop."""
        found: Tensor = block.ls1(_attention(block.attn, Packed(block.norm1(kept.tokens), kept.shapes)))
        return found

    def fed(kept: Packed) -> Tensor:
        """Each token for itself."""
        found: Tensor = block.ls2(block.mlp(block.norm2(kept.tokens)))
        return found

    for branch in (attended, fed):
        packed = Packed(_branch(branch, packed, rate), packed.shapes)
    return packed.tokens


def _branch(branch: Callable[[Packed], Tensor], packed: Packed, rate: float) -> Tensor:
    """Tokens with what a branch adds to some crops of each group, scaled so that the expectation is that of all of them.

    Crops that skip it cost nothing, where zeroing what is computed of them would cost all.
    """
    if not rate:
        return packed.tokens + branch(packed)
    index, shapes, scales = [], [], []
    start = 0
    for crops, tokens in packed.shapes:
        kept = max(1, round(crops * (1 - rate)))
        chosen = torch.randperm(crops, device=packed.tokens.device)[:kept]
        index.append((start + chosen[:, None] * tokens + torch.arange(tokens, device=chosen.device)).flatten())
        scales.append(crops / kept)
        shapes.append((kept, tokens))
        start += crops * tokens
    places = torch.cat(index)
    added = branch(Packed(packed.tokens[places], tuple(shapes)))
    factors = torch.cat([added.new_full((len(part), 1), scale) for part, scale in zip(index, scales, strict=True)])
    return packed.tokens.index_add(0, places, (added * factors).to(packed.tokens.dtype))


def _attention(attention: Any, packed: Packed) -> Tensor:
    """Timm's attention: its linear maps over all tokens at once, the fused kernel a group of equal crops."""
    qkv = attention.qkv(packed.tokens)
    found = []
    for group in Packed(qkv, packed.shapes).groups():
        crops, tokens, _ = group.shape
        query, key, value = group.view(crops, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(query, key, value)
        found.append(seen.transpose(1, 2).reshape(crops * tokens, -1))
    projected: Tensor = attention.proj(torch.cat(found))
    return projected


def resampled(positions: Tensor, side: int) -> Tensor:
    """Position embeddings (1, n², width) for a grid of `side`²: bicubic in float32, not antialiased, as DINOv2 does it."""
    own = round(positions.shape[1] ** 0.5)
    if own == side:
        return positions
    grid = positions.float().reshape(1, own, own, -1).permute(0, 3, 1, 2)
    found = interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return found.permute(0, 2, 3, 1).reshape(1, side * side, -1).to(positions.dtype)


def parameters_apart(network: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Name, parameter, and whether it decays: biases, norms and LayerScale do not."""
    for name, parameter in network.named_parameters():
        yield name, parameter, not (name.endswith((".bias", ".gamma")) or "norm" in name)
