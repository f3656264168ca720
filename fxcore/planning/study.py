"""Jobs of the CXR-LT study: targets, inputs and resources of its rules; a part of the plan, imports no torch.

Methods that take wildcards are Snakemake input and params functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fxcore import paths
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params.cxrlt import BackboneStage, CxrLt
from fxcore.params.experiment import Params
from fxcore.planning import resources
from fxcore.planning.work import Sizes
from fxcore.slices.make import corpus_slice, head_slice, ssl_slice

NONE = "(?!)"
"""Matches no name."""
Wildcards = Any


def one_of(names: Iterable[object]) -> str:
    """A wildcard's constraint."""
    return "|".join(map(str, names)) or NONE


@dataclass(frozen=True)
class Study:
    """What the block `cxrlt` asks for; nothing where there is none."""

    params: Params
    machine: Machine

    @property
    def results(self) -> Path:
        """The results root."""
        return Path(self.params.results_root)

    @property
    def _of(self) -> CxrLt:
        assert self.params.cxrlt is not None
        return self.params.cxrlt

    @property
    def stages(self) -> list[tuple[str, int]]:
        """Every backbone with the resolution of every stage."""
        if self.params.cxrlt is None:
            return []
        return [(name, one.resolution) for name, of in self._of.backbones.items() for one in of.stages]

    @property
    def constraints(self) -> dict[str, str]:
        """Of wildcards."""
        of = self.params.cxrlt
        return {
            "backbone": one_of(of.backbones if of else ()),
            "resolution": r"\d+",
            "head": one_of(of.heads if of else ()),
            "measured": one_of(of.measured if of else ()),
        }

    def check(self) -> None:
        """See that released weights are there where a stage still needs them.

        Raises:
            InputError: a file is missing.
        """
        for name, side in self.stages:
            weights = self._of.backbones[name].weights
            if weights is None or self._of.backbones[name].stage(side).start is not None:
                continue
            if not Path(weights.file).is_file() and not paths.backbone(self.results, name, side).exists():
                raise InputError(
                    f"cxrlt.backbones.{name}.weights: no file {weights.file}; make it with fxcore import-weights chexfound"
                )

    # Targets

    @property
    def corpus(self) -> list[Path]:
        """The pictures that pretraining sees."""
        return [paths.corpus(self.results, "parquet")] if self.params.cxrlt else []

    @property
    def backbones(self) -> list[Path]:
        """What is kept of every stage."""
        return [paths.backbone(self.results, *stage) for stage in self.stages]

    def stages_of(self, backbone: str) -> list[str]:
        """What is kept of the stages of one.

        Raises:
            InputError: there is no such backbone.
        """
        names = [name for name, _ in self.stages]
        if backbone not in names:
            raise InputError(
                f"--config backbone={backbone}: no such backbone; known: {', '.join(dict.fromkeys(names))}"
            )
        return [str(paths.backbone(self.results, *one)) for one in self.stages if one[0] == backbone]

    @property
    def heads(self) -> list[Path]:
        """Predictions of every head."""
        return [paths.head_predictions(self.results, name) for name in self._of.heads] if self.params.cxrlt else []

    @property
    def metrics(self) -> list[Path]:
        """Of every head and ensemble."""
        return [paths.head_metrics(self.results, name) for name in self._of.measured] if self.params.cxrlt else []

    @property
    def measured(self) -> str:
        """For `summary`: the option that names heads and ensembles."""
        return f"--heads {' '.join(self._of.measured)}" if self.params.cxrlt else ""

    # Inputs

    def _stores(self, keys: Iterable[str]) -> list[str]:
        return paths.split_stores(self.results, keys, self.params.store_size)

    def stores_of_corpus(self, _: Wildcards) -> list[str]:
        """For `corpus`: stores and splits of the sources, and of what heads are measured on."""
        return self._stores(corpus_slice(self.params).datasets)

    def stage(self, wildcards: Wildcards) -> BackboneStage:
        """The stage that a job trains."""
        return ssl_slice(self.params, wildcards.backbone, wildcards.resolution).stage

    def start_of_stage(self, wildcards: Wildcards) -> list[str]:
        """For `ssl`: the stage that it goes on from, or the released weights that it starts from, if it does."""
        origin = ssl_slice(self.params, wildcards.backbone, wildcards.resolution).origin(self.results)
        return [] if origin is None else [str(origin)]

    def backbone_of_head(self, wildcards: Wildcards) -> str:
        """For `head`."""
        head = self._of.heads[wildcards.head]
        return str(paths.backbone(self.results, head.backbone, head.resolution))

    def stores_of_head(self, wildcards: Wildcards) -> list[str]:
        """For `head`: stores and splits of the datasets whose labels it reads."""
        return self._stores(head_slice(self.params, wildcards.head).datasets)

    def heads_of(self, wildcards: Wildcards) -> list[str]:
        """For `evaluate_head`: predictions of a head, or of those of an ensemble."""
        ensemble = self._of.ensembles.get(wildcards.measured)
        names = ensemble.heads if ensemble else (wildcards.measured,)
        return [str(paths.head_predictions(self.results, name)) for name in names]

    # Resources

    def gpus_of_backbone(self, wildcards: Wildcards) -> int:
        """For `ssl`."""
        return self._of.backbones[wildcards.backbone].gpus

    def gpus_of_head(self, wildcards: Wildcards) -> int:
        """For `head`, which uses one at most."""
        return min(1, self._of.backbones[self._of.heads[wildcards.head].backbone].gpus)

    def minutes_of_ssl(self, wildcards: Wildcards, attempt: int) -> int:
        """For `ssl`: the time that a cluster's job asks for."""
        stage = self.stage(wildcards)
        return resources.minutes(stage.updates * stage.batch_size, self.machine.images_per_second, attempt)

    def minutes_of_head(self, wildcards: Wildcards, attempt: int) -> int:
        """For `head`: its epochs twice, and the images that it predicts."""
        head, sizes = self._of.heads[wildcards.head], Sizes(self.params)
        known = [sizes.all(key) for key in head_slice(self.params, wildcards.head).datasets]
        images = None
        if all(one is not None for one in known):
            images = 2 * head.epochs * sum(one.number for one in known if one is not None)
        return resources.minutes(images, self.machine.images_per_second, attempt)
