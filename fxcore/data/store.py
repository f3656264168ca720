"""The store of a dataset: images and masks to map into memory, tables beside them, and a manifest that vouches for both.

`images.npy` (images, S, S) grey uint8; `masks.npy` (masked images, classes, S, S / 8) one bit a pixel; `images.parquet` a row
an image in the order of `images.npy`; `labels.parquet` raw codes; `boxes.parquet` and `masks.parquet` in native pixels.
The columns `patient` and `study` of `images.parquet` group images; where a release names none, each image is one of its own.
`thumbs.npy` (images, 32, 32) are what pictures of different datasets are compared by. The columns `crc` and `mask_crc` are CRC-32 of
an image's pixels and of its masks as stored, which reading them checks. Which images train, choose and test is no
part of a store but a list of its own (`split`).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from tokenize import TokenError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import paths, tablefile
from fxcore.data import codes, duplicates
from fxcore.errors import InputError
from fxcore.files import again, read_json, sha256
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.slices.data import Heads

ANNOTATED = {Task.CLASSIFICATION: "has_labels", Task.LOCALIZATION: "has_boxes", Task.SEGMENTATION: "has_masks"}
"""The column that says whether an image is annotated for a task."""


class Store:
    """Random access to a normalised dataset; opening reads tables, never pixels."""

    def __init__(self, folder: Path, listed: Path | None = None) -> None:
        """Open the store in `folder`; `listed` are the splits of its images, which it has none of without.

        Raises:
            InputError: a file is missing or is no part of a store, or the splits are those of another one.
        """
        self.folder, self.listed = folder, listed
        self.manifest = read_json(folder / "manifest.json")
        self.table = tablefile.read(folder / "images.parquet")
        self._crcs = {name: self.table[name].to_numpy() for name in ("crc", "mask_crc")}
        self.size = int(self.manifest["params"]["store_size"])
        """Side of the stored images in pixels."""
        self._images = self._array("images.npy", len(self.table), self.size, self.size)
        classes = len(self.dataset.classes(Task.SEGMENTATION))
        masked = int(self.table["mask_row"].max()) + 1
        self._masks = self._array("masks.npy", masked, classes, self.size, -(-self.size // 8))
        if listed is not None:
            self._take(listed)

    def _array(self, name: str, least: int, *shape: int) -> NDArray[np.uint8]:
        """At `least` so many rows of a shape, mapped into memory."""
        path = self.folder / name
        try:
            found: NDArray[np.uint8] = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError, SyntaxError, TokenError) as error:
            raise InputError(f"{path}: not readable ({error}); {again(path)}") from error
        if len(found) < least or found.shape[1:] != shape or found.dtype != np.uint8 or not found.flags.c_contiguous:
            raise InputError(f"{path}: is not of the other files of the store; {again(path)}")
        return found

    def _checked(self, name: str, row: int, values: NDArray[np.uint8], crc: str) -> NDArray[np.uint8]:
        if zlib.crc32(values.data) != self._crcs[crc][row]:
            path = self.folder / name
            raise InputError(
                f"{path}: {self.table['image'].iat[row]} does not have the checksum it was stored with; {again(path)}"
            )
        return values

    def _take(self, listed: Path) -> None:
        """Take splits, and the groups that decided them, from a list; groups as files name them become `named`."""
        splits = tablefile.read(listed)
        if splits["image"].tolist() != self.table["image"].tolist():
            raise InputError(f"{listed}: lists other images than {self.folder}; {again(listed)}")
        self.table["named"] = self.table["group"]
        self.table[["split", "group"]] = splits[["split", "group"]]

    @property
    def listing(self) -> str:
        """A checksum of which images there are, and of the split of each."""
        return hashlib.sha256(self.table[["image", "split"]].to_csv(index=False).encode()).hexdigest()

    def heads(self, tasks: tuple[Task, ...]) -> Heads:
        """Classes and label policies of some of the dataset's tasks, as the store was made with."""
        return Heads.of(self.dataset, tasks)

    def rows(self, task: Task, split: Split) -> NDArray[np.int64]:
        """Rows of a split whose images are annotated for a task."""
        return np.flatnonzero((self.table["split"] == split) & self.table[ANNOTATED[task]])

    @property
    def dataset(self) -> Dataset:
        """The dataset's block of the parameters, as the store was made with."""
        return Dataset.model_validate(self.manifest["params"]["dataset"])

    def with_class(self, task: Task, index: int) -> NDArray[np.int64]:
        """Rows of the images that have a class of a task, by its place among the classes."""
        if task is Task.CLASSIFICATION:
            return np.flatnonzero(self._labels.iloc[:, index].eq(1).fillna(False))
        table = tablefile.read(self.folder / f"{'boxes' if task is Task.LOCALIZATION else 'masks'}.parquet")
        return np.unique(table.loc[table["label"] == index, "row"].to_numpy(np.int64))

    @cached_property
    def _labels(self) -> pd.DataFrame:
        return tablefile.read(self.folder / "labels.parquet")

    @cached_property
    def _boxes(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """First box of every row (and one past the last), class index of every box, boxes as native xywh."""
        table = tablefile.read(self.folder / "boxes.parquet")
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

    def image(self, row: int) -> NDArray[np.uint8]:
        """An image, (S, S), to be changed as one likes.

        Raises:
            InputError: its pixels are not those that were stored.
        """
        return self._checked("images.npy", row, self._images[row].copy(), "crc")

    @cached_property
    def thumbs(self) -> NDArray[np.uint8]:
        """Small pictures of all images, (images, 32, 32).

        Raises:
            InputError: they are not those that were stored.
        """
        path = self.folder / "thumbs.npy"
        if sha256(path) != self.manifest["files"]["thumbs.npy"]:
            raise InputError(f"{path}: does not have the checksum it was written with; {again(path)}")
        return self._array("thumbs.npy", len(self.table), duplicates.SIDE, duplicates.SIDE)

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Masks of an annotated image, (classes, S, S).

        Raises:
            InputError: they are not those that were stored.
        """
        packed = self._masks[int(self.table["mask_row"].iat[row])].copy()
        self._checked("masks.npy", row, packed, "mask_crc")
        return np.unpackbits(packed, axis=-1, count=self.size).astype(np.bool_)


def groups(table: pd.DataFrame, split: Split) -> set[str]:
    """The groups of a split's images, of a store's table."""
    return set(table.loc[table["split"] == split, "group"])


OpenStores = Callable[[Iterable[str]], dict[str, Store]]
"""Opens stores by key, for jobs that learn from a file which datasets a run visits."""


def open_stores(results: Path, keys: Iterable[str], size: int) -> dict[str, Store]:
    """The stores of some datasets by key, with the splits of their images."""
    return {key: Store(paths.store(results, key, size), paths.split(results, key, "parquet")) for key in keys}


def unsplit(results: Path, keys: Iterable[str], size: int) -> dict[str, Store]:
    """The stores of some datasets by key, to split them."""
    return {key: Store(paths.store(results, key, size)) for key in keys}
