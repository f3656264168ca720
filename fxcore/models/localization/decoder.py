"""The second half of localization: proposals from the encoder's memory, and a decoder that refines them to boxes (DINO)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fxcore.errors import InputError
from fxcore.models.localization.boxes import MLP, box_head, inverse_sigmoid
from fxcore.models.localization.deformable_attention import DeformableAttention, Shapes
from fxcore.models.localization.denoising import Noise
from fxcore.models.localization.encoder import Memory, sine
from fxcore.params.model import Localization

TEMPERATURE = 10000
"""Of the sine embedding of reference boxes."""
PROPOSAL_SIZE = 0.05
"""Side of the finest level's proposals, as a fraction of the image; doubled from level to level."""
MARGIN = 0.01
"""Tokens whose proposal comes closer than this to an image border in any coordinate are never selected."""
PRIOR = 0.01
"""Foreground probability that a fresh class head predicts (focal loss)."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """The memory's best tokens: `logits` (B, queries, classes), `boxes` (B, queries, 4) as cxcywh in 0..1, of decreasing score."""

    logits: Tensor
    boxes: Tensor


@dataclass(frozen=True, slots=True)
class Decoded:
    """Every layer's answer, first to last: `logits` (layers, B, queries, classes), `boxes` (layers, B, queries, 4), cxcywh in 0..1."""

    logits: Tensor
    boxes: Tensor
    states: Tensor


class Queries(nn.Module):
    """Shared by all datasets: the label embedding of denoising queries, and the content of matching queries.

    With one decoder for all datasets the content is a dataset's own (`LocalizationHead`).
    """

    def __init__(self, sizes: Localization) -> None:
        super().__init__()
        self.content = _content(sizes) if sizes.decoder == "own" else None
        self.labels = nn.Embedding(sizes.labels, sizes.width)


class LocalizationHead(nn.Module):
    """What is always a dataset's own: its view of the memory, or its queries; and the heads that score and place boxes.

    One class head and one box head serve all layers. With `tied_heads` the box head also refines, as in DINO; the
    published checkpoints refine with a head of its own.
    """

    def __init__(self, sizes: Localization, classes: int) -> None:
        super().__init__()
        width, own = sizes.width, sizes.decoder == "own"
        self.memory_proj = nn.Linear(width, width) if own else nn.Identity()
        self.content = None if own else _content(sizes)
        self.proposal_class = nn.Linear(width, classes)
        self.proposal_box = box_head(width)
        self.class_head = nn.Linear(width, classes)
        self.box_head = box_head(width)
        self.refine_head = None if sizes.tied_heads else box_head(width)
        for head in (self.proposal_class, self.class_head):
            nn.init.constant_(head.bias, -math.log((1 - PRIOR) / PRIOR))

    def project(self, memory: Memory) -> Memory:
        """The dataset's own linear view of the shared memory, used everywhere after the encoder."""
        return Memory(self.memory_proj(memory.tokens), memory.shapes, memory.centres)

    def refine(self, states: Tensor) -> Tensor:
        """How far each query's box is to move, in logit space; float32 whatever the states are."""
        return (self.box_head if self.refine_head is None else self.refine_head)(states).float()


def _content(sizes: Localization) -> nn.Parameter:
    return nn.Parameter(torch.randn(sizes.queries, sizes.width))


