"""What a training step is given: images and the truth of one task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Target:
    """Ground truth of one image: `labels` (n,) as class indices, `boxes` (n, 4) as cxcywh in 0..1."""

    labels: Tensor
    boxes: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Images (B, 1, H, W) grey uint8, their rows in the store, and the truth of the task asked for; the others are None.

    `second` is another view of the images, like them, for the teacher where it sees one of its own.
    `labels` (B, classes) 0..1 with `known` (B, classes); `boxes` one `Target` an image; `masks` (B, classes, H, W) 0 or 1.
    """

    rows: Sequence[int]
    images: Tensor
    second: Tensor | None = None
    labels: Tensor | None = None
    known: Tensor | None = None
    boxes: tuple[Target, ...] | None = None
    masks: Tensor | None = None

    def split(self, sizes: Iterable[int]) -> Iterator[Batch]:
        """Parts of so many images each, in order."""
        whole: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        for start, end in pairwise(accumulate(sizes, initial=0)):
            part = slice(start, end)
            cut: dict[str, Any] = {name: None if value is None else value[part] for name, value in whole.items()}
            yield Batch(**cut)

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`; copies run beside computation where the memory is pinned."""

        def move(value: Tensor | None) -> Tensor | None:
            """A tensor there, if it is one."""
            return None if value is None else value.to(device, non_blocking=True)

        boxes = self.boxes and tuple(
            Target(one.labels.to(device, non_blocking=True), one.boxes.to(device, non_blocking=True))
            for one in self.boxes
        )
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            second=move(self.second),
            labels=move(self.labels),
            known=move(self.known),
            boxes=boxes,
            masks=move(self.masks),
        )
