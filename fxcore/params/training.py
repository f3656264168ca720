"""How runs train."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from fxcore.params.blocks import Block, Count, Name, NonNegative, Positive, Probability, Sorted
from fxcore.passes import Granularity, Task


class Augmentation(Block):
    """Random changes of a training image, in this order; boxes and masks follow the geometry."""

    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest area of a random crop, as a fraction of the image; 1 takes the whole image."""
    flip: Probability = 0.0
    """Chance of a mirrored image, where the dataset's `mirror` allows it."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation, degrees either way."""
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest shift, as a fraction of the side."""
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest change of scale: factors from 1 - zoom to 1 + zoom."""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest relative change of brightness."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest relative change of contrast."""


class Rates(Block):
    """Base learning rate of each parameter group (design table, Foundation X section 6)."""

    backbone: Positive = 1e-5
    """Backbone and its norms, and the projector."""
    classification_head: Positive = 1e-5
    """Classification heads."""
    encoder: Positive = 1e-4
    """Input projections, level embedding, localization encoder."""
    decoder: Positive = 1e-4
    """Queries, proposal heads, localization decoders, prediction heads."""
    segmentation_decoder: Positive = 1e-4
    """Pyramid pooling and feature pyramid."""
    segmentation_head: Positive = 1e-4
    """Segmentation heads."""


class LocalizationLoss(Block):
    """DINO's criterion and matcher."""

    focal_alpha: Probability = 0.25
    """Weight of present classes in the focal loss and cost; absent ones have the rest."""
    focal_gamma: NonNegative = 2.0
    """Exponent that plays down what is already right."""
    weight_class: NonNegative = 1.0
    """Factor of the focal loss."""
    weight_l1: NonNegative = 5.0
    """Factor of the L1 distance of boxes in 0..1."""
    weight_giou: NonNegative = 2.0
    """Factor of 1 - GIoU."""
    weight_proposals: NonNegative = 1.0
    """Factor of the loss on the encoder's proposals; the authors' code has 0, which leaves the proposal heads untrained."""
    cost_class: NonNegative = 2.0
    """Factor of the class cost in matching."""
    cost_l1: NonNegative = 5.0
    """Factor of the L1 distance in matching."""
    cost_giou: NonNegative = 2.0
    """Factor of -GIoU in matching."""


class Ramp(Block):
    """A number that moves along half a cosine, pass by pass, until the run's horizon (Ark)."""

    start: Probability
    """Its value in the first pass."""
    end: Probability
    """Its value at the horizon."""

    def __str__(self) -> str:
        return f"{self.start:g} to {self.end:g}"


def _kind(value: object) -> str:
    return "[ramp]" if isinstance(value, dict | Ramp) else "[fixed]"


Ramped = Annotated[Annotated[Probability, Tag("[fixed]")] | Annotated[Ramp, Tag("[ramp]")], Discriminator(_kind)]
"""A number, or how it moves."""


class Start(Block):
    """Weights that a run starts from, in place of random ones."""

    file: str
    """A weights file: made by `fxcore import-weights`, or a run's of `results/weights/`, copied to where it stays."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Checksum of its tensors, as its card says; what is trained depends on the content, not on the name."""


class StartRun(Block):
    """The weights of another run of the experiment: of the cycle and branch with the best mean validation metric, as `release`
    would give them out.
    """

    run: Name
    """One of `runs`."""


def _origin(value: object) -> str:
    return "[run]" if isinstance(value, StartRun) or (isinstance(value, dict) and "run" in value) else "[file]"


Starting = Annotated[Annotated[Start, Tag("[file]")] | Annotated[StartRun, Tag("[run]")], Discriminator(_origin)]
"""A file of weights, or a run."""


class Pretrain(Block):
    """How a run trains; a run may replace single values under `override`."""

    stage: Granularity = Granularity.CYCLE
    """What one job executes; results do not depend on it."""
    lock_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Part of the data that a lock pass sees."""
    batch_size: Count
    """Images an update, over all GPUs of the run together."""
    micro_batch: Count | None = None
    """Images computed at a time, over all GPUs together, to save memory; gradients add up to those of the whole batch. BatchNorm
    of segmentation sees what one GPU has of a micro-batch, and keeps the statistics of the first GPU. Null computes the batch at
    once."""
    rates: Rates = Rates()
    """Base learning rates."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`sgd` has a momentum of 0.9."""
    weight_decay: NonNegative = 1e-4
    """The optimiser's, of all parameters."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the updates until the horizon in which the rate rises, before the cosine; the authors have 20 of 3000 steps."""
    clip: Annotated[dict[Task, Positive], Sorted] = {Task.LOCALIZATION: 0.1}
    """Largest global gradient norm, for the tasks named."""
    consistency: Ramped = 0.5
    """Weight of the consistency terms; the task loss has the rest. Release passes only, and only with a teacher."""
    detached: tuple[Task, ...] = ()
    """Tasks whose consistency terms give no gradient: `[localization]` does what the authors' code does."""
    views: Literal[1, 2] = 1
    """Augmented views of an image in classification: with 2 the teacher sees one of its own (Ark). The maps of the other tasks
    are compared by position, so there it always sees the student's."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """`bf16` and `fp16` compute the network in mixed precision, `fp16` with a scaled loss; losses and optimiser stay in fp32."""
    channels_last: bool = False
    """Whether convolutions keep channels last in memory, which is faster on many GPUs; changes the last digits."""
    compile: bool = False
    """Whether backbone, localization encoder and segmentation decoder are compiled by PyTorch (needs a C++ compiler): slow to
    start, then faster; changes the last digits."""
    dice_smooth: Positive = 1.0
    """Added to numerator and denominator of the Dice loss."""
    localization_loss: LocalizationLoss = LocalizationLoss()
    """Weights of the localization criterion and matcher."""
    augment: Annotated[dict[Task, Augmentation], Sorted] = {}
    """Augmentation of each task; a task not named is trained on images as they are."""
