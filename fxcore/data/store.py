"""The store of a dataset: images and masks to map into memory, tables beside them, and a manifest that vouches for both.

`images.npy` (images, S, S) grey uint8; `masks.npy` (masked images, classes, S, S / 8) one bit a pixel; `images.parquet` a row
an image in the order of `images.npy`; `labels.parquet` raw codes; `boxes.parquet` and `masks.parquet` in native pixels.
The columns `patient` and `study` of `images.parquet` group images; where a release names none, each image is one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import paths
from fxcore.data import codes
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.slices.data import Heads

_ANNOTATED = {Task.CLASSIFICATION: "has_labels", Task.LOCALIZATION: "has_boxes", Task.SEGMENTATION: "has_masks"}


class Store:
    """Random access to a normalised dataset; opening reads tables, never pixels."""

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`.

        Raises:
            InputError: a file is missing or is no part of a store.
        """
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            self.images = np.load(folder / "images.npy", mmap_mode="r")
            self.packed_masks = np.load(folder / "masks.npy", mmap_mode="r")
            self.table = pd.read_parquet(folder / "images.parquet")
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder}: not a readable store ({error}); build it again with: snakemake {folder}/manifest.json --force"
            ) from error

    @property
    def size(self) -> int:
        """Side of the stored images in pixels."""
        return int(self.images.shape[-1])

    def heads(self, tasks: tuple[Task, ...]) -> Heads:
        """Classes and label policies of some of the dataset's tasks, as the store was made with."""
        return Heads.of(Dataset.model_validate(self.manifest["params"]["dataset"]), tasks)

    def rows(self, task: Task, split: Split) -> NDArray[np.int64]:
        """Rows of a split whose images are annotated for a task."""
        return np.flatnonzero((self.table["split"] == split) & self.table[_ANNOTATED[task]])

    @cached_property
    def _labels(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "labels.parquet")

    @cached_property
    def _boxes(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """First box of every row (and one past the last), class index of every box, boxes as native xywh."""
        table = pd.read_parquet(self.folder / "boxes.parquet")
        starts = np.searchsorted(table["row"], np.arange(len(self.table) + 1))
        return starts, table["label"].to_numpy(np.int64), table[["left", "top", "width", "height"]].to_numpy(np.float64)

    def targets(self, heads: Heads) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Class targets 0..1 (images, classes) and which of them are known, under the label policies of `heads`."""
        policy = heads.classification
        assert policy is not None
        raw = self._labels[list(policy.classes)].to_numpy(dtype=np.float32, na_value=np.nan)
        target, known = codes.targets(raw, policy, self.table["image"].tolist())
        return target, known & self.table["has_labels"].to_numpy()[:, None]

    def boxes(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Class indices (n,) and boxes (n, 4) as left, top, width, height in native pixels."""
        starts, labels, boxes = self._boxes
        return labels[starts[row] : starts[row + 1]], boxes[starts[row] : starts[row + 1]]

    def native_size(self, row: int) -> tuple[int, int]:
        """Width and height of the image as downloaded."""
        return int(self.table["width"].iat[row]), int(self.table["height"].iat[row])

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Masks of an annotated image, (classes, S, S)."""
        packed = self.packed_masks[int(self.table["mask_row"].iat[row])]
        return np.unpackbits(packed, axis=-1, count=self.size).astype(np.bool_)


OpenStores = Callable[[Iterable[str]], dict[str, Store]]
"""Opens stores by key, for jobs that learn from a file which datasets a run visits."""


def open_stores(results: Path, keys: Iterable[str], size: int) -> dict[str, Store]:
    """The stores of some datasets by key."""
    return {key: Store(paths.store(results, key, size)) for key in keys}
