"""Supervised heads on the features of a frozen backbone, and their loss (the CXR-LT study, phase B)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fxcore.seeding import derive

GROUPS = 100
"""Queries of an ML-Decoder at most, where nothing else is said (Ridnik et al. 2023)."""


class LinearHead(nn.Linear):
    """[CLS] features (B, F) → logits (B, classes); starts near zero: weights of deviation 0.01, no bias."""

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        nn.init.normal_(self.weight, std=0.01)
        nn.init.zeros_(self.bias)


class GroupLinear(nn.Module):
    """A linear layer for each group's token, all in one product; a group gives ceil(classes / groups) logits.

    `shared` features are as if appended to every token, but multiplied without a copy for each. Weights start as the
    reference has them: Xavier-normal with the fans that PyTorch reads off the whole (groups, width, logits) array.
    """

    def __init__(self, groups: int, width: int, classes: int, shared: int = 0) -> None:
        super().__init__()
        self.width = width
        weight = torch.empty(groups, width + shared, -(-classes // groups))
        self.weight = nn.Parameter(nn.init.xavier_normal_(weight))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, tokens: Tensor, shared: Tensor | None = None) -> Tensor:
        """(B, groups, width), and (B, shared) where it was made for that → (B, classes); surplus logits are cut."""
        own, common = self.weight[:, : self.width], self.weight[:, self.width :]
        # Weights first: the other way round a CPU copies the tokens.
        logits = torch.einsum("kwg,bkw->bkg", own, tokens)
        if common.shape[1]:
            assert shared is not None
            logits = logits + torch.einsum("ksg,bs->bkg", common, shared)
        return logits.flatten(1)[:, : len(self.bias)] + self.bias


class DecoderLayer(nn.Module):
    """A transformer decoder's layer without self-attention, normalised after each step.

    Names are those of PyTorch's own layer, as in the published weights.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.multihead_attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        """(B, queries, width), (B, N, width) → (B, queries, width)."""
        query = self.norm1(query + self.dropout(query))
        # Whoever asks for the weights of attention gets no fused attention.
        attended, _ = self.multihead_attn(query, memory, memory, need_weights=False)
        query = self.norm2(query + self.dropout(attended))
        answers: Tensor = self.norm3(query + self.dropout(self.linear2(self.dropout(self.linear1(query).relu()))))
        return answers


class MlDecoder(nn.Module):
    """ML-Decoder (Ridnik et al. 2023): fixed queries attend to patch tokens, each answers for a group of classes.

    Not `timm.layers.ml_decoder.MLDecoder`, which the tests hold it against: under PyTorch 2 that one fails in its first
    forward, and its parts differ where it matters. Queries are a buffer here, equal in every process and whatever was drawn
    before; attention is fused; group logits are one product and no loop over classes; width, heads and dropout can be chosen.
    """

    queries: Tensor

    def __init__(
        self,
        features: int,
        classes: int,
        width: int = 768,
        heads: int = 8,
        feedforward: int = 2048,
        groups: int | None = None,
        dropout: float = 0.1,
        skip: int = 0,
    ) -> None:
        """For tokens of `features` numbers.

        Args:
            features: of a patch token.
            classes: logits.
            width: of queries and memory, a multiple of `heads`.
            heads: of the attention.
            feedforward: hidden units.
            groups: queries, at most one a class; by default that, up to 100.
            dropout: everywhere in the layer, 0..1.
            skip: width of the [CLS] features that every query's token is joined with, 0 for none (GLoRI, Yang et al. 2025).
        """
        super().__init__()
        groups = min(groups or GROUPS, classes)
        self.project = nn.Linear(features, width)
        self.layer = DecoderLayer(width, heads, feedforward, dropout)
        self.head = GroupLinear(groups, width, classes, skip)
        drawn = torch.Generator().manual_seed(derive("ml_decoder", "queries"))
        self.register_buffer("queries", torch.randn(groups, width, generator=drawn))

    def forward(self, tokens: Tensor, cls: Tensor | None = None) -> Tensor:
        """Patch tokens (B, N, features) and, which only `skip` looks at, [CLS] (B, skip) → logits (B, classes)."""
        memory = self.project(tokens).relu_()
        answers = self.layer(self.queries.expand(len(tokens), -1, -1), memory)
        logits: Tensor = self.head(answers, cls)
        return logits


def masked_bce(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy summed over images and classes; an unknown label, a finite number, counts nothing.

    All (B, classes). Nothing is changed in place, so that every head of a sweep meets the same labels and the same mask; in the
    authors' loop only the first does.
    """
    return binary_cross_entropy_with_logits(logits.float(), labels, known.float(), reduction="sum")
