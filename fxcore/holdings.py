"""Jobs of the datasets: inputs and slices of the rules that make stores and splits; a part of the plan, imports no torch.

Methods that take wildcards are Snakemake input and params functions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fxcore import paths, resources, sources
from fxcore.data.native import Native, files_of, fingerprints, locate
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params.experiment import Params
from fxcore.params.families import families
from fxcore.slices.make import phantom_slice, split_slice, store_slice
from fxcore.work import Sizes

Wildcards = Any


@dataclass(frozen=True)
class Holdings:
    """What the block `datasets` asks for, on one machine."""

    params: Params
    machine: Machine

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

    def phantom_of_dataset(self, wildcards: Wildcards) -> list[str]:
        """For `normalize`: the folder of a phantom, which a rule makes."""
        return [str(self._native(wildcards.dataset).folder)] if self._is_phantom(wildcards.dataset) else []

    def native(self, wildcards: Wildcards) -> dict[str, str] | None:
        """For `normalize`: what the native files are that a dataset's store is made from; None of a phantom, which is an input.

        A parameter and no input: where the disk that they lie on is not there, the store stays as good, and what it was made from
        stands for them.
        """
        return self._native_files.get(wildcards.dataset)

    def check(self) -> None:
        """See that native files are there where a store still needs them.

        Raises:
            InputError: one is missing.
        """
        _ = self._native_files

    @cached_property
    def _native_files(self) -> dict[str, dict[str, str]]:
        """Fingerprints of the files of each dataset that is no phantom, by name.

        Raises:
            InputError: one is missing, and there is no store.
        """
        found: dict[str, dict[str, str]] = {}
        for key, dataset in self.params.datasets.items():
            if self._is_phantom(key):
                continue
            native = self._native(key)
            try:
                found[key] = fingerprints(files_of(key, dataset, native), native.folder)
            except InputError:
                if not self._manifest(key).exists():
                    raise
                record = paths.store_native(self.results, key, self.params.store_size)
                found[key] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
        return found

    def _is_phantom(self, key: str) -> bool:
        return self.params.datasets[key].source == "phantom"

    def _native(self, key: str) -> Native:
        return locate(self.results, self.machine, key, self.params.datasets[key])

    def phantom_sources(self, wildcards: Wildcards) -> list[str]:
        """For `phantom`: our source files, those of the format's writer and no other among them."""
        writer = self.params.datasets[wildcards.dataset].adapter
        return sorted({*sources.closure("fxcore.phantom.phantom"), *sources.closure(f"fxcore.phantom.native.{writer}")})

    def normalize_sources(self, wildcards: Wildcards) -> list[str]:
        """For `normalize`: our source files, those of the dataset's adapter and no other among them."""
        adapter = self.params.datasets[wildcards.dataset].adapter
        return sorted({*sources.closure("fxcore.data.normalize"), *sources.closure(f"fxcore.data.adapters.{adapter}")})

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

    # Slices

    def phantom_slice(self, wildcards: Wildcards) -> str:
        """For `phantom`."""
        return phantom_slice(self.params, wildcards.dataset).canonical()

    def store_slice(self, wildcards: Wildcards) -> str:
        """For `normalize`."""
        return store_slice(self.params, wildcards.dataset).canonical()

    def split_slice(self, family: str) -> str:
        """For `split`."""
        return split_slice(self.params, family).canonical()

    # Resources

    def minutes_to_normalize(self, wildcards: Wildcards, threads: int, attempt: int) -> int:
        """For `normalize`: the time that a cluster's job asks for."""
        images = Sizes(self.params).all(wildcards.dataset)
        rate = resources.DECODED_PER_SECOND * threads
        return resources.minutes(None if images is None else images.number, rate, attempt)
