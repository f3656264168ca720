"""Native files in, a verified store out: read, decode, check, and write tables."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fxcore import sources, tablefile
from fxcore.alone import alone
from fxcore.data import checks, published
from fxcore.data.decode import ARRAYS, Decoded, decode, rows_of_masks
from fxcore.data.intake import Intake, check, intake, usable
from fxcore.data.manifest import manifest
from fxcore.data.native import Native, Problems, adapter_of, checksums, files_of, fingerprints
from fxcore.data.records import Record
from fxcore.errors import InputError
from fxcore.files import sha256, write_json
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.paths import STORE_FILES
from fxcore.slices.data import StoreSlice

CHECKSUMS = ("crc", "mask_crc")
"""Columns of the table of images."""


def normalize(slice_: StoreSlice, native: Native, store: Path, work: Path, processes: int = 1) -> None:
    """Write the store of one dataset from its native files; `work` holds what is done until it is complete.

    Raises:
        InputError: anything that contradicts the format, the parameters, or itself; no file of the store is written then.
    """
    with alone(work, f"making the store of {slice_.key}"):
        _normalize(slice_, native, store, work, processes)


def _normalize(slice_: StoreSlice, native: Native, store: Path, work: Path, processes: int) -> None:
    key, dataset = slice_.key, slice_.dataset
    version = adapter_of(dataset).VERSION
    files, problems = files_of(key, dataset, native), Problems()
    read_from, known_by = checksums(files, native.folder), fingerprints(files, native.folder)
    listed = intake(key, dataset, native, problems)
    identity = _identity(slice_, version, read_from, listed.records)
    decoded = decode(key, listed.records, dataset, slice_.store_size, work, identity, processes)
    taken = usable(listed, dataset, listed.named | _wrong(listed, decoded, dataset))
    check(key, taken.records, dataset)
    tables = tables_of(taken, decoded, rows_of_masks(listed.records), dataset)
    lists = published.read(published.find(dataset.adapter, native.folder))
    tables["images"]["published"] = [lists.get(Path(record.image).stem) for record in taken.records]
    outcome = checks.run(taken, decoded, dataset)
    for name, table in tables.items():
        tablefile.write(store / f"{name}.parquet", table)
    for name in ARRAYS:
        (work / name).replace(store / name)
    made = manifest(slice_, tables, version) | {
        "excluded": taken.excluded,
        "left_out": dict(problems.left),
        "checks": outcome,
    }
    made |= {"sources": read_from, "files": {name: sha256(store / name) for name in STORE_FILES[:-1]}}
    write_json(store / "manifest.json", made)
    shutil.rmtree(work)
    if dataset.source == "native":
        write_json(work.with_name(f"{work.name}.json"), known_by)


def _identity(slice_: StoreSlice, version: int, read_from: dict[str, str], records: Sequence[Record]) -> str:
    """Everything that decoded pictures depend on, in one line: parameters, native files, list of pictures, and our code.

    Not which pictures are left out: a killed or failed job goes on after one is named under `exclude`.
    """
    listed = hashlib.sha256("\n".join(f"{one.image} {one.masks is None}" for one in records).encode()).hexdigest()
    chosen = slice_.model_dump(mode="json", exclude={"dataset": {"exclude", "unreadable"}})
    code = sources.digest("fxcore.data.normalize", f"fxcore.data.adapters.{slice_.dataset.adapter}")
    facts = [chosen, version, read_from, listed, code]
    return json.dumps(facts, sort_keys=True)


def _wrong(listed: Intake, decoded: Sequence[Decoded], dataset: Dataset) -> dict[str, str]:
    """Unreadable pictures with what is wrong with them, where the dataset leaves such out.

    Raises:
        InputError: anything else is wrong with a picture that is not named under `exclude`.
    """
    wrong = {
        record.image: one
        for record, one in zip(listed.records, decoded, strict=True)
        if one.wrong is not None and record.image not in listed.named
    }
    leaves = dataset.unreadable == "exclude"
    fatal = [str(one.wrong) for one in wrong.values() if not (leaves and one.unreadable)]
    if fatal:
        raise InputError(fatal[0] + (f" (and {len(fatal) - 1} more like it, in the log)" if fatal[1:] else ""))
    return {name: str(one.wrong) for name, one in wrong.items()}


def tables_of(
    taken: Intake, decoded: Sequence[Decoded], mask_rows: Sequence[int], dataset: Dataset
) -> dict[str, pd.DataFrame]:
    """The store's tables: images, labels, boxes, masks; `mask_rows` are those of the masks' array."""
    records, left_out = taken.records, taken.excluded
    rows = [
        (
            r.image,
            r.image if r.patient is None else r.patient,
            r.image if r.study is None else r.study,
            r.group if r.patient is not None or r.study is None else f"{dataset.adapter}:{r.study}",
            None if r.split is None else str(r.split),
            r.view,
            one.width,
            one.height,
            one.hash,
            r.labels is not None,
            r.boxes is not None,
            r.masks is not None,
            one.crc,
            one.mask_crc,
        )
        for r, one in zip(records, decoded, strict=True)
    ]
    names = ("image", "patient", "study", "group", "official", "view", "width", "height", "hash")
    more = ("has_labels", "has_boxes", "has_masks", *CHECKSUMS)
    table = pd.DataFrame(rows, columns=[*names, *more]).astype({"hash": "uint64", **dict.fromkeys(CHECKSUMS, "uint32")})
    table["usable"] = [one not in left_out for one in table["image"]]
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
        (row, of_masks.index(mask.label), counts)
        for row, (r, one) in enumerate(zip(records, decoded, strict=True))
        for mask, counts in zip(r.masks or (), one.masks if r.masks else (), strict=True)
    ]
    return {
        "images": table,
        "labels": labels,
        "boxes": pd.DataFrame(boxes, columns=["row", "label", "left", "top", "width", "height"]),
        "masks": pd.DataFrame(masks, columns=["row", "label", "counts"]),
    }
