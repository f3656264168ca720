"""Pretraining without labels and heads on frozen features, each against a plainer way.

Usage: python benchmarks/pretraining.py
Takes about three minutes and 8 GB on two idle cores.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from table import heading, ratio, timed
from torch import Tensor
from torch.nn.functional import log_softmax, normalize

from fxcore.cxrlt.features import Frozen, LabelledImages
from fxcore.cxrlt.fitting import Featured, Fitting, Listed
from fxcore.cxrlt.prototypes import Assignments, cross_entropy, sinkhorn
from fxcore.cxrlt.vit import VisionNetwork
from fxcore.data.store import Store
from fxcore.params.cxrlt import Fit, Head, Vit
from fxcore.training.save import Save

THREADS, ROUNDS = 2, 3
SIZES = Vit(width=384, depth=12, heads=6, drop_path=0.0, layer_scale=1e-5)
"""ViT-S with registers and gated feed-forward nets."""
IMAGES, LARGE, SMALL, LOCALS = 4, 224, 96, 8
"""A batch: images, sides of global and local crops in pixels, local crops an image."""
PROTOTYPES, CHANNELS, ROWS, CHUNK = 131_072, 256, 2048, 4096
"""Of the loss on masked patches: about as many as one GPU has of a batch of 38 images at 224 pixels."""
LABELLED, EPOCHS, CLASSES, SIDE = 256, 10, 40, 96
"""Images that heads are trained on, how often, their classes, and their side in pixels."""


def crops() -> str:
    """All crops of a batch in one pass against a crop at a time, forward and backward."""
    torch.manual_seed(0)
    network = VisionNetwork(SIZES, LARGE)
    groups = [torch.rand(number * IMAGES, 1, side, side) for number, side in ((2, LARGE), (LOCALS, SMALL))]

    def packed() -> Tensor:
        """Ours."""
        return torch.cat([one[:, 0] for one in network([(group, None) for group in groups])])

    def looped() -> Tensor:
        """Ten passes, as many as there are crops of an image."""
        return torch.cat([network([(part, None)])[0][:, 0] for group in groups for part in group.split(IMAGES)])

    with torch.no_grad():
        apart = float((packed() - looped()).abs().max())
    ours, theirs = timed(ROUNDS, lambda: packed().sum().backward(), lambda: looped().sum().backward())
    what = f"{IMAGES} images, 2 crops of {LARGE} and {LOCALS} of {SMALL} pixels, forward and backward"
    return ratio(what, f"a loop over crops; they differ by {apart:.0e}", ours, theirs, "< 1")


def plain(rows: Tensor, directions: Tensor, teacher: Tensor, theirs: Tensor, weights: Tensor) -> Tensor:
    """The loss on masked patches with whole matrices: Sinkhorn-Knopp, then cross-entropy."""
    with torch.no_grad():
        wanted = torch.exp((teacher @ theirs.T) / 0.05)
        wanted /= wanted.sum()
        for _ in range(3):
            wanted /= wanted.sum(dim=0, keepdim=True) * wanted.shape[1]
            wanted /= wanted.sum(dim=1, keepdim=True) * len(wanted)
        wanted *= len(wanted)
    found: Tensor = -((wanted * log_softmax(rows @ directions.T / 0.1, dim=1)).sum(dim=1) * weights[:, 0]).sum()
    return found


def case() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Points and prototypes of student and teacher, and weights."""
    torch.manual_seed(0)
    made = [normalize(torch.randn(number, CHANNELS), dim=1) for number in (ROWS, PROTOTYPES, ROWS, PROTOTYPES)]
    return made[0].requires_grad_(), made[1].requires_grad_(), made[2], made[3], torch.rand(ROWS, 1) / ROWS


def ours(rows: Tensor, directions: Tensor, teacher: Tensor, theirs: Tensor, weights: Tensor) -> Tensor:
    """The same, some prototypes at a time."""
    targets: Assignments = sinkhorn(teacher, theirs, 0.05, 3, CHUNK)
    return cross_entropy(rows, directions, 0.1, targets, torch.arange(len(rows))[:, None], weights, CHUNK)


