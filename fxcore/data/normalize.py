"""Native files in, a verified store out: read, decode, check, and write tables."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fxcore import sources
from fxcore.data import checks
from fxcore.data.decode import Decoded, decode, rows_of_masks
from fxcore.data.intake import Intake, intake, without
from fxcore.data.manifest import manifest
from fxcore.data.native import Native, Problems, adapter_of
from fxcore.data.records import Record
from fxcore.files import atomic, sha256, write_json
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.paths import STORE_FILES
from fxcore.slices.data import StoreSlice

log = logging.getLogger(__name__)

TABLES = ("images", "labels", "boxes", "masks")


def normalize(slice_: StoreSlice, native: Native, store: Path, work: Path, processes: int = 1) -> None:
    """Write the store of one dataset from its native files; `work` holds what is done until it is complete.

    Raises:
        InputError: anything that contradicts the format, the parameters, or itself; no file of the store is written then.
    """
    key, dataset = slice_.key, slice_.dataset
    adapter = adapter_of(dataset)
    read_from = checksums(adapter.files(key, dataset, native), native.folder)
    taken = intake(key, dataset, native, Problems())
    identity = _identity(slice_, adapter.VERSION, read_from, taken.records)
    decoded = decode(key, taken.records, dataset, slice_.store_size, work, identity, processes)
    mask_rows = rows_of_masks(taken.records)
    taken = _usable(taken, decoded)
    tables = tables_of(taken.records, decoded, mask_rows, dataset)
    outcome = checks.run(taken, decoded, dataset)
    for name, table in tables.items():
        with atomic(store / f"{name}.parquet") as part:
            table.to_parquet(part, index=False)
    for name in ("images.npy", "masks.npy"):
        (work / name).replace(store / name)
    made = manifest(slice_, tables, adapter.VERSION) | {"excluded": taken.excluded, "checks": outcome}
    made |= {"sources": read_from, "files": {name: sha256(store / name) for name in STORE_FILES[:-1]}}
    write_json(store / "manifest.json", made)
    shutil.rmtree(work)


def checksums(files: Sequence[Path], folder: Path) -> dict[str, str]:
    """SHA-256 of each file by its name below `folder`; of a folder, that of the names and sizes of what is in it."""
    found: dict[str, str] = {}
    for path in files:
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        listed = (
            "\n".join(sorted(f"{one.name} {one.stat().st_size}" for one in path.iterdir())) if path.is_dir() else None
        )
        found[name] = sha256(path) if listed is None else hashlib.sha256(listed.encode()).hexdigest()
    return found


def _identity(slice_: StoreSlice, version: int, read_from: dict[str, str], records: Sequence[Record]) -> str:
    """Everything that decoded pictures depend on, in one line: parameters, native files, list of pictures, and our code."""
    listed = hashlib.sha256("\n".join(record.image for record in records).encode()).hexdigest()
    code = sources.digest("fxcore.data.normalize", f"fxcore.data.adapters.{slice_.dataset.adapter}")
    facts = [slice_.canonical(), version, read_from, listed, code]
    return json.dumps(facts, sort_keys=True)


def _usable(taken: Intake, decoded: Sequence[Decoded]) -> Intake:
    """The intake with pictures that cannot be used annotated for nothing, and listed as left out."""
    wrong = {
        record.image: one.wrong for record, one in zip(taken.records, decoded, strict=True) if one.wrong is not None
    }
    for name, reason in wrong.items():
        log.warning("left out: %s: %s", name, reason)
    records = [without(record) if record.image in wrong else record for record in taken.records]
    return replace(taken, records=records, excluded=taken.excluded | wrong)


def tables_of(
    records: Sequence[Record], decoded: Sequence[Decoded], mask_rows: Sequence[int], dataset: Dataset
) -> dict[str, pd.DataFrame]:
    """The store's tables: images, labels, boxes, masks; `mask_rows` are those of the masks' array."""
    rows = [
        (
            r.image,
            r.image if r.patient is None else r.patient,
            r.group,
            str(r.split),
            r.view,
            one.width,
            one.height,
            r.labels is not None,
            r.boxes is not None,
            r.masks is not None,
        )
        for r, one in zip(records, decoded, strict=True)
    ]
    names = ("image", "patient", "group", "split", "view", "width", "height", "has_labels", "has_boxes", "has_masks")
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
        (row, of_masks.index(mask.label), counts)
        for row, (r, one) in enumerate(zip(records, decoded, strict=True))
        for mask, counts in zip(r.masks or (), one.masks, strict=True)
    ]
    return {
        "images": table,
        "labels": labels,
        "boxes": pd.DataFrame(boxes, columns=["row", "label", "left", "top", "width", "height"]),
        "masks": pd.DataFrame(masks, columns=["row", "label", "counts"]),
    }
