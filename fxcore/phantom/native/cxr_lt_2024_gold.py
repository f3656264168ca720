"""CXR-LT 2024's task 2: the first picture of each test study, in the whole release's tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from fxcore.data.counts import Counts
from fxcore.data.records import Code
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.phantom.case import Source
from fxcore.phantom.native.cxr_lt_2024 import Release
from fxcore.phantom.native.mimic_cxr import STUDIES, named
from fxcore.phantom.studies import Film, films
from fxcore.slices.data import PhantomSlice


def cases(slice_: PhantomSlice) -> Iterator[Film]:
    """The first picture of each study of the test split, as `cxr_lt_2024` draws it."""
    return map(taken, films(slice_, each=1))


def taken(film: Film) -> Film:
    """A film with the note that it is `cxr_lt_2024`'s."""
    of = named(film.number)
    return replace(film, source=Source(of.image, STUDIES.name, film.number, of.image, f"mimic:{of.subject}"))


def write(films: Iterable[Film], dataset: Dataset, folder: Path) -> Counts:
    """Write the films below `folder`; what reading them must count: what the pictures show, and not what reports say."""
    counts, release = Counts(), Release(folder)
    for film in films:
        labels: dict[str, Code] = {one: 1 if film.has(one) else 0 for one in dataset.classes(Task.CLASSIFICATION)}
        counts.add(film.split, release.add(film), labels)
    release.write()
    return counts
