"""The training loop: student and teacher through one pass after another."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from fxcore import provenance
from fxcore.data import transforms
from fxcore.data.loaders import Samples, loader, shuffled
from fxcore.data.store import Store
from fxcore.data.targets import Batch
from fxcore.models.foundation import FoundationX, Trunk
from fxcore.models.localization.denoising import Noise
from fxcore.params.training import Augmentation, Pretrain
from fxcore.passes import Mode, Pass, Split, Task
from fxcore.seeding import derive, seed_torch
from fxcore.slices.data import Heads
from fxcore.slices.train import Origin, TrainSlice
from fxcore.training import locking, runtime, schedule
from fxcore.training.consistency import consistency
from fxcore.training.history import Row
from fxcore.training.moments import optimizer_tensors, restore_optimizer
from fxcore.training.objectives import Whole, task_loss
from fxcore.training.parallel import ALONE, Group, Share
from fxcore.training.starting import start
from fxcore.training.state import TrainState
from fxcore.training.teacher import Teacher

log = logging.getLogger(__name__)


def heads_of(slice_: TrainSlice, stores: Mapping[str, Store]) -> dict[str, Heads]:
    """Classes and label policies of each dataset a run visits."""
    return {name: stores[name].heads(tasks) for name, tasks in slice_.visits}


def build(slice_: TrainSlice, heads: Mapping[str, Heads]) -> FoundationX:
    """The network of a run, freshly initialised from the seed."""
    sizes = {name: {task: len(heads[name].classes(task)) for task in tasks} for name, tasks in slice_.visits}
    return FoundationX(slice_.model, sizes, slice_.seed)


def optimizer_of(network: FoundationX, how: Pretrain) -> torch.optim.Optimizer:
    """The run's optimiser, with a group of parameters and a base rate for each kind of module."""
    groups = locking.parameter_groups(network, how.rates)
    if how.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, weight_decay=how.weight_decay, fused=True)
    return torch.optim.AdamW(groups, weight_decay=how.weight_decay, fused=True)


