"""NIH Montgomery (2014): pictures whose names end in the label, and a mask of each lung under the same name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fxcore.data.adapters.shenzhen import labelled, pictures
from fxcore.data.native import Native, Problems, check_classes, listing, needed
from fxcore.data.records import Mask, MaskFile, Record
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

MASKS = {
    "Lung": ("leftMask", "rightMask"),
    "Lungs": ("leftMask", "rightMask"),
    "Left Lung": ("leftMask",),
    "Right Lung": ("rightMask",),
}
"""Folders whose masks make up a class; left is the patient's."""


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
    """The folder of the pictures, in `MontgomerySet` or without it, and those of the masks that the classes need.

    Raises:
        InputError: one is missing.
    """
    folder = pictures(key, native)
    return folder, *_mask_folders(folder, key, dataset).values()


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every picture, by name. The release names no patients: each image is one of its own.

    Raises:
        InputError: a folder is missing, or the dataset asks for what the release does not say.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: ("TB",), Task.SEGMENTATION: tuple(MASKS)})
    folder = pictures(key, native)
    masks = {name: listing(of, (".png",)) for name, of in _mask_folders(folder, key, dataset).items()}
    there: set[str] = set()
    for stem, path, code in labelled(folder, "MCUCXR", problems):
        there.add(path.name)
        made = mask_files(path.name, str(path), masks, MASKS, dataset.classes(Task.SEGMENTATION), problems)
        if dataset.classification or made is not None:
            yield Record(
                image=stem,
                file=path,
                patient=None,
                group=f"{dataset.adapter}:{stem}",
                split=None,
                labels={"TB": code} if dataset.classification else None,
                boxes=None,
                masks=made,
                where=str(path),
            )
    for of in masks.values():
        for name in sorted(set(of) - there):
            problems.say(f"{of[name]}: is the mask of no picture; put {folder / name} there or remove the mask")


def _mask_folders(folder: Path, key: str, dataset: Dataset) -> dict[str, Path]:
    names = {name for label in dataset.classes(Task.SEGMENTATION) for name in MASKS.get(label, ())}
    return {name: needed(folder.parent / "ManualMask" / name, key) for name in sorted(names)}


def mask_files(
    image: str,
    where: str,
    masks: Mapping[str, Mapping[str, Path]],
    parts: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    problems: Problems,
    scale: int = 1,
) -> tuple[Mask, ...] | None:
    """The masks of an image that has a file for each structure: `masks` by structure and image, `parts` the structures of a class.

    None if one is missing, which is a mistake: it is not known then where that structure lies.
    """
    if not masks:
        return None
    if lacking := [name for name, of in masks.items() if image not in of]:
        problems.say(f"{where}: has no mask in {lacking[0]}; put it there or remove the picture")
        return None
    return tuple(
        Mask(label, MaskFile(masks[part][image], scale), str(masks[part][image]))
        for label in classes
        for part in parts[label]
    )
