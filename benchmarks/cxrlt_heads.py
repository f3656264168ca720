"""What the ML-Decoder's last layer costs as one product, against a loop over classes; and the whole head against timm's.

Usage: python benchmarks/cxrlt_heads.py
Fifteen seconds and 1.2 GB on two idle cores. Ways take turns, to and fro, and the best round of each counts.
"""

from __future__ import annotations

import copy
import sys

import torch
from table import heading, row, timed
from timm.layers.ml_decoder import MLDecoder
from torch import Tensor, nn

from fxcore.cxrlt.decoder import GroupLinear, MlDecoder

BATCH, CLASSES, WIDTH = 128, 40, 768
"""Of the last layer: images an update as the reference has them, classes of task 1, and numbers of a class's token."""
IMAGES, PATCHES, FEATURES = 8, 441, 4096
"""Of the whole head: images, patches of one of 336 pixels, and four blocks of ViT-L for each."""
ROUNDS, REPEATS = 5, 30
"""Of the whole head, and of its last layer alone."""
THREADS = 2


class Loop(nn.Module):
    """The last layer class by class, as the published heads have it."""

    def __init__(self, ours: GroupLinear) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(ours.weight.detach()), nn.Parameter(ours.bias.detach())

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, groups, width) → (B, classes)."""
        groups, _, logits = self.weight.shape
        found = tokens.new_zeros(len(tokens), groups, logits)
        for group in range(groups):
            found[:, group] = tokens[:, group] @ self.weight[group]
        return found.flatten(1)[:, : len(self.bias)] + self.bias


def timms(ours: MlDecoder) -> MLDecoder:
    """The head of timm with our weights; its layer is called directly, since what is around it fails under PyTorch 2."""
    theirs = MLDecoder(CLASSES, decoder_embedding=WIDTH, initial_num_features=FEATURES)
    theirs.decoder = theirs.decoder.layers[0]
    theirs.embed_standart = copy.deepcopy(ours.project)
    theirs.query_embed.weight.data = ours.queries
    theirs.decoder.load_state_dict(ours.layer.state_dict())
    theirs.duplicate_pooling.data, theirs.duplicate_pooling_bias.data = ours.head.weight.data, ours.head.bias.data
    return theirs


def write(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(line)
    sys.stdout.flush()


def compare(
    rounds: int, what: str, against: str, ours: nn.Module, theirs: nn.Module, tokens: Tensor, aims: tuple[str, str]
) -> None:
    """The rows of one layer: forward alone, without gradients; and forward and backward."""
    ours.eval(), theirs.eval()  # dropout draws differently
    with torch.inference_mode():
        apart = float((ours(tokens) - theirs(tokens)).abs().max())
        alone = timed(rounds, lambda: ours(tokens), lambda: theirs(tokens))
    both = timed(rounds, lambda: trained(ours, tokens), lambda: trained(theirs, tokens))
    for part, (mine, its), aim in zip(("forward", "forward and backward"), (alone, both), aims, strict=True):
        times = f"{1e3 * mine:.3g} ms", f"{1e3 * its:.3g} ms", f"{its / mine:.1f}"
        write(row(f"{what}, {part}", f"{against}; they differ by {apart:.0e}", *times, aim))


def trained(layer: nn.Module, tokens: Tensor) -> None:
    """Gradients of every weight, and of the tokens where those ask for one."""
    layer.zero_grad(set_to_none=True)
    tokens.grad = None
    layer(tokens).sum().backward()


def main() -> None:
    """Write a row for each comparison."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    write(heading("what", "against", "ours", "theirs", "theirs / ours", "aim"))
    linear = GroupLinear(CLASSES, WIDTH, CLASSES)
    tokens = torch.randn(BATCH, CLASSES, WIDTH, requires_grad=True)
    what = f"last layer, {BATCH} images, {CLASSES} classes"
    compare(REPEATS, what, "a loop over classes", linear, Loop(linear), tokens, ("", ">= 3"))
    head = MlDecoder(FEATURES, CLASSES, WIDTH)
    patches = torch.randn(IMAGES, PATCHES, FEATURES)
    what = f"ML-Decoder, {IMAGES} images, {PATCHES} patches of {FEATURES:,} features"
    compare(ROUNDS, what, "timm's", head, timms(head), patches, ("", ""))


if __name__ == "__main__":
    main()