class DecoderLayer(nn.Module):
    """Self-attention among queries, deformable attention to the memory, feed-forward; each added and normalised."""

    def __init__(self, sizes: Localization, levels: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(sizes.width, sizes.heads, batch_first=True)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.cross_attn = DeformableAttention(sizes.width, sizes.heads, levels, sizes.points)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.linear1 = nn.Linear(sizes.width, sizes.feedforward)
        self.linear2 = nn.Linear(sizes.feedforward, sizes.width)
        self.norm3 = nn.LayerNorm(sizes.width)

    def forward(
        self, query: Tensor, position: Tensor, reference: Tensor, memory: Tensor, shapes: Shapes, mask: Tensor | None
    ) -> Tensor:
        """(B, queries, width) → the same; `reference` (B, queries, 4) in 0..1; True in `mask` hides a key from a query."""
        placed = query + position
        attended, _ = self.self_attn(placed, placed, query, attn_mask=mask, need_weights=False)
        query = self.norm2(query + attended)
        query = self.norm1(query + self.cross_attn(query + position, reference, memory, shapes))
        return self.norm3(query + self.linear2(self.linear1(query).relu()))


class Decoder(nn.Module):
    """Query selection and decoder layers: a dataset's own (Foundation X), or one for all (Foundation X+)."""

    def __init__(self, sizes: Localization, levels: int) -> None:
        super().__init__()
        width = sizes.width
        self.queries = sizes.queries
        self.proposal_proj = nn.Linear(width, width)
        self.proposal_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(DecoderLayer(sizes, levels) for _ in range(sizes.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.reference_proj = MLP(2 * width, width, width)

    def propose(self, memory: Memory, head: LocalizationHead) -> Proposals:
        """Score every token of the projected memory as a box around its centre and keep the best.

        Raises:
            InputError: the memory has fewer tokens than `queries`.
        """
        if self.queries > memory.tokens.shape[1]:
            tokens = memory.tokens.shape[1]
            raise InputError(
                f"model.localization.queries is {self.queries}, more than the {tokens} encoder tokens of this image size;"
                " give fewer queries"
            )
        anchors = _anchors(memory)
        inside = ((anchors > MARGIN) & (anchors < 1 - MARGIN)).all(-1)
        tokens = self.proposal_norm(self.proposal_proj(memory.tokens))
        logits = head.proposal_class(tokens)
        best = logits.detach().amax(-1).masked_fill(~inside, -torch.inf).topk(self.queries, dim=1).indices[..., None]
        kept = tokens.gather(1, best.expand(-1, -1, tokens.shape[-1]))
        anchor = anchors.expand(len(tokens), -1, -1).gather(1, best.expand(-1, -1, 4))
        boxes = (head.proposal_box(kept).float() + torch.logit(anchor)).sigmoid()
        return Proposals(logits.gather(1, best.expand(-1, -1, logits.shape[-1])), boxes)

    def forward(
        self,
        memory: Memory,
        proposals: Proposals,
        head: LocalizationHead,
        queries: Queries,
        noise: Noise | None = None,
    ) -> Decoded:
        """Refine the proposals, and denoise the noisy queries that come first, layer by layer.

        Each layer's reference is detached, while its prediction sees the one before it undetached ("look forward twice").
        """
        content = queries.content if head.content is None else head.content
        assert content is not None
        query = content.expand(len(memory.tokens), -1, -1)
        reference = proposals.boxes.detach()
        mask = None
        if noise is not None:
            query = torch.cat([queries.labels(noise.labels), query], dim=1)
            reference = torch.cat([noise.boxes, reference], dim=1)
            mask = noise.mask(self.queries)
        entering = reference
        states: list[Tensor] = []
        boxes: list[Tensor] = []
        for layer in self.layers:
            coordinates = reference[..., [1, 0, 2, 3]]
            position = self.reference_proj(sine(coordinates, query.shape[-1] // 2, TEMPERATURE))
            query = layer(query, position, reference, memory.tokens, memory.shapes, mask)
            states.append(self.norm(query))
            boxes.append((head.box_head(states[-1]).float() + inverse_sigmoid(entering)).sigmoid())
            entering = (head.refine(query) + inverse_sigmoid(reference)).sigmoid()
            reference = entering.detach()
        stacked = torch.stack(states)
        return Decoded(head.class_head(stacked), torch.stack(boxes), stacked)


def _anchors(memory: Memory) -> Tensor:
    """A box around every token, (1, tokens, 4) as cxcywh: its centre, and a side that doubles from level to level."""
    sides = [
        PROPOSAL_SIZE * 2**level for level, (height, width) in enumerate(memory.shapes) for _ in range(height * width)
    ]
    side = memory.centres.new_tensor(sides)[None, :, None]
    return torch.cat([memory.centres, side.expand(1, -1, 2)], dim=-1)
