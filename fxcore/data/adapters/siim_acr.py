"""SIIM-ACR Pneumothorax: run lengths in a CSV, a row a region, and pictures three folders deep by SOP instance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fxcore.data import shapes
from fxcore.data.native import Native, Problems, check_classes, first, header_size, header_view, listing, rows
from fxcore.data.records import Box, Labels, Mask, Record, Runs
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

LABEL = "Pneumothorax"
NONE = "-1"
STAGE_2, STAGE_1 = "stage_2_train.csv", "train-rle.csv"
"""The table of all labelled pictures, and the older one, of those to train on alone."""
TRAIN, TEST = "dicom-images-train", "dicom-images-test"


class Stated(NamedTuple):
    """What a table says of an image: where first, and the place and run lengths of each region."""

    where: str
    regions: dict[str, str]


class Marks(NamedTuple):
    """The annotations of an image, None for tasks that a dataset lacks."""

    labels: Labels | None
    boxes: tuple[Box, ...] | None
    masks: tuple[Mask, ...] | None


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:  # noqa: ARG001 - the same for all tasks
    """The table, and the folders of the pictures that it is about.

    Raises:
        InputError: one is missing.
    """
    table = _table(key, native.folder)
    return (table, *_folders(key, native.folder, table).values())


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every labelled image, in the order of the table.

    The table of stage 2 labels the pictures of the test folder, too, which are the release's test. That of stage 1 does not,
    and the release has no split then. Patients are unknown: PatientID is made anew for each image.

    Raises:
        InputError: a file or column is missing; a mistake, unless these are collected.
    """
    check_classes(key, dataset, dict.fromkeys(Task, (LABEL,)))
    table = _table(key, native.folder)
    folders = _folders(key, native.folder, table)
    pictures = {split: listing(folder, [".dcm"]) for split, folder in folders.items()}
    # `rows` strips the blank that some copies have before `EncodedPixels`, and before its -1.
    content = rows(table, ["ImageId", "EncodedPixels"], problems)
    stated = read_regions(((where, row["ImageId"], row["EncodedPixels"]) for where, row in content), problems)
    for image, said in stated.items():
        places = [(split, names[f"{image}.dcm"]) for split, names in pictures.items() if f"{image}.dcm" in names]
        if len(places) != 1:
            among = " and ".join(folder.name for folder in folders.values())
            problems.say(
                f"{said.where}: {image}.dcm is {len(places)} times in {among}; expected once, download it again"
            )
            continue
        (split, path), *_ = places
        marks = read_marks(said, path, dataset, problems)
        if marks is not None:
            yield Record(
                image=image,
                file=path,
                patient=None,
                group=f"{dataset.adapter}:{image}",
                split=split if Split.TEST in folders else None,
                labels=marks.labels,
                boxes=marks.boxes,
                masks=marks.masks,
                where=said.where,
                view=header_view(path, said.where, problems) if dataset.views else None,
            )


def read_regions(lines: Iterable[tuple[str, str, str]], problems: Problems) -> dict[str, Stated]:
    """What a table with a row a region says of each image; `lines` are place, image, and run lengths or -1."""
    found: dict[str, Stated] = {}
    for where, image, text in lines:
        new = {} if text == NONE else {where: text}
        before = found.setdefault(image, Stated(where, {}))
        if before.where != where and (not new or not before.regions or text in before.regions.values()):
            problems.say(
                f"{where}: {image} is without a region, or has this one, at {before.where} already; keep one row"
            )
        else:
            before.regions.update(new)
    return found


def read_marks(stated: Stated, path: Path, dataset: Dataset, problems: Problems) -> Marks | None:
    """The annotations of an image whose picture is at `path`; None where each of its regions is a mistake.

    A box is derived from each row. The header gives the size that columns are counted with: 1024 in the release.
    """
    regions: list[tuple[Box, Mask]] = []
    if stated.regions:
        size = header_size(path, stated.where, problems)
        made = [_region(where, text, size, problems) for where, text in stated.regions.items()] if size else []
        regions = [region for region in made if region is not None]
        if not regions:
            return None
    return Marks(
        {LABEL: 1 if regions else 0} if dataset.classification else None,
        tuple(box for box, _ in regions) if dataset.localization else None,
        tuple(mask for _, mask in regions) if dataset.segmentation else None,
    )


def _region(where: str, text: str, size: tuple[int, int], problems: Problems) -> tuple[Box, Mask] | None:
    """The box and mask of one row; None where it is a mistake."""
    runs = Runs(text, relative=True)
    try:
        left, top, width, height = shapes.box(runs, *size)
    except ValueError as error:
        problems.say(f"{where}: {error}; download the file again")
        return None
    if left + width > size[1]:
        problems.say(f"{where}: runs end in column {left + width:.0f}; the picture has {size[1]}, download both again")
        return None
    return Box(LABEL, (left, top, width, height), where), Mask(LABEL, runs, where)


def _table(key: str, folder: Path) -> Path:
    return first(folder, [STAGE_2, f"*/{STAGE_2}", STAGE_1, f"*/{STAGE_1}"], key)


def _folders(key: str, folder: Path, table: Path) -> dict[Split, Path]:
    """The folders of labelled pictures."""
    names = {Split.TRAIN: TRAIN} if table.name == STAGE_1 else {Split.TRAIN: TRAIN, Split.TEST: TEST}
    return {split: first(folder, [name, f"*/{name}"], key) for split, name in names.items()}
