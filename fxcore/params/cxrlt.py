"""The CXR-LT 2024 study: backbones pretrained without labels, and heads for long-tailed findings on them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fxcore.params.blocks import Block, Count, Layers, Name, NonNegative, Positive, Probability, Size, Words
from fxcore.params.training import Start
from fxcore.passes import Split

Part = Annotated[float, Field(gt=0, lt=1)]


def _rising(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if list(numbers) != sorted(set(numbers)):
        raise ValueError(f"{', '.join(map(str, numbers))} do not rise")
    return numbers


Area = Annotated[tuple[Probability, Probability], AfterValidator(_rising)]


class Vit(Block):
    """Sizes of a vision transformer: pre-norm, LayerScale, gated feed-forward nets, registers."""

    patch: Size = 16
    """Side of a patch in pixels; resolutions and local crops are multiples of it."""
    width: Size = 1024
    """Channels of a token; a multiple of `heads`."""
    depth: Layers = 24
    """Blocks."""
    heads: Size = 16
    """Attention heads."""
    registers: Annotated[int, Field(ge=0, le=1000)] = 4
    """Tokens beside [CLS] and the patches that belong to no place."""
    layer_scale: Positive = 1e-5
    """What each branch of a block is multiplied by at the start."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Part of the crops that skip a branch of a block, in the student."""

    @property
    def hidden(self) -> int:
        """Width of the gated feed-forward nets: two thirds of four times `width`, rounded up to a multiple of 8."""
        return -(-(8 * self.width // 3) // 8) * 8

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; give a multiple of heads, {self.heads}")
        return self


class BackboneStage(Block):
    """One resolution of a backbone: a job."""

    resolution: Count
    """Side of the global crops, and of the images that heads of this stage see."""
    local: Count
    """Side of the local crops."""
    batch_size: Count
    """Images an update, over all GPUs together."""
    updates: Annotated[int, Field(ge=0)]
    """Of this stage, over which all its schedules run; 0 leaves the network as it begins."""
    start: Count | None = None
    """Resolution of an earlier stage to go on from; null begins with the backbone's `weights`, or draws the network."""


class Backbone(Block):
    """A vision transformer pretrained without labels, resolution by resolution."""

    title: Words
    """As the tables print it."""
    gpus: Annotated[int, Field(ge=0)] = 1
    """GPUs that a stage asks for, which share each batch."""
    vit: Vit = Vit()
    """Sizes."""
    weights: Start | None = None
    """Released weights, made by `fxcore import-weights chexfound`, that stages without a `start` begin with, student and teacher
    alike; null draws the network. A stage of theirs with `updates: 0` is the released network as it is."""
    stages: Annotated[tuple[BackboneStage, ...], Field(min_length=1)]
    """Resolutions, each once."""

    def stage(self, resolution: int) -> BackboneStage:
        """The stage of a resolution.

        Raises:
            KeyError: there is none.
        """
        found = {one.resolution: one for one in self.stages}
        return found[resolution]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        done: set[int] = set()
        for one in self.stages:
            for name in ("resolution", "local"):
                if (side := getattr(one, name)) % self.vit.patch:
                    raise ValueError(f"stages: {name} {side} is no multiple of the patch, {self.vit.patch}")
            if one.resolution in done:
                raise ValueError(f"stages: resolution {one.resolution} is there twice")
            if one.start is not None and one.start not in done:
                raise ValueError(
                    f"stages: {one.resolution} starts from {one.start}; give the resolution of a stage before it"
                )
            done.add(one.resolution)
        return self


class Crops(Block):
    """Random views of an image: two global crops, which the teacher sees too, and local ones."""

    locals: Count = 8
    """Local crops an image."""
    global_area: Area = (0.32, 1.0)
    """Of a global crop, as a fraction of the image."""
    local_area: Area = (0.05, 0.32)
    """Of a local crop."""
    flip: Probability = 0.5
    """Chance of a mirrored crop."""
    jitter: Probability = 0.8
    """Chance of another brightness and contrast."""
    brightness: Probability = 0.4
    """Largest relative change of brightness."""
    contrast: Probability = 0.4
    """Largest relative change of contrast."""
    blur: tuple[Probability, Probability, Probability] = (0.0, 0.9, 0.5)
    """Chance that the first global, the second global, a local crop is blurred. These are the effective chances of the authors'
    code: nominally 1.0, 0.1, 0.5, which it takes for those of leaving the crop alone."""
    sigma: Annotated[tuple[Positive, Positive], AfterValidator(_rising)] = (0.1, 2.0)
    """Of the blur, in pixels of the crop; its kernel is 9 pixels wide."""
    solarize: Probability = 0.2
    """Chance that greys from 128 are inverted in the second global crop."""


class Masking(Block):
    """Which patches of the global crops the student does not see (iBOT)."""

    share: Probability = 0.5
    """Of the global crops of a batch that are masked."""
    ratio: Area = (0.1, 0.5)
    """Least and largest part of a masked crop's patches; the masked crops spread evenly between them."""


class Projection(Block):
    """The heads of self-supervision, dropped afterwards: an MLP of three layers to a sphere, and directions on it."""

    prototypes: Count = 131_072
    """Directions."""
    hidden: Count = 2048
    """Width of the MLP."""
    dino: Count = 384
    """Channels of the sphere for [CLS]."""
    ibot: Count = 256
    """Channels of the sphere for masked patches."""
    chunk: Count = 8192
    """Prototypes computed at a time: memory, not results, depends on it but for rounding."""


class Curve(Block):
    """A number that moves during a stage."""

    start: NonNegative
    """At its beginning."""
    end: NonNegative
    """At its end."""


class SelfSupervision(Block):
    """How every backbone is pretrained (DINOv2)."""

    dino: NonNegative = 1.0
    """Weight of the loss on [CLS]."""
    ibot: NonNegative = 3.0
    """Weight of the loss on masked patches."""
    koleo: NonNegative = 0.1
    """Weight of the spread of [CLS] over the sphere."""
    student_temperature: Positive = 0.1
    """Of the student's logits."""
    teacher_temperature: Curve = Curve(start=0.04, end=0.07)
    """Of the teacher's; rises in a line over `temperature_rise`."""
    temperature_rise: Probability = 0.3
    """Part of the updates in which it does."""
    sinkhorn: Count = 3
    """Normalisations of the teacher's assignments over prototypes and crops (Sinkhorn-Knopp)."""
    momentum: Curve = Curve(start=0.994, end=1.0)
    """Of the teacher after each update, along half a cosine."""
    rate: Positive = 2e-4
    """Largest learning rate at 1,024 images an update; it goes with the square root of their number."""
    final_rate: NonNegative = 1e-6
    """Learning rate that half a cosine ends in."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Part of the updates in which the rate rises in a line, before the cosine."""
    patch_rate: Positive = 0.2
    """Of the rate, for the patch embedding."""
    weight_decay: Curve = Curve(start=0.04, end=0.2)
    """Along half a cosine; not of biases, norms and LayerScale."""
    freeze_prototypes: Probability = 0.01
    """Part of the updates at the start in which prototypes do not move."""
    clip: Positive = 3.0
    """Largest gradient norm of backbone and heads, each for itself."""
    carry: bool = True
    """Whether a stage that starts from another resamples its position embeddings and keeps its teacher; false draws the embeddings
    anew and makes the teacher a copy of the student, as the authors' code does."""
    crops: Crops = Crops()
    """Views of an image."""
    masking: Masking = Masking()
    """What the student does not see."""
    projection: Projection = Projection()
    """Heads of self-supervision."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """As in `pretrain`."""
    checkpointing: bool = False
    """Whether activations inside blocks are computed again in the backward pass, to save memory."""


class Fit(Block):
    """How every head is trained on a frozen backbone."""

    rates: Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(_rising)] = (
        *(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3),
    )
    """Learning rates, rising; all are tried at once on the same features, and the one with the best mAP on the held-out images
    trains the head again with these."""
    batch_size: Count = 128
    """Images an update."""
    weight_decay: NonNegative = 1e-4
    """AdamW's."""
    blocks: Count = 4
    """Last blocks of the backbone whose outputs, each under the final norm, make up the features."""
    rescale: bool = True
    """Whether the greys of each image are stretched to 0..1 first, as the authors do here and not in pretraining."""
    crop: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Smallest area of a random crop, as a fraction of the image."""
    flip: Probability = 0.5
    """Chance of a mirrored image."""
    cache: bool = False
    """Whether [CLS] of linear heads is computed once, of the images as they are, and not anew in every epoch of their crops."""
    width: Count = 768
    """Channels of ML-Decoder's queries and memory."""
    heads: Count = 8
    """Its attention heads."""
    feedforward: Count = 2048
    """Width of its feed-forward net."""
    dropout: Probability = 0.1
    """In it."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of backbone and heads; weights of heads, losses and optimiser stay in fp32."""


class Head(Block):
    """One head on one stage of one backbone."""

    backbone: Name
    """One of `backbones`."""
    resolution: Count
    """Of one of its stages."""
    kind: Literal["linear", "ml_decoder"] = "linear"
    """A linear map of [CLS], or ML-Decoder on the patches."""
    views: Literal[1, 2] = 1
    """Of a linear head: with 2, [CLS] of another image of the study beside that of the image."""
    labels: tuple[Name, ...] = ()
    """Further datasets whose labels train it (label augmentation); classes that they do not have are unknown there."""
    epochs: Count = 10
    """Through the training images, while the rate falls along half a cosine to 0."""
    stop: Count | None = None
    """Epochs after which the second training ends, in mid-schedule; null for all."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.views == 2 and self.kind != "linear":
            raise ValueError("views is 2; only a linear head joins [CLS] of two images")
        if self.stop is not None and self.stop > self.epochs:
            raise ValueError(f"stop is {self.stop}, above epochs {self.epochs}")
        return self


class Ensemble(Block):
    """Heads whose probabilities, averaged within a study, are averaged."""

    title: Words
    """As the tables print it."""
    heads: Annotated[tuple[Name, ...], Field(min_length=2)]
    """Some of `heads`."""


class Held(Block):
    """Labelled training images that choose the learning rate and that pretraining does not see."""

    share: Part = 0.2
    """Of the patients, or images."""
    by: Literal["patient", "image"] = "patient"
    """`image` divides the images of a patient, as the authors probably do: labels of a study are then on both sides."""


class Frequency(Block):
    """Classes by their share of the training images."""

    head: Part = 0.1
    """Above which a class counts as frequent."""
    tail: Part = 0.01
    """Below which it counts as rare."""


class CxrLt(Block):
    """The study of long-tailed findings (CXR-LT 2024)."""

    labels: Name
    """The dataset that heads are trained on, validated (its `val` is the challenge's development set) and tested on: task 1."""
    gold: Name | None = None
    """A test set labelled by hand, whose classes are those of task 2; null for no task 2."""
    holdout: Held = Held()
    """What is held out of the training images."""
    sources: Annotated[dict[Name, Annotated[tuple[Split, ...], Field(min_length=1)]], Field(min_length=1)]
    """Datasets whose pictures pretraining sees, with the splits to take."""
    frequency: Frequency = Frequency()
    """What is frequent and what is rare."""
    pretrain: SelfSupervision = SelfSupervision()
    """How backbones are pretrained."""
    backbones: Annotated[dict[Name, Backbone], Field(min_length=1)]
    """Backbones by name."""
    fit: Fit = Fit()
    """How heads are trained."""
    heads: Annotated[dict[Name, Head], Field(min_length=1)]
    """Heads by name."""
    ensembles: dict[Name, Ensemble] = {}
    """Ensembles by name, which differ from those of heads."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Every dataset that the study reads, each once."""
        added = (name for head in self.heads.values() for name in head.labels)
        return tuple(dict.fromkeys((self.labels, *([self.gold] if self.gold else []), *self.sources, *added)))

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of heads and ensembles."""
        return (*self.heads, *self.ensembles)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, head in self.heads.items():
            backbone = self.backbones.get(head.backbone)
            if backbone is None:
                raise ValueError(
                    f"heads.{name}.backbone: no backbone {head.backbone}; give one of {', '.join(self.backbones)}"
                )
            if head.resolution not in (sides := [one.resolution for one in backbone.stages]):
                raise ValueError(
                    f"heads.{name}.resolution: {head.backbone} has no stage {head.resolution}; give one of"
                    f" {', '.join(map(str, sides))}"
                )
            if self.fit.blocks > backbone.vit.depth:
                raise ValueError(f"fit.blocks is {self.fit.blocks}; {head.backbone} has {backbone.vit.depth} blocks")
        for name, ensemble in self.ensembles.items():
            if name in self.heads:
                raise ValueError(f"ensembles.{name}: heads has one of that name; give it another")
            if unknown := [one for one in ensemble.heads if one not in self.heads]:
                raise ValueError(f"ensembles.{name}.heads: no head {unknown[0]}; give some of {', '.join(self.heads)}")
        return self