class Trainer:
    """Student, teacher and optimiser of one run; trains passes and turns to and from a `TrainState`."""

    def __init__(
        self,
        slice_: TrainSlice,
        stores: Mapping[str, Store],
        horizon: int,
        device: torch.device,
        workers: int = 0,
        group: Group = ALONE,
    ) -> None:
        """`horizon` is the number of updates after which the learning rate reaches zero; `group` trains together."""
        self.slice, self.how = slice_, slice_.pretrain
        self.stores, self.horizon, self.device, self.workers, self.group = stores, horizon, device, workers, group
        self.heads = heads_of(slice_, stores)
        self.student = build(slice_, self.heads).to(device)
        if self.how.channels_last:
            self.student.to(memory_format=torch.channels_last)
        self.teacher = None if slice_.momentum is None else Teacher(self.student)
        if self.how.compile:
            runtime.require_compiler()
            for network in (self.student, *(() if self.teacher is None else (self.teacher.model,))):
                network.compile_trunks()
        self.network: nn.Module = self.student
        """The student, or what makes it the same in all processes."""
        self.optimizer = optimizer_of(self.student, self.how)
        self.warmup = round(self.how.warmup * horizon)
        self.horizon_passes = len(slice_.passes(slice_.horizon_cycles))
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.how.precision == "fp16")
        self.passes = self.updates = self.within = 0
        self.seen = {name: {str(task): 0 for task in tasks} for name, tasks in slice_.visits}

    def begin(self, origin: Origin | None) -> str | None:
        """Start from some weights, if the run's parameters name any; the teacher with the student. Their checksum.

        Raises:
            InputError: they are missing, or do not fit.
        """
        if self.slice.start is None or origin is None:
            return None
        digest = start(self.student, self.slice.start, origin)
        if self.teacher is not None:
            self.teacher.model.load_state_dict(self.student.state_dict())
        return digest

    def restore(self, state: TrainState, within: int = 0) -> None:
        """Continue from a state of this run, after `within` updates of the pass that is under way.

        Raises:
            InputError: it was trained with other parameters, or on other heads.
        """
        state.check(self.slice, self.heads)
        self.student.load_state_dict(state.part("student"))
        if self.teacher is not None:
            self.teacher.model.load_state_dict(state.part("teacher"))
        restore_optimizer(self.optimizer, self.student, state.part("optimizer"))
        if state.scaler:
            self.scaler.load_state_dict(dict(state.scaler))
        self.passes, self.updates, self.within = state.passes, state.updates, within
        self.seen = {name: dict(tasks) for name, tasks in state.seen.items()}

    def state(self, stage: str) -> TrainState:
        """All that the stage after the one called `stage` depends on."""
        tensors: dict[str, Tensor] = {f"student.{name}": value for name, value in self.student.state_dict().items()}
        if self.teacher is not None:
            tensors |= {f"teacher.{name}": value for name, value in self.teacher.model.state_dict().items()}
        tensors |= {
            f"optimizer.{name}": value for name, value in optimizer_tensors(self.optimizer, self.student).items()
        }
        made = provenance.describe(self.slice) | {
            "stage": stage,
            "heads": {name: heads.model_dump(mode="json") for name, heads in self.heads.items()},
        }
        return TrainState(tensors, self.passes, self.updates, self.seen, made, self.scaler.state_dict())

    def batches(self, one: Pass) -> Iterator[Share]:
        """The shuffled, augmented batches of a pass that are left to do; of each this process loads the images that it computes."""
        heads, store = self.heads[one.dataset], self.stores[one.dataset]
        rows = store.rows(one.task, Split.TRAIN)
        size, micro = self.how.batch_size, self.how.micro_batch
        transform = transforms.training(
            one.task, self.slice.model.image_size, self.how.augment.get(one.task, Augmentation()), heads.mirror
        )
        order = shuffled(
            rows, size, one.updates(len(rows), size), derive(self.slice.seed, self.slice.run, "order", one.index)
        )
        left = order[self.within :]
        mine = [
            [key for part in self.group.parts(len(keys), micro) for key in keys[part.start : part.end]] for keys in left
        ]
        samples = Samples(store, one.task, heads, transform, self.how.views if self._compares(one) else 1)
        loaded = loader(samples, mine, self.workers, pin=self.device.type == "cuda")
        for keys, batch in zip(left, loaded, strict=True):
            yield self.group.share(batch, [row for row, _ in keys], micro)

    def _weight(self, one: Pass) -> float:
        """Of the consistency terms beside the task loss."""
        if self.teacher is None:
            return 0.0
        return schedule.ramped(self.how.consistency, one.index, self.horizon_passes)

    def _compares(self, one: Pass) -> bool:
        """Whether a pass has consistency terms: in lock mode no trained parameter is on a path to them."""
        return one.mode is Mode.RELEASE and self._weight(one) > 0

    def run(self, one: Pass) -> Iterator[Row]:
        """Train one pass, or what is left of it; a row of numbers for each update; in rows, passes, cycles and updates count from 1.

        Raises:
            FloatingPointError: a loss that is not finite.
        """
        if one.index != self.passes:
            raise ValueError(f"pass {one.index} cannot follow {self.passes} passes")
        parameters = self.prepare(one)
        for update, share in enumerate(self.batches(one), start=self.within):
            seed_torch(derive(self.slice.seed, self.slice.run, "update", one.index, update))
            begun = time.perf_counter()
            numbers = self._update(one, share.to(self.device), parameters)
            seconds = time.perf_counter() - begun
            images = len(share.whole.rows)
            self.updates += 1
            self.within += 1
            self.seen[one.dataset][one.task] += images
            yield {
                "pass": one.index + 1,
                "cycle": one.cycle + 1,
                "dataset": one.dataset,
                "task": str(one.task),
                "mode": str(one.mode),
                "update": self.updates,
                "images": images,
                **numbers,
                "images_per_second": round(images / seconds, 2),
                "memory": round(runtime.peak(self.device), 3),
            }
        self.network = self.student
        if self.teacher is not None:
            assert self.slice.momentum is not None
            momentum = schedule.ramped(self.slice.momentum, self.passes, self.horizon_passes)
            self.teacher.follow(self.student, momentum)
        self.passes += 1
        self.within = 0

    def prepare(self, one: Pass) -> list[nn.Parameter]:
        """Freeze what the pass does not train, and return the parameters that it does."""
        parameters = locking.apply(self.student, one)
        # Without a box in the batch there are no denoising queries, and what embeds them has no gradient.
        self.network = self.group.wrap(self.student, may_miss=one.task is Task.LOCALIZATION)
        return parameters

    def _update(self, one: Pass, share: Share, parameters: list[nn.Parameter]) -> dict[str, float]:
        rate = schedule.factor(self.updates, self.warmup, self.horizon)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * rate
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._backward(one, share)
        loss = torch.stack(list(terms.values())).sum()
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.how.clip.get(one.task, torch.inf), foreach=True)
        *losses, length = torch.stack([loss, *terms.values(), norm]).tolist()
        # With loss scaling an infinite norm is how a scale is found to be too large: the scaler leaves that step out.
        if not all(map(math.isfinite, losses if self.scaler.is_enabled() else (*losses, length))):
            raise FloatingPointError(
                f"{one.name}, update {self.updates + 1}: the loss is {losses[0]}; images at rows {share.whole.rows}"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return dict(zip(("loss", *terms, "gradient_norm"), (*losses, length), strict=True)) | {"rate": rate}

    def _backward(self, one: Pass, share: Share) -> dict[str, Tensor]:
        """Gradients of a batch's loss, a micro-batch at a time; the detached terms of the whole batch.

        Noise is drawn and terms are divided for the whole batch, so that the parts, of all processes, add up to it.
        """
        whole, boxes = Whole.of(share.whole), share.whole.boxes
        noise = None if boxes is None else self.student.noise(boxes, one.dataset)
        self.group.part_ways()
        sums: dict[str, Tensor] = {}
        for part, batch in share:
            with self.group.held(self.network, last=part is share.parts[-1]):
                terms = self._loss(one, batch, whole, None if noise is None else noise.part(part.start, part.end))
                if part.stand_in:
                    terms = {name: 0 * value for name, value in terms.items()}
                # Gradients are averaged over the processes, and are to be summed.
                scaled: Tensor = self.scaler.scale(self.group.size * torch.stack(list(terms.values())).sum())
                scaled.backward()
            sums = {name: value.detach() + sums.get(name, 0) for name, value in terms.items()}
        self.group.align(self.student)
        return dict(zip(sums, self.group.sum(torch.stack(list(sums.values()))), strict=True))

    def _loss(self, one: Pass, batch: Batch, whole: Whole, noise: Noise | None) -> dict[str, Tensor]:
        """Weighted terms of the loss of a part of a batch; where there is no consistency term, the task loss keeps its weight."""
        images = transforms.normalise(batch.images, self.slice.model)
        with runtime.autocast(self.how.precision, self.device):
            trunk, found = self.network(images, one.dataset, one.task, noise=noise, locked=one.mode is Mode.LOCK)
        weight = self._weight(one)
        terms = {name: (1 - weight) * value for name, value in task_loss(found, batch, self.how, whole).items()}
        if self._compares(one):
            terms["consistency"] = weight * whole.share(batch) * self._consistency(one, batch, images, trunk)
        return terms

    def _consistency(self, one: Pass, batch: Batch, images: Tensor, student: Trunk) -> Tensor:
        """How far the student's trunk is from the teacher's, which may see a view of its own."""
        assert self.teacher is not None
        seen = images if batch.second is None else transforms.normalise(batch.second, self.slice.model)
        with torch.no_grad(), runtime.autocast(self.how.precision, self.device):
            teacher = self.teacher.model.trunk(seen, one.task)
        with torch.set_grad_enabled(one.task not in self.how.detached):
            return consistency(student, teacher)


def counts(stores: Mapping[str, Store], slice_: TrainSlice) -> dict[tuple[str, Task], int]:
    """Annotated training images of each dataset and task of a run."""
    return {(name, task): len(stores[name].rows(task, Split.TRAIN)) for name, tasks in slice_.visits for task in tasks}
