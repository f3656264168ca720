"""Foundation X: one backbone, three branches, and for each dataset its own heads (figure 1 of the paper).

A branch is a *trunk*, shared by all datasets (backbone; backbone and localization encoder; backbone and segmentation
decoder), followed by what belongs to one dataset. The consistency losses compare trunks; lock mode freezes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm

from fxcore.data.targets import Target
from fxcore.models.backbone import Backbone
from fxcore.models.localization.decoder import Decoded, Decoder, LocalizationHead, Proposals, Queries
from fxcore.models.localization.denoising import Noise, draw
from fxcore.models.localization.encoder import Encoder, Memory
from fxcore.models.segmentation import SegmentationDecoder, segmentation_head
from fxcore.params.model import Model, Projector
from fxcore.passes import Task
from fxcore.seeding import derive, seed_torch

Part = TypeVar("Part", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class ClassificationTrunk:
    """`features` (B, C): mean over the last stage's tokens after its norm, projected where there is a projector."""

    features: Tensor

    @property
    def compared(self) -> tuple[tuple[Tensor, ...], ...]:
        """What consistency compares: a tuple a term."""
        return ((self.features,),)


@dataclass(frozen=True, slots=True)
class LocalizationTrunk:
    """`maps` of strides 8, 16, 32, each normalised over its channels, and the encoder's `memory`."""

    maps: tuple[Tensor, ...]
    memory: Memory

    @property
    def compared(self) -> tuple[tuple[Tensor, ...], ...]:
        """What consistency compares: a tuple a term."""
        return (self.maps, (self.memory.tokens,))


@dataclass(frozen=True, slots=True)
class SegmentationTrunk:
    """`deepest` stage map, and the decoder's `fused` map at stride 4."""

    deepest: Tensor
    fused: Tensor

    @property
    def compared(self) -> tuple[tuple[Tensor, ...], ...]:
        """What consistency compares: a tuple a term.

        The raw stage map has no scale of its own; standardised over channels, its distance compares with the other terms.
        """
        deepest = self.deepest.permute(0, 2, 3, 1)
        return ((layer_norm(deepest, deepest.shape[-1:]),), (self.fused,))


Trunk = ClassificationTrunk | LocalizationTrunk | SegmentationTrunk


@dataclass(frozen=True, slots=True)
class Classification:
    """`logits` (B, classes) and the `features` (B, C) that the head takes."""

    logits: Tensor
    features: Tensor


@dataclass(frozen=True, slots=True)
class Localization:
    """The last layer's `logits` (B, queries, classes) and `boxes` (B, queries, 4), cxcywh in 0..1, and all that the loss needs."""

    logits: Tensor
    boxes: Tensor
    proposals: Proposals
    decoded: Decoded
    noise: Noise | None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """`logits` (B, classes, H, W) at input size."""

    logits: Tensor


Prediction = Classification | Localization | Segmentation


def projector(channels: int, sizes: Projector | None) -> nn.Module:
    """From the pooled feature (B, channels) to what the classification heads take (Ark); nothing in between without `sizes`."""
    if sizes is None:
        return nn.Identity()
    if not sizes.hidden:
        return nn.Linear(channels, sizes.width)
    return nn.Sequential(nn.Linear(channels, sizes.width), nn.ReLU(), nn.Linear(sizes.width, sizes.width))


def shapes(model: Model, heads: Mapping[str, Mapping[Task, int]]) -> dict[str, torch.Size]:
    """Names and shapes of the tensors of a network, which takes no memory: sizes may be those of a stranger's file.

    Raises:
        ValueError: there is no such network.
    """
    try:
        with torch.device("meta"):
            return {name: of.shape for name, of in FoundationX(model, heads).state_dict().items()}
    except (ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError) as error:
        raise ValueError(f"no network has these sizes ({error})") from error


