"""Jobs of the stores and their splits: inputs and resources; a part of the plan, imports no torch.

Methods that take wildcards are Snakemake input and params functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fxcore import paths
from fxcore.params.experiment import Params
from fxcore.params.families import families
from fxcore.planning import resources
from fxcore.planning.work import Sizes

Wildcards = Any


@dataclass(frozen=True)
class Holdings:
    """The stores that the block `datasets` asks for, and who trains, chooses and tests."""

    params: Params

    @property
    def results(self) -> Path:
        """The results root."""
        return Path(self.params.results_root)

    @property
    def manifests(self) -> list[str]:
        """Of all stores; a manifest is written last and vouches for the other files."""
        return [str(self._manifest(key)) for key in self.params.datasets]

    @property
    def facts(self) -> list[str]:
        """What tables and figures read of all datasets: what they hold, and what their splits count."""
        return [*self.manifests, *(str(paths.split(self.results, key, "json")) for key in self.params.datasets)]

    @property
    def split_stores(self) -> list[str]:
        """What jobs depend on that read all stores with their splits."""
        return paths.split_stores(self.results, self.params.datasets, self.params.store_size)

    @property
    def lists(self) -> list[str]:
        """What `split` writes for all families."""
        return [one for family in self.families for one in self.splits(family)]

    def _manifest(self, key: str) -> Path:
        return paths.store(self.results, key, self.params.store_size) / paths.MANIFEST

    @cached_property
    def families(self) -> dict[str, tuple[str, ...]]:
        """Datasets that are split together, by the name of their family."""
        return families(self.params)

    def splits(self, family: str) -> list[str]:
        """What `split` writes for a family: a list a dataset, and what it counts."""
        return [
            str(paths.split(self.results, key, kind)) for key in self.families[family] for kind in ("parquet", "json")
        ]

    def stores_of_family(self, family: str) -> list[str]:
        """For `split`: manifests of the stores of a family."""
        return [str(self._manifest(key)) for key in self.families[family]]

    # Resources

    def minutes_to_normalize(self, wildcards: Wildcards, threads: int, attempt: int) -> int:
        """For `normalize`: the time that a cluster's job asks for."""
        images = Sizes(self.params).all(wildcards.dataset)
        rate = resources.DECODED_PER_SECOND * threads
        return resources.minutes(None if images is None else images.number, rate, attempt)
