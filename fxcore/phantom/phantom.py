"""Phantom datasets: synthetic radiographs with a dataset's classes, written in its native format."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from fxcore.data.counts import Counts
from fxcore.errors import InputError
from fxcore.files import atomic_folder, write_json
from fxcore.phantom.case import Case, cases
from fxcore.phantom.labels import known
from fxcore.slices.data import PhantomSlice

EXPECTED = "expected.json"
"""Beside the native files: what reading them must count."""


def write(slice_: PhantomSlice, folder: Path) -> None:
    """Write the native files of a phantom dataset, and what reading them must count.

    Raises:
        InputError: a class that cannot be drawn.
    """
    dataset = slice_.dataset
    for task in dataset.tasks:
        if unknown := [name for name in dataset.classes(task) if not known(name)]:
            raise InputError(
                f"datasets.{slice_.key}.{task}.classes: {unknown[0]} cannot be drawn; give one of"
                " fxcore/phantom/labels.py, or real data"
            )
    with atomic_folder(folder) as part:
        counts: Counts = _writer(slice_).write(drawn(slice_), dataset, part)
        write_json(part / EXPECTED, counts.facts())


def drawn(slice_: PhantomSlice) -> Iterator[Case]:
    """The phantoms of a dataset one by one: what its writer says (`cases`), or else a patient a picture."""
    found: Iterator[Case] = getattr(_writer(slice_), "cases", cases)(slice_)
    return found


def _writer(slice_: PhantomSlice) -> ModuleType:
    return importlib.import_module(f"fxcore.phantom.native.{slice_.dataset.adapter}")