class FoundationX(nn.Module):
    """The network; parts that no dataset needs do not exist.

    Each part draws its initial weights from its own name and `seed`, so that two runs that share a part start it equal.
    """

    def __init__(self, model: Model, heads: Mapping[str, Mapping[Task, int]], seed: int = 0) -> None:
        """Build for `heads`: dataset → task → number of classes."""
        super().__init__()
        self.sizes, self.heads = model, {name: dict(of) for name, of in heads.items()}
        tasks = {task for of_dataset in heads.values() for task in of_dataset}

        def part(name: str, build: Callable[[], Part]) -> Part:
            """A module whose initial weights come from its own name."""
            with torch.random.fork_rng(devices=[]):
                seed_torch(derive(seed, "weights", name))
                return build()

        def of_each(task: Task, build: Callable[[int], nn.Module]) -> nn.ModuleDict:
            """A module for each dataset that has the task, made for its number of classes."""
            mine = {name: of[task] for name, of in heads.items() if task in of}
            return nn.ModuleDict({name: part(f"{task}.{name}", partial(build, n)) for name, n in mine.items()})

        self.backbone = part("backbone", lambda: Backbone(model))
        channels = self.backbone.channels
        self.projector = part("projector", lambda: projector(channels[-1], model.projector))
        width = model.projector.width if model.projector else channels[-1]
        self.classification_heads = of_each(Task.CLASSIFICATION, lambda n: nn.Linear(width, n))
        if Task.LOCALIZATION in tasks:
            self.localization_encoder = part("encoder", lambda: Encoder(model.localization, channels[1:]))
            self.queries = part("queries", lambda: Queries(model.localization))
        localized = [name for name, of in heads.items() if Task.LOCALIZATION in of]
        shared = ["shared"] if localized else []
        decoders = shared if model.localization.decoder == "shared" else localized
        decoder = partial(Decoder, model.localization, len(channels))
        self.decoders = nn.ModuleDict({name: part(f"decoder.{name}", decoder) for name in decoders})
        self.localization_heads = of_each(Task.LOCALIZATION, lambda n: LocalizationHead(model.localization, n))
        if Task.SEGMENTATION in tasks:
            self.segmentation_decoder = part(
                "segmentation_decoder", lambda: SegmentationDecoder(model.segmentation, channels)
            )
        self.segmentation_heads = of_each(Task.SEGMENTATION, lambda n: segmentation_head(model.segmentation.width, n))

    def compile_trunks(self) -> None:
        """Compile what all datasets share, in place: names and parameters stay. The heads are small, and each its own program."""
        for name in ("backbone", "localization_encoder", "segmentation_decoder"):
            if hasattr(self, name):
                self.get_submodule(name).compile()

    def trunk(self, images: Tensor, task: Task) -> Trunk:
        """The shared part of a branch; `images` (B, 1 or 3, H, W), normalised."""
        return self.branch(self.backbone(images), task)

    def branch(self, maps: tuple[Tensor, ...], task: Task) -> Trunk:
        """The shared part of a branch after the backbone, from its stage maps."""
        match task:
            case Task.CLASSIFICATION:
                pooled = self.backbone.norm(maps[-1].permute(0, 2, 3, 1)).mean((1, 2))
                return ClassificationTrunk(self.projector(pooled))
            case Task.LOCALIZATION:
                normed = self.backbone.normalised(maps)
                return LocalizationTrunk(normed, self.localization_encoder(normed))
            case Task.SEGMENTATION:
                return SegmentationTrunk(maps[-1], self.segmentation_decoder(maps))

    def head(self, trunk: Trunk, dataset: str, size: tuple[int, int], noise: Noise | None = None) -> Prediction:
        """What belongs to `dataset`; `size` of the input images; `noise` to restore, in training."""
        match trunk:
            case ClassificationTrunk(features):
                return Classification(self.classification_heads[dataset](features), features)
            case LocalizationTrunk(memory=memory):
                return self._decode(memory, dataset, noise)
            case SegmentationTrunk(fused=fused):
                logits = self.segmentation_heads[dataset](fused)
                return Segmentation(interpolate(logits, size=size, mode="bilinear", align_corners=False))

    def noise(self, targets: Sequence[Target], dataset: str) -> Noise | None:
        """Noisy queries of a batch for a dataset's decoder to restore, drawn from the global generator."""
        return draw(targets, self.heads[dataset][Task.LOCALIZATION], self.sizes.localization.denoising)

    def _decode(self, memory: Memory, dataset: str, noise: Noise | None) -> Localization:
        decoder = self.decoders[dataset if dataset in self.decoders else "shared"]
        head = self.localization_heads[dataset]
        assert isinstance(decoder, Decoder)
        assert isinstance(head, LocalizationHead)
        own = head.project(memory)
        proposals = decoder.propose(own, head)
        decoded = decoder(own, proposals, head, self.queries, noise)
        return Localization(decoded.logits[-1], decoded.boxes[-1], proposals, decoded, noise)

    def forward(
        self, images: Tensor, dataset: str, task: Task, *, noise: Noise | None = None, locked: bool = False
    ) -> tuple[Trunk, Prediction]:
        """One branch for one dataset; `locked` computes the trunk without a graph."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not locked):
            trunk = self.trunk(images, task)
        return trunk, self.head(trunk, dataset, (images.shape[-2], images.shape[-1]), noise)

    def classify(self, images: Tensor, dataset: str) -> Classification:
        """Class logits and pooled features of normalised images (B, 1 or 3, H, W)."""
        _, found = self(images, dataset, Task.CLASSIFICATION)
        assert isinstance(found, Classification)
        return found

    def localize(self, images: Tensor, dataset: str) -> Localization:
        """Boxes, one row a query, of normalised images (B, 1 or 3, H, W)."""
        _, found = self(images, dataset, Task.LOCALIZATION)
        assert isinstance(found, Localization)
        return found

    def segment(self, images: Tensor, dataset: str) -> Segmentation:
        """Mask logits at input size of normalised images (B, 1 or 3, H, W)."""
        _, found = self(images, dataset, Task.SEGMENTATION)
        assert isinstance(found, Segmentation)
        return found

    def everything(self, images: Tensor, datasets: Sequence[str]) -> Iterator[tuple[str, Task, Prediction]]:
        """What every head of some datasets says of normalised images (B, 1 or 3, H, W), task by task.

        The backbone runs once, and each branch's trunk once.
        """
        maps = self.backbone(images)
        size = (images.shape[-2], images.shape[-1])
        for task in Task:
            having = [name for name in datasets if task in self.heads[name]]
            if having:
                trunk = self.branch(maps, task)
                yield from ((name, task, self.head(trunk, name, size)) for name in having)
