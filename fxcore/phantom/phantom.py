"""Phantom datasets: synthetic radiographs with a dataset's classes, written in its native format."""

from __future__ import annotations

import importlib
from pathlib import Path

from fxcore.data.counts import Counts
from fxcore.errors import InputError
from fxcore.files import atomic_folder, write_json
from fxcore.phantom.case import cases
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
    writer = importlib.import_module(f"fxcore.phantom.native.{dataset.adapter}")
    with atomic_folder(folder) as part:
        counts: Counts = writer.write(cases(slice_), dataset, part)
        write_json(part / EXPECTED, counts.facts())
