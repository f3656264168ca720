"""What the jobs of the CXR-LT study know."""

from __future__ import annotations

from pathlib import Path

from fxcore import paths
from fxcore.params.blocks import Block
from fxcore.params.cxrlt import BackboneStage, Fit, Frequency, Head, Held, SelfSupervision, Vit
from fxcore.params.training import Start
from fxcore.passes import Split


class CorpusSlice(Block):
    """For `corpus`: which pictures pretraining sees, and which it must not."""

    store_size: int
    labels: str
    gold: str | None
    holdout: Held
    sources: dict[str, tuple[Split, ...]]

    @property
    def datasets(self) -> tuple[str, ...]:
        """What the job reads: what heads are measured on, and the sources."""
        return _named(self.labels, self.gold, *self.sources)


class SslSlice(Block):
    """For `ssl`: one stage of one backbone; the stage that it goes on from and its images come as files."""

    backbone: str
    store_size: int
    seed: int
    vit: Vit
    weights: Start | None
    """What it starts from; None of a stage that goes on from another."""
    stage: BackboneStage
    pretrain: SelfSupervision

    def origin(self, results: Path) -> Path | None:
        """Where the weights lie that it begins with, if they are not drawn: another stage's, or released ones."""
        if self.stage.start is not None:
            return paths.ssl(results, self.backbone, self.stage.start)
        return None if self.weights is None else Path(self.weights.file)


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

    @property
    def datasets(self) -> tuple[str, ...]:
        """Whose labels train or measure the head, those of the study first."""
        return _named(self.labels, self.gold, *self.head.labels)


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

    @property
    def datasets(self) -> tuple[str, ...]:
        """Whose labels measure it."""
        return _named(self.labels, self.gold)


def _named(*keys: str | None) -> tuple[str, ...]:
    """The keys that there are, each once."""
    return tuple(dict.fromkeys(key for key in keys if key is not None))
