"""Batches from a store. A sample depends on its image and a seed, never on which process loads it or what came before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from fxcore.data.store import Store
from fxcore.data.targets import Batch, Target
from fxcore.errors import InputError
from fxcore.passes import Task
from fxcore.seeding import derive, seed_torch
from fxcore.slices.data import Heads


class Samples(Dataset[dict[str, Any]]):
    """Images of a store with the truth of one task, transformed; indexed by (row, seed).

    With two `views` a sample has a second one of its image; only for classification, whose truth is the same for both.
    """

    def __init__(self, store: Store, task: Task, heads: Heads, transform: v2.Compose, views: int = 1) -> None:
        self.store, self.task, self.transform = store, task, transform
        self.views = views if task is Task.CLASSIFICATION else 1
        if task is Task.CLASSIFICATION:
            self.labels, self.known = store.targets(heads)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        row, seed = key
        sample: dict[str, Any] = {"image": tv_tensors.Image(torch.from_numpy(self.store.image(row))[None])}
        if self.task is Task.LOCALIZATION:
            sample |= self._boxes(row)
        elif self.task is Task.SEGMENTATION:
            sample["masks"] = tv_tensors.Mask(torch.from_numpy(self.store.mask(row)))
        original = sample
        sample = self._transformed(original, seed)
        if self.views == 2:
            sample["second"] = self._transformed(original, derive(seed, "second"))["image"]
        if self.task is Task.CLASSIFICATION:
            sample["labels"], sample["known"] = torch.from_numpy(self.labels[row]), torch.from_numpy(self.known[row])
        return sample | {"row": row}

    def _transformed(self, sample: dict[str, Any], seed: int) -> dict[str, Any]:
        with torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            made: dict[str, Any] = self.transform(sample)
        return made

    def _boxes(self, row: int) -> dict[str, Tensor]:
        labels, xywh = self.store.boxes(row)
        scale = self.store.size / np.array(self.store.native_size(row) * 2, dtype=np.float64)
        canvas = (self.store.size, self.store.size)
        stored = torch.from_numpy(xywh * scale).float()
        corners = torch.cat([stored[:, :2], stored[:, :2] + stored[:, 2:]], dim=1)
        return {
            "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=canvas),
            "labels": torch.from_numpy(labels.copy()),
        }


def collate(samples: Sequence[dict[str, Any]]) -> Batch:
    """One batch of samples of one task."""
    batch = Batch([one["row"] for one in samples], _stacked(samples, "image"))
    if "second" in samples[0]:
        batch = replace(batch, second=_stacked(samples, "second"))
    if "known" in samples[0]:
        return replace(
            batch,
            labels=torch.stack([one["labels"] for one in samples]),
            known=torch.stack([one["known"] for one in samples]),
        )
    if "boxes" in samples[0]:
        return replace(batch, boxes=tuple(_target(one["boxes"], one["labels"]) for one in samples))
    if "masks" in samples[0]:
        return replace(batch, masks=_stacked(samples, "masks").float())
    return batch


def _stacked(samples: Sequence[dict[str, Any]], name: str) -> Tensor:
    return torch.stack([one[name].as_subclass(Tensor) for one in samples])


def _target(boxes: tv_tensors.BoundingBoxes, labels: Tensor) -> Target:
    height, width = boxes.canvas_size
    low, high = boxes.as_subclass(Tensor).split(2, dim=1)
    size = torch.tensor([width, height], dtype=torch.float32)
    return Target(labels, torch.cat([(low + high) / 2 / size, (high - low) / size], dim=1))


def shuffled(rows: np.ndarray, batch_size: int, updates: int, seed: int) -> list[list[tuple[int, int]]]:
    """`updates` batches of (row, seed) in an order that `seed` alone decides; fewer rows than a batch make one smaller batch."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(rows)
    keys = [(int(row), derive(seed, place)) for place, row in enumerate(order)]
    return [keys[start : start + batch_size] for start in range(0, updates * batch_size, batch_size)]


def in_order(rows: np.ndarray, batch_size: int) -> list[list[tuple[int, int]]]:
    """All rows once, in their order, in batches of at most `batch_size`."""
    keys = [(int(row), 0) for row in rows]
    return [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]


def loader(samples: Samples, batches: list[list[tuple[int, int]]], workers: int, pin: bool = False) -> DataLoader[Any]:
    """The given batches, in order; `workers` processes load ahead."""
    return DataLoader(
        samples,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=one_thread if workers else None,
        generator=torch.Generator(),  # the loader draws a seed of its own; not from the global generator
    )


@contextmanager
def watched() -> Iterator[None]:
    """Say in one line what went wrong in a process which loads data, or that one died; PyTorch notices wherever the job is then.

    Raises:
        InputError: one found something wrong with the data, or died.
    """
    try:
        yield
    except InputError as error:
        *_, last = str(error).strip().splitlines()  # PyTorch adds the traceback
        raise InputError(last.removeprefix(f"{InputError.__module__}.{InputError.__name__}: ")) from error
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        raise InputError(
            f"a process that loads data died ({str(error).partition('.')[0]}), probably for want of memory; give the machine more,"
            " or set fewer workers in local.yaml, and start again; training continues from its last autosave"
        ) from error


def one_thread(_: int) -> None:
    """Of a process that loads data."""
    torch.set_num_threads(1)
