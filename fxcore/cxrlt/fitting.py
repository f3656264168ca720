"""Training heads on a frozen backbone: several learning rates at once, on the same features (CXR-LT spec, training protocol)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fxcore.cxrlt.decoder import LinearHead, MlDecoder, masked_bce
from fxcore.cxrlt.features import PLAIN, Frozen, Key, LabelledImages, loaded
from fxcore.cxrlt.studies import partners
from fxcore.params.cxrlt import Fit, Head
from fxcore.progress import Progress
from fxcore.seeding import derive, seed_torch
from fxcore.tensorfile import part
from fxcore.training import runtime
from fxcore.training.moments import optimizer_tensors, restore_optimizer
from fxcore.training.save import Save
from fxcore.training.schedule import cosine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """Labelled images: number of the store, row and study of each, targets 0..1 (images, classes) and which are known."""

    store: NDArray[np.int64]
    row: NDArray[np.int64]
    study: NDArray[np.str_]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)

    def __add__(self, other: Listed) -> Listed:
        """Both, one after the other."""
        return Listed(*(np.concatenate([getattr(one, name) for one in (self, other)]) for name in self.__slots__))


class Featured:
    """Features of images under a frozen backbone, as a kind of head takes them."""

    def __init__(
        self, frozen: Frozen, images: LabelledImages, head: Head, how: Fit, device: torch.device, workers: int
    ) -> None:
        self.frozen, self.images, self.head, self.how = frozen, images, head, how
        self.device, self.workers = device, workers

    @property
    def width(self) -> int:
        """Channels."""
        return self.frozen.width * self.head.views

    @property
    def cached(self) -> bool:
        """Whether features of training images are computed once."""
        return self.how.cache and self.head.kind == "linear"

    def of(self, batches: Sequence[list[Key]]) -> Iterator[Tensor]:
        """For each batch [CLS] (B, width), or patches (B, N, width)."""
        for images in loaded(self.images, batches, self.workers, self.device):
            cls, patches = self.frozen(images, self.how.precision)
            yield cls if self.head.kind == "linear" else patches

    def plain(self, listed: Listed) -> Iterator[Tensor]:
        """Features of images as they are, batch by batch in their order; beside each, those of the next image of its study."""
        size = self.how.batch_size
        keys = [(int(store), int(row), PLAIN) for store, row in zip(listed.store, listed.row, strict=True)]
        batches = [keys[start : start + size] for start in range(0, len(keys), size)]
        if self.head.views == 1:
            yield from self.of(batches)
            return
        whole = torch.cat(list(self.of(batches)))
        joined = torch.cat([whole, whole[partners(listed.study, None)]], dim=1)
        yield from torch.split(joined, size)


class Fitting:
    """Heads that differ in their learning rate alone, trained side by side."""

    def __init__(self, featured: Featured, listed: Listed, rates: Sequence[float], epochs: int, seed: int) -> None:
        """`epochs` is where the rate reaches 0; `seed` draws heads, order and crops."""
        self.featured, self.listed, self.rates, self.epochs, self.seed = featured, listed, rates, epochs, seed
        self.how = featured.how
        self.heads = nn.ModuleList(self._drawn() for _ in rates).to(featured.device)
        self.optimizer = torch.optim.AdamW(
            [{"params": list(head.parameters()), "base": rate} for head, rate in zip(self.heads, rates, strict=True)],
            weight_decay=self.how.weight_decay,
            fused=True,
        )
        self.updates = 0

    def _drawn(self) -> nn.Module:
        """A head; all are drawn alike, so that only the rate differs."""
        head, how, classes = self.featured.head, self.how, self.listed.targets.shape[1]
        with torch.random.fork_rng(devices=[]):
            seed_torch(derive(self.seed, "head"))
            if head.kind == "linear":
                return LinearHead(self.featured.width, classes)
            return MlDecoder(self.featured.width, classes, how.width, how.heads, how.feedforward, dropout=how.dropout)

    @property
    def per_epoch(self) -> int:
        """Updates."""
        return math.ceil(len(self.listed) / self.how.batch_size)

    def run(self, epochs: int, save: Save, facts: Mapping[str, Any]) -> None:
        """Train what is left of so many epochs; `facts` are saved along."""
        total = epochs * self.per_epoch
        name = f"{len(self.rates)} learning rates" if len(self.rates) > 1 else "head"
        progress = Progress(name, total - self.updates, "updates")
        targets, known = (
            torch.from_numpy(of).to(self.featured.device) for of in (self.listed.targets, self.listed.known)
        )
        self.heads.train()
        while self.updates < total:
            epoch, within = divmod(self.updates, self.per_epoch)
            for places, features in self._epoch(epoch, within):
                loss = self._update(features, targets[places], known[places])
                progress.advance(detail=f"loss {loss:.4g} an image")
                if save.due:
                    self.save(save, facts)

    def _update(self, features: Tensor, targets: Tensor, known: Tensor) -> float:
        seed_torch(derive(self.seed, "update", self.updates))
        done = self.updates / (self.epochs * self.per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = cosine(group["base"], 0.0, done)
        self.optimizer.zero_grad(set_to_none=True)
        with runtime.autocast(self.how.precision, self.featured.device):
            logits = [head(features) for head in self.heads]
        loss: Tensor = torch.stack([masked_bce(one, targets, known) for one in logits]).sum()
        loss.backward()
        self.optimizer.step()
        self.updates += 1
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"update {self.updates}: the loss is {value}")
        return value / len(features) / len(self.rates)

    def _epoch(self, epoch: int, within: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Places and features of the batches of an epoch that are left."""
        random = np.random.Generator(np.random.PCG64(derive(self.seed, "order", epoch)))
        order, size = random.permutation(len(self.listed)), self.how.batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)][within:]
        beside = partners(self.listed.study, derive(self.seed, "partners", epoch))
        views = [np.arange(len(order)), beside][: self.featured.head.views]
        if self.featured.cached:
            for places in batches:
                yield torch.from_numpy(places), torch.cat([self._cache[of[places]] for of in views], dim=1)
            return
        keys = [[self._key(int(of[place]), epoch) for of in views for place in places] for places in batches]
        for places, features in zip(batches, self.featured.of(keys), strict=True):
            yield torch.from_numpy(places), torch.cat(features.chunk(len(views)), dim=-1)

    def _key(self, place: int, epoch: int) -> Key:
        return int(self.listed.store[place]), int(self.listed.row[place]), derive(self.seed, "crop", epoch, place)

    @cached_property
    def _cache(self) -> Tensor:
        """[CLS] of all images as they are."""
        size = self.how.batch_size
        keys = [(int(store), int(row), PLAIN) for store, row in zip(self.listed.store, self.listed.row, strict=True)]
        return torch.cat(list(self.featured.of([keys[at : at + size] for at in range(0, len(keys), size)])))

    @torch.no_grad()
    def scores(self, listed: Listed) -> NDArray[np.float64]:
        """Probabilities of each head, (heads, images, classes)."""
        self.heads.eval()
        found = [
            torch.stack([head(features).sigmoid() for head in self.heads]).cpu()
            for features in self.featured.plain(listed)
        ]
        return torch.cat(found, dim=1).double().numpy()

    def save(self, to: Save, facts: Mapping[str, Any]) -> None:
        """All that the updates to come depend on."""
        tensors = {f"heads.{name}": of for name, of in self.heads.state_dict().items()}
        moments = optimizer_tensors(self.optimizer, self.heads)
        to.write(
            tensors | {f"optimizer.{name}": of for name, of in moments.items()}, {**facts, "updates": self.updates}
        )

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Continue from what `save` saved."""
        self.heads.load_state_dict(part(tensors, "heads"))
        restore_optimizer(self.optimizer, self.heads, part(tensors, "optimizer"))
        self.updates = facts["updates"]
        log.info("continuing after update %d, from an autosave", self.updates)
