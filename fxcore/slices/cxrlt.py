"""What the jobs of the CXR-LT study know."""

from __future__ import annotations

from fxcore.params.blocks import Block
from fxcore.params.cxrlt import BackboneStage, Fit, Frequency, Head, Held, SelfSupervision, Vit
from fxcore.passes import Split


class CorpusSlice(Block):
    """For `corpus`: which pictures pretraining sees, and which it must not."""

    store_size: int
    labels: str
    gold: str | None
    holdout: Held
    sources: dict[str, tuple[Split, ...]]


class SslSlice(Block):
    """For `ssl`: one stage of one backbone; what it starts from and its images come as files."""

    backbone: str
    store_size: int
    seed: int
    vit: Vit
    stage: BackboneStage
    pretrain: SelfSupervision


class HeadSlice(Block):
    """For `head`: one head; its backbone comes as a file."""

    name: str
    store_size: int
    seed: int
    labels: str
    gold: str | None
    holdout: Held
    head: Head
    fit: Fit


class EvaluateHeadSlice(Block):
    """For `evaluate_head`: a head or an ensemble, and the intervals."""

    name: str
    store_size: int
    labels: str
    gold: str | None
    heads: tuple[str, ...]
    ensemble: bool
    frequency: Frequency
    resamples: int
    confidence: float