def resident() -> int:
    """Bytes of this process in memory now."""
    return 4096 * int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])


def report_peak(kind: str) -> None:
    """Write how much a loss and its backward pass take at most beyond what was there before, in bytes."""
    way, tensors = {"ours": ours, "plain": plain}[kind], case()
    before, most, done = resident(), [0], threading.Event()

    def watch() -> None:
        """Look every millisecond."""
        while not done.wait(0.001):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    way(*tensors).backward()  # type: ignore[no-untyped-call]
    done.set()
    watcher.join()
    sys.stdout.write(f"{most[0] - before}\n")


def peak(kind: str) -> float:
    """What a process of its own reports, in GiB."""
    ran = subprocess.run([sys.executable, __file__, kind], capture_output=True, text=True, check=True)
    return int(ran.stdout) / 2**30


def prototypes() -> list[str]:
    """Memory and time of the loss, and how far values and gradients are apart."""
    tensors = case()
    values, slopes = [], []
    for way in (ours, plain):
        value = way(*tensors)
        slopes.append(torch.autograd.grad(value, tensors[:2]))
        values.append(value.item())
    apart = abs(values[0] / values[1] - 1)
    steep = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*slopes, strict=True))
    del slopes
    mine, its = timed(ROUNDS, lambda: ours(*tensors).backward(), lambda: plain(*tensors).backward())  # type: ignore[no-untyped-call]
    what = f"loss of {ROWS} patches on {PROTOTYPES:,} prototypes"
    against = f"whole matrices; values differ by {apart:.0e}, gradients by {steep:.0e}"
    return [
        ratio(f"{what}, memory", against, peak("ours"), peak("plain"), "≤ 0.25", "GiB"),
        ratio(f"{what}, forward and backward", "whole matrices", mine, its, ""),
    ]


class Pictures:
    """In place of a store: noise."""

    def __init__(self) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (LABELLED, SIDE, SIDE), dtype=np.uint8)

    def image(self, row: int) -> NDArray[np.uint8]:
        """As a store's."""
        return self.images[row]


def sweep() -> str:
    """Nine learning rates of a linear head in one go against one, features included."""
    torch.manual_seed(0)
    how = Fit(cache=True, flip=0)
    frozen = Frozen(VisionNetwork(SIZES, SIDE).eval().requires_grad_(False), SIZES, SIDE, how.blocks)
    images = LabelledImages([cast(Store, Pictures())], SIDE, how)
    places, labels = np.arange(LABELLED), np.random.default_rng(1).random((LABELLED, CLASSES)) < 0.1
    listed = Listed(
        np.zeros(LABELLED, np.int64), places, places.astype(str), labels.astype(np.float32), np.ones_like(labels)
    )
    featured = Featured(frozen, images, Head(backbone="vit", resolution=SIDE), how, torch.device("cpu"), 0)

    def trained(rates: tuple[float, ...]) -> None:
        """A whole sweep."""
        fitting = Fitting(featured, listed, rates, EPOCHS, 0)
        fitting.run(EPOCHS, Save(Path("unused"), None, {}), {})

    ours, theirs = timed(ROUNDS, lambda: trained(how.rates), lambda: trained(how.rates[:1]))
    what = f"{len(how.rates)} learning rates, {EPOCHS} epochs of {LABELLED} images on kept [CLS]"
    return ratio(what, "one learning rate", ours, theirs, "≤ 1.3")


def main() -> None:
    """Write the table."""
    if len(sys.argv) > 1:
        report_peak(sys.argv[1])
        return
    torch.set_num_threads(THREADS)
    sys.stdout.write(heading())
    for line in (crops(), *prototypes(), sweep()):
        sys.stdout.write(line)


if __name__ == "__main__":
    main()
