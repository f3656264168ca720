"""JSRT (1998) with the masks of SCR (2006): raw pictures whose names say whether there is a nodule, and a GIF a structure.

The clinical tables say nothing that a head learns and are not read. The two folds of SCR are to be trained on in turns; they are no
split of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fxcore.data.adapters.montgomery import mask_files
from fxcore.data.native import Native, Problems, check_classes, first, listing, needed
from fxcore.data.records import Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

MASKS = {
    "Heart": ("heart",),
    "Left Lung": ("left lung",),
    "Right Lung": ("right lung",),
    "Lungs": ("left lung", "right lung"),
    "Left Clavicle": ("left clavicle",),
    "Right Clavicle": ("right clavicle",),
    "Clavicles": ("left clavicle", "right clavicle"),
}
"""Folders whose masks make up a class, blanks as there; left is the patient's."""
FOLDS = ("fold1", "fold2")
SCALE = 2
"""Pixels of a picture along a pixel of a mask: 2048 and 1024."""
GREATEST = 4095
"""Of 12 bits; some values are above, and mean no more."""
_NAME = re.compile(r"JPC([LN])N\d{3,}\.IMG", re.IGNORECASE)


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
    """The folder of the pictures, and those of the masks that the classes need.

    Raises:
        InputError: one is missing.
    """
    return _pictures(key, native), *(folder for of in _mask_folders(key, dataset, native).values() for folder in of)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every picture, by name; each case is a patient of its own.

    Raises:
        InputError: a folder is missing, or the dataset asks for what the release does not say.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: ("Nodule",), Task.SEGMENTATION: tuple(MASKS)})
    masks = {name: _listed(of, problems) for name, of in _mask_folders(key, dataset, native).items()}
    there: set[str] = set()
    for name, path in listing(_pictures(key, native), (".img",)).items():
        shape, case = _NAME.fullmatch(name), path.stem
        if shape is None:
            problems.say(f"{path}: is no picture of the release; expected JPCLN001.IMG or JPCNN001.IMG; remove it")
            continue
        there.add(case)
        made = mask_files(case, str(path), masks, MASKS, dataset.classes(Task.SEGMENTATION), problems, SCALE)
        if dataset.classification or made is not None:
            yield Record(
                image=case,
                file=path,
                patient=case,
                group=f"jsrt:{case}",
                split=None,
                labels={"Nodule": 1 if shape[1].upper() == "L" else 0} if dataset.classification else None,
                boxes=None,
                masks=made,
                where=str(path),
                read=read,
            )
    for of in masks.values():
        for case in sorted(set(of) - there):
            problems.say(f"{of[case]}: is the mask of no picture; put {case}.IMG there or remove the mask")


def _pictures(key: str, native: Native) -> Path:
    return first(native.folder, ("All247images", "*/All247images"), key)


def _mask_folders(key: str, dataset: Dataset, native: Native) -> dict[str, tuple[Path, ...]]:
    """By structure, its folder in each fold; the masks come apart from the pictures and lie beside them or in a folder."""
    names = {name for label in dataset.classes(Task.SEGMENTATION) for name in MASKS.get(label, ())}
    if not names:
        return {}
    places = ("scratch/fold1", "*/scratch/fold1", "fold1", "*/fold1")
    root = first(native.folder, places, key).parent
    return {name: tuple(needed(root / fold / "masks" / name, key) for fold in FOLDS) for name in sorted(names)}


def _listed(folders: tuple[Path, ...], problems: Problems) -> dict[str, Path]:
    """The masks of a structure by case."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in listing(folder, (".gif",)).values():
            before = found.setdefault(path.stem, path)
            if before is not path:
                problems.say(f"{path}: {before} is the mask of the same case; keep one")
    return found


def read(path: Path, where: str) -> NDArray[np.uint8]:
    """A headerless square of big-endian 16-bit values, high is dark, as grey 0..255, bright is dense.

    Raises:
        InputError: the file is missing or no square.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{where}: {path} cannot be read ({error.strerror}); put it there") from error
    side = isqrt(len(content) // 2)
    if not content or 2 * side * side != len(content):
        raise InputError(f"{where}: {path} has {len(content)} bytes, no square of 16-bit values; download it again")
    values = np.minimum(np.frombuffer(content, dtype=">u2"), GREATEST).astype(np.float64)
    grey: NDArray[np.uint8] = np.round((GREATEST - values) * (255 / GREATEST)).astype(np.uint8)
    return grey.reshape(side, side)
