"""Sizes of the network."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fxcore.params.blocks import LARGEST, Block, Layers, Positive, Probability, Size, Sorted

_LOADS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")
"""Arguments for which timm reads a file or asks the network."""


def _sizes(arguments: dict[str, Any]) -> dict[str, Any]:
    for name, value in arguments.items():
        if name in _LOADS:
            raise ValueError(f"{name} would load weights; name a weights file under train.start of a run")
        numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, int | float)]
        if len(numbers) > LARGEST or any(abs(one) > LARGEST for one in numbers):
            raise ValueError(f"{name} is above {LARGEST:,}; give a size of a network")
    return arguments


class Backbone(Block):
    """The shared image encoder."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$")]
    """Any timm model that supports `features_only`, with stages at strides 4, 8, 16 and 32."""
    arguments: Annotated[dict[str, int | float | bool | str | tuple[int, ...]], AfterValidator(_sizes), Sorted] = {}
    """Passed to timm's `create_model`; weights come from `train.start`, not from here."""


class Denoising(Block):
    """Contrastive denoising queries (DINO, section 3.3)."""

    queries: Annotated[int, Field(ge=0)] = 100
    """Pairs of a positive and a negative query an image, spread over as many groups as fit; 0 turns denoising off."""
    label_noise: Probability = 0.5
    """Half of it is the chance that a query's label is drawn at random."""
    box_noise: Positive = 1.0
    """Largest shift of a positive query's corners, in half box sizes; negatives are shifted up to twice as far."""


class Localization(Block):
    """DINO: a shared deformable encoder, a decoder a dataset (Foundation X, figure 1)."""

    width: Size = 256
    """Channels of tokens and queries; a multiple of `heads` and of 8."""
    heads: Size = 8
    """Attention heads."""
    points: Size = 4
    """Sampling points for each head and level."""
    encoder_layers: Layers = 6
    """Of the shared encoder."""
    decoder_layers: Layers = 6
    """Of each dataset's decoder."""
    feedforward: Size = 2048
    """Hidden width of the feed-forward nets."""
    queries: Size = 900
    """Boxes predicted an image; at most the number of encoder tokens."""
    labels: Size = 16
    """Rows of the label embedding that denoising shares between datasets; at least the largest number of classes."""
    decoder: Literal["own", "shared"] = "own"
    """A decoder for each dataset, or one for all with each dataset's own queries and heads (Foundation X+)."""
    tied_heads: bool = True
    """Whether the head that predicts boxes also refines them (DINO); false for weights of the authors' code."""
    denoising: Denoising = Denoising()
    """Noisy queries made from ground truth, in training."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.width % self.heads or self.width % 8:
            raise ValueError(f"width is {self.width}; give a multiple of 8 and of heads, {self.heads}")
        return self


class Segmentation(Block):
    """UPerNet: a shared pyramid pooling module and feature pyramid, a head a dataset."""

    bins: Annotated[tuple[Size, ...], Field(min_length=1)] = (1, 2, 4, 6)
    """Grid sizes of the pyramid pooling module."""
    width: Size = 128
    """Channels of the feature pyramid."""
    dropout: Probability = 0.1
    """Of whole channels, after pyramid pooling."""


class Projector(Block):
    """Between the pooled feature and the classification heads (Ark)."""

    width: Size = 1376
    """Of its output, which the heads take and the consistency of classification compares."""
    hidden: bool = True
    """Whether a hidden layer of that width comes first; false for a single linear layer."""


class Model(Block):
    """Sizes of the network; a run may replace single values under `override`."""

    image_size: Annotated[int, Field(ge=32, le=LARGEST)]
    """Side of the square input in pixels, all tasks."""
    mean: Probability = 0.5056
    """Subtracted from intensities in 0..1."""
    std: Positive = 0.252
    """Divides intensities after the mean is subtracted."""
    backbone: Backbone
    """The shared image encoder."""
    projector: Projector | None = None
    """Before the classification heads; null gives them the pooled feature, as Foundation X does."""
    localization: Localization = Localization()
    """Sizes of the localization branch."""
    segmentation: Segmentation = Segmentation()
    """Sizes of the segmentation branch."""

    @property
    def tokens(self) -> int:
        """Encoder tokens of an image: maps of strides 8, 16 and 32, and one of half the side of the last."""
        sides = [-(-self.image_size // stride) for stride in (8, 16, 32)]
        return sum(side**2 for side in (*sides, -(-sides[-1] // 2)))
