"""Phantom datasets: synthetic radiographs with a release's classes, written in its native format."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType

from fxcore.data.counts import Counts
from fxcore.errors import InputError
from fxcore.files import atomic_folder, write_json
from fxcore.params.datasets import Dataset
from fxcore.params.registry import registry
from fxcore.phantom.case import Case
from fxcore.phantom.labels import known
from fxcore.phantom.release import Release
from fxcore.progress import Progress
from fxcore.slices.data import PhantomSlice

EXPECTED = "expected.json"
"""Beside the native files: what reading them must count."""
SHARED = "shared.json"
"""Beside it: which pictures are another release's. By image, the other `adapter`, the `image` and the `patient` (its group) there;
no patient where the release does not tell that it is the same."""


def write(slice_: PhantomSlice, folder: Path) -> None:
    """Write the native files of a phantom dataset, what reading them must count, and what they share with other releases.

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
    shared: dict[str, dict[str, str | None]] = {}
    with atomic_folder(folder) as part:
        counts: Counts = _writer(dataset).write(_noted(drawn(slice_), shared), dataset, part)
        write_json(part / EXPECTED, counts.facts(), seal=False)
        write_json(part / SHARED, shared, seal=False)


def drawn(slice_: PhantomSlice) -> Iterator[Case]:
    """The phantoms of a dataset one by one, splits in order: what its writer says (`cases`), or else those of its release."""
    found: Iterator[Case] = getattr(_writer(slice_.dataset), "cases", cases)(slice_)
    return found


def cases(slice_: PhantomSlice) -> Iterator[Case]:
    """The pictures of a dataset's release, as many of each split as are asked for."""
    dataset, wanted = slice_.dataset, slice_.dataset.phantom or {}
    of = release(slice_.key, dataset)
    progress = Progress(f"phantom {slice_.key}", sum(wanted.values()), "images")
    for split in dataset.splits:
        for number in islice(of.numbers(split, dataset), wanted[split]):
            yield of.case(number, split)
            progress.advance()


def release(key: str, dataset: Dataset) -> Release:
    """The release that a dataset's pictures are of: its adapter's, or of the format `folder` one of its own."""
    own = tuple(name for task in dataset.tasks for name in dataset.classes(task))
    if dataset.adapter == "folder":
        return Release(f"folder:{key}", shows=own)
    found: Release | None = getattr(_writer(dataset), "RELEASE", None)
    return found or Release(dataset.adapter, shows=None if dataset.adapter in registry() else own)


def _noted(found: Iterable[Case], shared: dict[str, dict[str, str | None]]) -> Iterator[Case]:
    """The same phantoms; those that are another release's are noted in `shared`."""
    for case in found:
        if of := case.source:
            shared[of.name] = {"adapter": of.adapter, "image": of.image, "patient": of.patient}
        yield case


def _writer(dataset: Dataset) -> ModuleType:
    return importlib.import_module(f"fxcore.phantom.native.{dataset.adapter}")
