"""Where the native files of each dataset come from: drawn, fetched, or the user's. Imports nothing that could open a connection.

Methods that take wildcards are Snakemake input and params functions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fxcore import paths, sources
from fxcore.data.native import Native, files_of, fingerprints, locate
from fxcore.errors import InputError
from fxcore.files import read_json
from fxcore.machine import Machine
from fxcore.params.experiment import Params
from fxcore.slices.make import retrieve_slice

Wildcards = Any


@dataclass(frozen=True)
class Supply:
    """The native files of an experiment's datasets, on one machine."""

    params: Params
    machine: Machine

    def check(self) -> None:
        """That native files are there where a store still needs them, and that what is to be fetched can be.

        Raises:
            InputError: one line naming file, key or folder, and what to do.
        """
        _ = self._native_files, self._retrievals

    @property
    def _results(self) -> Path:
        return Path(self.params.results_root)

    def _of(self, source: str) -> list[str]:
        return [key for key, dataset in self.params.datasets.items() if dataset.source == source]

    def _native(self, key: str) -> Native:
        return locate(self._results, self.machine, key, self.params.datasets[key])

    # Fetched

    @property
    def records(self) -> list[Path]:
        """What was fetched, a file a dataset."""
        return [paths.retrieved(self._results, key) for key in self._retrievals]

    @cached_property
    def _retrievals(self) -> dict[str, str]:
        """A checksum of the slice of each dataset that is fetched.

        Raises:
            InputError: only a person can get one of them.
        """
        found: dict[str, str] = {}
        for key in self._of("retrieve"):
            slice_ = retrieve_slice(self.params, key)
            if slice_.route.kind == "by_hand":
                raise InputError(
                    f"datasets.{key}.source is retrieve, and no machine can get its files; fxcore retrieve {key} says how you can,"
                    " then give source: native"
                )
            found[key] = hashlib.sha256(slice_.canonical().encode()).hexdigest()
        return found

    def retrieve_slice(self, wildcards: Wildcards) -> str:
        """For `retrieve`: what tells one slice from another. Not the slice: Snakemake prints the commands of failed jobs, and a URL
        may have a key in it.
        """
        return self._retrievals[wildcards.dataset]

    def retrieved_of_dataset(self, wildcards: Wildcards) -> list[str]:
        """For `normalize`: what was fetched of a dataset, and of the one whose pictures it annotates."""
        datasets, key = self.params.datasets, wildcards.dataset
        home = self.machine.folder(key, datasets[key].pictures)
        wanted = [
            one for one in self._retrievals if one == key or self.machine.folder(one, datasets[one].folder) == home
        ]
        return [str(paths.retrieved(self._results, one)) for one in wanted]

    # Drawn

    def phantom_of_dataset(self, wildcards: Wildcards) -> list[str]:
        """For `normalize`: the folder of a phantom, which a rule makes."""
        key = wildcards.dataset
        return [str(self._native(key).folder)] if self.params.datasets[key].source == "phantom" else []

    def phantom_sources(self, wildcards: Wildcards) -> list[str]:
        """For `phantom`: our source files, those of the format's writer and no other among them."""
        writer = self.params.datasets[wildcards.dataset].adapter
        return sorted({*sources.closure("fxcore.phantom.phantom"), *sources.closure(f"fxcore.phantom.native.{writer}")})

    # The user's

    def native(self, wildcards: Wildcards) -> dict[str, str] | None:
        """For `normalize`: what the native files are that a dataset's store is made from; None of a phantom, and of what is fetched,
        which are inputs.

        A parameter and no input: where the disk that they lie on is not there, the store stays as good, and what it was made from
        stands for them.
        """
        return self._native_files.get(wildcards.dataset)

    @cached_property
    def _native_files(self) -> dict[str, dict[str, str]]:
        """Fingerprints of the files of each dataset that the user supplies, by name.

        Raises:
            InputError: one is missing, and there is no store.
        """
        found: dict[str, dict[str, str]] = {}
        size = self.params.store_size
        for key in self._of("native"):
            dataset, native = self.params.datasets[key], self._native(key)
            try:
                found[key] = fingerprints(files_of(key, dataset, native), native.folder)
            except InputError:
                if not (paths.store(self._results, key, size) / "manifest.json").exists():
                    raise
                try:
                    found[key] = read_json(paths.store_native(self._results, key, size))
                except InputError:  # lost or damaged: the store is made again
                    found[key] = {}
        return found

    def normalize_sources(self, wildcards: Wildcards) -> list[str]:
        """For `normalize`: our source files, those of the dataset's adapter and no other among them."""
        adapter = self.params.datasets[wildcards.dataset].adapter
        return sorted({*sources.closure("fxcore.data.normalize"), *sources.closure(f"fxcore.data.adapters.{adapter}")})
