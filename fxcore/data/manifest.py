"""What a store says of itself: what it holds, and what made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fxcore import provenance
from fxcore.passes import Split, Task
from fxcore.slices.data import StoreSlice


def manifest(slice_: StoreSlice, tables: Mapping[str, pd.DataFrame], version: int) -> dict[str, Any]:
    """What the store holds and who made it; counts by split of images, patients, annotated images and positives."""
    dataset, table = slice_.dataset, tables["images"]
    split = table["split"]
    listed = table[split.notna()]
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
        "patients": _by_split(listed.drop_duplicates("patient")["split"]),
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
