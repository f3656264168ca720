"""Who trains, who chooses, who tests: policies of the splits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fxcore.params.blocks import Block, Name, Probability

Policy = Literal["leak_free", "official", "published"]


class Holdout(Block):
    """Parts of the groups (patients) that a release without a split of its own gives away."""

    val: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """To validation, where a release has none: about this part, of its training groups where it has a test set."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """To test, where a release has none: about this part."""


class Own(Block):
    """What one dataset has other than the rest."""

    policy: Policy | None = None
    """In place of `splits.policy`."""
    family: Name | None = None
    """Datasets of one family may have patients or pictures in common: `leak_free` splits them together. Known datasets have their
    family from the registry, others are alone."""
    holdout: Holdout | None = None
    """In place of `splits.holdout`; phantoms have their own."""


class Near(Block):
    """From when on two pictures are one, taken from different releases."""

    distance: Annotated[int, Field(ge=0, le=8)] = 4
    """Bits, of 64, that their perceptual hashes may differ by. More finds more that were windowed or cropped, and takes longer."""
    correlation: Probability = 0.98
    """And how alike they must then be at least: rank correlation of 32 × 32 means."""


class Splits(Block):
    """Which images train, choose and test."""

    policy: Policy = "leak_free"
    """`official`: the release's own test set, and validation where it has one; what it does not say, by patient. `published`: the
    lists that the papers of this study used, where these are public. `leak_free`: as official, but no image trains or chooses of
    whose group (patient, or one that shares a picture) any dataset of its family tests another."""
    seed: int = 0
    """Of the hash that places groups where a release does not say; an image stays in its split whatever is added."""
    holdout: Holdout = Holdout()
    """What is held out where a release does not say."""
    near: Near = Near()
    """Pictures that are searched for in all datasets of a family, and of a run."""
    datasets: dict[Name, Own] = {}
    """Datasets that are split otherwise, by key."""
    allow_leakage: dict[Name, Annotated[str, Field(min_length=10)]] = {}
    """Runs that may test what they, or the runs they start from, have seen in training, each with the reason, which tables print.
    Any other run stops before it trains."""
