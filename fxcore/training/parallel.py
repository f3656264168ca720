"""Processes that train one run together, one a GPU: what each computes of a batch, and what they tell each other.

`batch_size` and `micro_batch` count the images of all processes together and each takes its part of them, so an update is the
same, but for rounding, however many there are.
"""

from __future__ import annotations

import ctypes
import gc
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DistributedDataParallel

from fxcore.data.targets import Batch, Target
from fxcore.machine import place
from fxcore.seeding import derive, seed_torch

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Part:
    """Images `start` to `end` of a batch, which a process computes at a time.

    One that is left without an image stands in for another, since all must run the same steps; its loss counts for nothing.
    """

    start: int
    end: int
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What a process knows of a batch: its `own` images, part by part, and the rows, labels and boxes of the `whole` batch."""

    own: Batch
    parts: tuple[Part, ...]
    whole: Batch

    def __iter__(self) -> Iterator[tuple[Part, Batch]]:
        """Each part with its images."""
        return zip(self.parts, self.own.split([part.end - part.start for part in self.parts]), strict=True)

    def to(self, device: torch.device) -> Share:
        """The share on `device`."""
        own = self.own.to(device)
        return Share(own, self.parts, own if self.whole is self.own else self.whole.to(device))


@dataclass(frozen=True, slots=True)
class Group:
    """`size` processes, and which of them this is; the first writes all files."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes, for all."""
        return self.rank == 0

    def parts(self, images: int, micro: int | None) -> tuple[Part, ...]:
        """This process's parts of a batch: of every `micro` images, neighbours in equal number."""
        found = []
        for start, end in pairwise([*range(0, images, micro or images), images]):
            low, high = (start - -(end - start) * rank // self.size for rank in (self.rank, self.rank + 1))
            found.append(Part(low, high) if low < high else Part(start, start + 1, stand_in=True))
        return tuple(found)

    def share(self, own: Batch, rows: Sequence[int], micro: int | None) -> Share:
        """This process's part of the batch of `rows`, whose labels and boxes the processes tell each other."""
        parts = self.parts(len(rows), micro)
        if self.size == 1:
            return Share(own, parts, own)
        places = [place for part in parts for place in range(part.start, part.end)]
        mine = {place: (_at(own.known, at), _at(own.boxes, at)) for at, place in enumerate(places)}
        told: list[Any] = [None] * self.size
        distributed.all_gather_object(told, mine)
        truth = {place: one for of in told for place, one in of.items()}
        known, boxes = zip(*(truth[place] for place in range(len(rows))), strict=True)
        whole = Batch(
            rows,
            own.images[:0],
            known=None if own.known is None else torch.stack(known),
            boxes=None if own.boxes is None else boxes,
        )
        return Share(own, parts, whole)

    def wrap(self, network: nn.Module, *, may_miss: bool) -> nn.Module:
        """The network with gradients averaged over the processes, of what is trained now; itself where there is one process.

        `may_miss` says that an update may leave a parameter without a gradient.
        """
        if self.size == 1:
            return network
        gc.collect()  # what wrapped the pass before holds buffers as large as its gradients, and refers to itself
        return DistributedDataParallel(network, find_unused_parameters=may_miss)

    def held(self, network: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Gradients stay with their process until the `last` part of a batch."""
        return network.no_sync() if isinstance(network, DistributedDataParallel) and not last else nullcontext()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def max(self, value: Tensor) -> Tensor:
        """The largest over the processes."""
        if self.size > 1:
            distributed.all_reduce(value, distributed.ReduceOp.MAX)
        return value

    def part_ways(self) -> None:
        """From here to the next seed each process draws its own random numbers; the first draws those it would draw alone."""
        if not self.first:
            seed_torch(derive(torch.initial_seed(), "process", self.rank))

    @torch.no_grad()
    def align(self, network: nn.Module) -> None:
        """Give all processes the first one's running statistics of the BatchNorms in training."""
        norms = [one for one in network.modules() if one.training and isinstance(one, _NormBase)]
        moving = [one for norm in norms for one in (norm.running_mean, norm.running_var) if one is not None]
        if self.size == 1 or not moving:
            return
        flat = torch.cat(moving)
        distributed.broadcast(flat, 0)
        for mine, its in zip(moving, flat.split([len(one) for one in moving]), strict=True):
            mine.copy_(its)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            distributed.barrier()


ALONE = Group()


def _at(values: Tensor | tuple[Target, ...] | None, place: int) -> Tensor | Target | None:
    return None if values is None else values[place]


@contextmanager
def together(device: torch.device) -> Iterator[Group]:
    """The processes that a launcher (torchrun) started with this one, joined for the length of the block; alone without one.

    After an error they are not parted: that would make the others fail before this one has said what is wrong.
    """
    rank, size = place()
    if size == 1:
        yield ALONE
        return
    # A killed launcher's GPUs are free for other jobs, so its processes end with it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    yield Group(rank, size)
    distributed.destroy_process_group()
