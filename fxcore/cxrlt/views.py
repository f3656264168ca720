"""Crops of pictures without labels: what student and teacher compare (DINOv2's multi-crop)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from fxcore.data.store import Store
from fxcore.params.cxrlt import Crops
from fxcore.seeding import derive, seed_torch

KERNEL = 9
"""Pixels of the blur."""
BRIGHT = 128
"""Greys from which solarising inverts."""

Key = tuple[int, int]
"""A place in the corpus and a seed."""


class Views(NamedTuple):
    """Crops of some images, grey uint8: `globals` (B, 2, G, G), `locals` (B, L, l, l)."""

    globals: Tensor
    locals: Tensor


class CropSamples(Dataset[Views]):
    """Views of the pictures of a corpus, indexed by (place, seed)."""

    def __init__(
        self, corpus: pd.DataFrame, stores: Mapping[str, Store], how: Crops, resolution: int, local: int
    ) -> None:
        """`corpus` has columns source and row; sides of crops in pixels."""
        self.sources = corpus["source"].astype("category")
        self.stores = [stores[key] for key in self.sources.cat.categories]
        self.codes, self.rows = self.sources.cat.codes.to_numpy(), corpus["row"].to_numpy()
        first, second, small = how.blur
        self.first = _transform(resolution, how.global_area, first, 0.0, how)
        self.second = _transform(resolution, how.global_area, second, how.solarize, how)
        self.small = _transform(local, how.local_area, small, 0.0, how)
        self.number = how.locals

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Views:
        place, seed = key
        picture = torch.from_numpy(self.stores[self.codes[place]].image(self.rows[place]))[None]
        with torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            large = [self.first(picture), self.second(picture)]
            small = [self.small(picture) for _ in range(self.number)]
        return Views(torch.cat(large), torch.cat(small))


def _transform(side: int, area: tuple[float, float], blur: float, solarize: float, how: Crops) -> v2.Compose:
    """Crop, mirror, brightness and contrast, blur, solarise; hue, saturation and loss of colour do nothing to grey."""
    jitter = v2.ColorJitter(brightness=how.brightness, contrast=how.contrast)
    steps = [
        v2.RandomResizedCrop(side, scale=area, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
        v2.RandomHorizontalFlip(how.flip),
        v2.RandomApply([jitter], how.jitter),
        v2.RandomApply([v2.GaussianBlur(KERNEL, how.sigma)], blur),
        v2.RandomSolarize(BRIGHT, solarize),
    ]
    return v2.Compose(
        [step for step, used in zip(steps, (1, how.flip, how.jitter, blur, solarize), strict=True) if used]
    )


class Batches:
    """Keys of each update from `start` to `end`: the corpus again and again, each time in another order.

    Which images an update sees, and how they are cropped, depends on the seed and the update's number alone.
    """

    def __init__(self, images: int, batch_size: int, seed: int, start: int, end: int, part: slice) -> None:
        """`part` of each batch is this process's."""
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.start, self.end, self.part = start, end, part

    def __len__(self) -> int:
        return self.end - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        orders: dict[int, np.ndarray] = {}
        for update in range(self.start, self.end):
            places = range(update * self.batch_size, (update + 1) * self.batch_size)[self.part]
            keys = []
            for place in places:
                turn, at = divmod(place, self.images)
                if turn not in orders:  # a batch reaches over two turns at most, or the corpus is smaller than it
                    orders = {key: of for key, of in orders.items() if key >= turn - 1}
                    orders[turn] = np.random.Generator(np.random.PCG64(derive(self.seed, "order", turn))).permutation(
                        self.images
                    )
                keys.append((int(orders[turn][at]), derive(self.seed, "crops", place)))
            yield keys


def collate(samples: list[Views]) -> Views:
    """One batch."""
    large, small = zip(*samples, strict=True)
    return Views(torch.stack(large), torch.stack(small))
