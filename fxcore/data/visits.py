"""What the stores that a run trains on hold, in one small file: its content changes exactly when training must start anew.

It depends on bytes and label policies only, not on when or by which commit a store was made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxcore.data import leaks
from fxcore.data.store import ANNOTATED, Store
from fxcore.files import write_json
from fxcore.passes import Split, Task
from fxcore.slices.data import VisitsSlice

_FILES = {Task.CLASSIFICATION: "labels.parquet", Task.LOCALIZATION: "boxes.parquet", Task.SEGMENTATION: "masks.npy"}


def visits(slice_: VisitsSlice, stores: Mapping[str, Store], output: Path) -> None:
    """Write, for each dataset of a run, the classes and policies of its tasks and the checksums of what they read.

    Raises:
        InputError: the run tests what it trains on, and the parameters do not allow that.
    """
    if not slice_.allowed:
        leaks.check(slice_.place, slice_.run, stores, dict(slice_.visits), slice_.datasets, slice_.near)
    content: dict[str, Any] = {}
    for name, tasks in slice_.visits:
        store = stores[name]
        files = ["images.npy", *(_FILES[task] for task in tasks)]
        columns = ["image", "split", "width", "height", *(ANNOTATED[task] for task in tasks)]
        columns += ["mask_row"] if Task.SEGMENTATION in tasks else []
        listed = store.table[columns].to_csv(index=False).encode()
        content[name] = {
            "heads": store.heads(tasks).model_dump(mode="json"),
            "sha256": {file: store.manifest["files"][file] for file in files}
            | {"list of images": hashlib.sha256(listed).hexdigest()},
            "annotated": {task: {split: len(store.rows(task, split)) for split in Split} for task in tasks},
        }
    write_json(output, content)
