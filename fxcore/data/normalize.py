"""Native files in, a verified store out: decode, check, resize, and write tables."""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import provenance
from fxcore.data import images, rle
from fxcore.data.records import Mask, Record
from fxcore.errors import InputError
from fxcore.files import atomic, sha256, write_json
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.paths import STORE_FILES
from fxcore.progress import Progress
from fxcore.slices.data import StoreSlice

log = logging.getLogger(__name__)

_CHUNK = 64
"""Images decoded ahead of the writer; bounds memory."""
_OVERHANG = 1.0
"""Pixels by which a box may pass the image's edge, for sources that round."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded image at store size, its native size, and its masks at store size."""

    image: NDArray[np.uint8]
    height: int
    width: int
    masks: NDArray[np.bool_] | None


def normalize(slice_: StoreSlice, folder: Path, store: Path, threads: int = 1) -> None:
    """Write the store of one dataset from its native `folder`.

    Raises:
        InputError: anything that contradicts the format, the parameters, or itself; no file of the store is written then.
    """
    dataset = slice_.dataset
    adapter = importlib.import_module(f"fxcore.data.adapters.{dataset.adapter}")
    records: list[Record] = list(adapter.records(slice_.key, dataset, folder))
    check_splits(records, dataset)
    masked = [record for record in records if record.masks is not None]
    side, classes = slice_.store_size, dataset.classes(Task.SEGMENTATION)
    with atomic(store / "images.npy") as image_part, atomic(store / "masks.npy") as mask_part:
        pictures = np.lib.format.open_memmap(image_part, mode="w+", dtype=np.uint8, shape=(len(records), side, side))
        packed = np.lib.format.open_memmap(
            mask_part, mode="w+", dtype=np.uint8, shape=(len(masked), len(classes), side, -(-side // 8))
        )
        sizes = []
        progress = Progress(f"normalize {slice_.key}", len(records), "images")
        mask_rows = iter(range(len(masked)))
        for row, pixels in enumerate(_decode(records, classes, side, threads)):
            pictures[row] = pixels.image
            if pixels.masks is not None:
                packed[next(mask_rows)] = np.packbits(pixels.masks, axis=-1)
            sizes.append((pixels.width, pixels.height))
            progress.advance()
        pictures.flush()
        packed.flush()
        tables = tables_of(records, sizes, dataset)
        for name, table in tables.items():
            with atomic(store / f"{name}.parquet") as part:
                table.to_parquet(part, index=False)
    checksums = {
        "sources": {name: sha256(folder / name) for name in adapter.index_files(dataset)},
        "files": {name: sha256(store / name) for name in STORE_FILES[:-1]},
    }
    write_json(store / "manifest.json", manifest(slice_, tables, adapter.VERSION) | checksums)


def _decode(records: Sequence[Record], classes: tuple[str, ...], side: int, threads: int) -> Iterator[Pixels]:
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(records), _CHUNK):
            yield from pool.map(lambda record: _pixels(record, classes, side), records[start : start + _CHUNK])


def _pixels(record: Record, classes: tuple[str, ...], side: int) -> Pixels:
    image = images.read(record.file, record.where)
    height, width = image.shape
    for stated in record.stated:
        if (stated.width, stated.height) != (width, height):
            raise InputError(
                f"{stated.where}: says {stated.width} × {stated.height} pixels; the picture {record.image} has"
                f" {width} × {height}; annotate the picture at its own size"
            )
    for box in record.boxes or ():
        left, top, across, down = box.xywh
        if not (across > 0 and down > 0):
            raise InputError(f"{box.where}: box {list(box.xywh)} has no area; correct or remove it")
        if min(left, top) < -_OVERHANG or left + across > width + _OVERHANG or top + down > height + _OVERHANG:
            raise InputError(
                f"{box.where}: box {list(box.xywh)} (left, top, width, height) leaves the image {record.image}"
                f" of {width} × {height} pixels; correct it"
            )
    masks = None
    if record.masks is not None:
        masks = np.zeros((len(classes), side, side), dtype=np.bool_)
        for mask in record.masks:
            masks[classes.index(mask.label)] |= images.resize_mask(_native_mask(mask, (height, width), record), side)
    return Pixels(images.resize(image, side), height, width, masks)


def _native_mask(mask: Mask, size: tuple[int, int], record: Record) -> NDArray[np.bool_]:
    if tuple(mask.rle["size"]) != size:
        theirs = " × ".join(str(side) for side in reversed(mask.rle["size"]))
        raise InputError(
            f"{mask.where}: the mask has {theirs} pixels, its image {record.image} has {size[1]} × {size[0]}; give the mask at image size"
        )
    try:
        return rle.decode(mask.rle)
    except ValueError as error:
        raise InputError(f"{mask.where}: {error}; the file is likely cut or from another release") from error


def check_splits(records: Sequence[Record], dataset: Dataset) -> None:
    """Each task has annotated images in each split, and no patient is in two splits.

    Raises:
        InputError: otherwise.
    """
    home: dict[str, Record] = {}
    for record in records:
        first = home.setdefault(record.patient, record)
        if first.split is not record.split:
            raise InputError(
                f"{record.where}: patient {record.patient} is in {record.split} here and in {first.split} at {first.where};"
                " keep a patient in one split"
            )
    for task in dataset.tasks:
        counts = Counter(record.split for record in records if annotated(record, task))
        if empty := [split for split in Split if not counts[split]]:
            raise InputError(
                f"{dataset.index}: split {empty[0]} has no image annotated for {task}; annotate one or remove the task from params"
            )


def annotated(record: Record, task: Task) -> bool:
    """Whether an image says anything for a task."""
    known = {Task.CLASSIFICATION: record.labels, Task.LOCALIZATION: record.boxes, Task.SEGMENTATION: record.masks}
    return known[task] is not None


def tables_of(records: Sequence[Record], sizes: Iterable[tuple[int, int]], dataset: Dataset) -> dict[str, pd.DataFrame]:
    """The store's tables: images, labels, boxes, masks."""
    mask_rows = np.cumsum([record.masks is not None for record in records]) - 1
    rows = [
        (
            r.image,
            r.patient,
            r.group,
            str(r.split),
            *size,
            r.labels is not None,
            r.boxes is not None,
            r.masks is not None,
        )
        for r, size in zip(records, sizes, strict=True)
    ]
    names = ("image", "patient", "group", "split", "width", "height", "has_labels", "has_boxes", "has_masks")
    table = pd.DataFrame(rows, columns=list(names))
    table["mask_row"] = np.where(table["has_masks"], mask_rows, -1)
    labels = pd.DataFrame(
        {
            name: pd.array([(r.labels or {}).get(name) for r in records], dtype="Int8")
            for name in dataset.classes(Task.CLASSIFICATION)
        }
    )
    of_boxes, of_masks = dataset.classes(Task.LOCALIZATION), dataset.classes(Task.SEGMENTATION)
    boxes = [(row, of_boxes.index(box.label), *box.xywh) for row, r in enumerate(records) for box in r.boxes or ()]
    masks = [
        (row, of_masks.index(mask.label), mask.rle["counts"]) for row, r in enumerate(records) for mask in r.masks or ()
    ]
    return {
        "images": table,
        "labels": labels,
        "boxes": pd.DataFrame(boxes, columns=["row", "label", "left", "top", "width", "height"]),
        "masks": pd.DataFrame(masks, columns=["row", "label", "counts"]),
    }


def manifest(slice_: StoreSlice, tables: dict[str, pd.DataFrame], version: int) -> dict[str, Any]:
    """What the store holds and who made it; counts by split of images, patients, annotated images and positives."""
    dataset, table = slice_.dataset, tables["images"]
    split = table["split"]
    positives: dict[str, dict[str, dict[str, int]]] = {}
    for task in dataset.tasks:
        positives[task] = {}
        for index, name in enumerate(dataset.classes(task)):
            if task is Task.CLASSIFICATION:
                rows = np.flatnonzero(tables["labels"][name].eq(1).fillna(False))
            else:
                annotations = tables["boxes" if task is Task.LOCALIZATION else "masks"]
                rows = annotations.loc[annotations["label"] == index, "row"].unique()
            positives[task][name] = _by_split(split.iloc[rows])
    has = {Task.CLASSIFICATION: "has_labels", Task.LOCALIZATION: "has_boxes", Task.SEGMENTATION: "has_masks"}
    return {
        **provenance.describe(slice_),
        "adapter": dataset.adapter,
        "adapter_version": version,
        "synthetic": dataset.source == "phantom",
        "images": _by_split(split),
        "patients": _by_split(table.drop_duplicates("patient")["split"]),
        "annotated": {task: _by_split(split[table[has[task]]]) for task in dataset.tasks},
        "annotated_patients": {
            task: _by_split(table[table[has[task]]].drop_duplicates("patient")["split"]) for task in dataset.tasks
        },
        "boxes": _by_split(split.iloc[tables["boxes"]["row"]]),
        "positives": positives,
    }


def _by_split(splits: pd.Series) -> dict[str, int]:
    counts = Counter(splits)
    return {str(split): counts[split] for split in Split}
