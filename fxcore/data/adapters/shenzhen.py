"""NIH Shenzhen (2014): one folder of pictures whose names end in the label.

The clinical readings beside them are free text in many spellings and say no more of the label than the names; they are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fxcore.data.native import Native, Problems, Unique, check_classes, first, listing
from fxcore.data.records import Code, Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""


def files(key: str, _: Dataset, native: Native) -> tuple[Path, ...]:
    """The folder of the pictures, in `ChinaSet_AllFiles` or without it.

    Raises:
        InputError: it is missing.
    """
    return (pictures(key, native),)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every picture, by name. The release names no patients: each image is one of its own.

    Raises:
        InputError: the folder is missing, or the dataset asks for what the release does not say.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: ("TB",)})
    for stem, path, code in labelled(pictures(key, native), "CHNCXR", problems):
        yield Record(
            image=stem,
            file=path,
            patient=None,
            group=f"{dataset.adapter}:{stem}",
            split=None,
            labels={"TB": code},
            boxes=None,
            masks=None,
            where=str(path),
        )


def pictures(key: str, native: Native) -> Path:
    """The folder of the pictures of a release of the National Library of Medicine.

    Raises:
        InputError: it is missing.
    """
    return first(native.folder, ("CXR_png", "*/CXR_png", "*/*/CXR_png"), key)


def labelled(folder: Path, prefix: str, problems: Problems) -> Iterator[tuple[str, Path, Code]]:
    """Stem, path and label of the PNGs below a folder, named `<prefix>_<number>_<label>`.

    What is no PNG is passed over: Windows left a Thumbs.db in the release.
    """
    pattern, unique = re.compile(rf"{prefix}_(\d{{4,}})_([01])\.png"), Unique(problems, "case")
    for name, path in listing(folder, (".png",)).items():
        found = pattern.fullmatch(name)
        if found is None:
            problems.say(f"{path}: is no picture of the release; expected {prefix}_ and a number, _0 or _1; remove it")
        elif unique(found[1], str(path)):
            yield path.stem, path, 1 if found[2] == "1" else 0
