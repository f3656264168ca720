"""What the stores that a run trains on hold, in one small file: its content changes exactly when training must start anew.

It depends on bytes and label policies only, not on when or by which commit a store was made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxcore.data.store import Store
from fxcore.files import write_json
from fxcore.passes import Task
from fxcore.slices.data import VisitsSlice

_FILES = {Task.CLASSIFICATION: "labels.parquet", Task.LOCALIZATION: "boxes.parquet", Task.SEGMENTATION: "masks.npy"}
_COLUMNS = {
    Task.CLASSIFICATION: ("has_labels",),
    Task.LOCALIZATION: ("has_boxes",),
    Task.SEGMENTATION: ("has_masks", "mask_row"),
}


def visits(slice_: VisitsSlice, stores: Mapping[str, Store], output: Path) -> None:
    """Write, for each dataset of a run, the classes and policies of its tasks and the checksums of what they read."""
    content: dict[str, Any] = {}
    for name, tasks in slice_.visits:
        store = stores[name]
        files = ["images.npy", *(_FILES[task] for task in tasks)]
        columns = ["image", "split", "width", "height", *(column for task in tasks for column in _COLUMNS[task])]
        listed = store.table[columns].to_csv(index=False).encode()
        content[name] = {
            "heads": store.heads(tasks).model_dump(mode="json"),
            "sha256": {file: store.manifest["files"][file] for file in files}
            | {"list of images": hashlib.sha256(listed).hexdigest()},
            "annotated": {task: store.manifest["annotated"][task] for task in tasks},
        }
    write_json(output, content)
