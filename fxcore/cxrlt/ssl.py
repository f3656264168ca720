"""One stage of a backbone's pretraining without labels: student and teacher of the stage before in, this stage's out.

DINOv2 (Oquab et al. 2023) as CXR-LT's authors set it (CXR-LT spec, self-supervised pretraining).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fxcore import provenance
from fxcore.alone import alone
from fxcore.cxrlt import starting
from fxcore.cxrlt.masking import masks
from fxcore.cxrlt.objective import GLOBALS, Learner, Seen, losses
from fxcore.cxrlt.starting import POSITIONS
from fxcore.cxrlt.views import Batches, CropSamples, Views, collate
from fxcore.cxrlt.vit import parameters_apart, resampled
from fxcore.data.loaders import one_thread, watched
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.machine import Machine, place
from fxcore.progress import Progress
from fxcore.seeding import derive, seed_torch
from fxcore.slices.cxrlt import SslSlice
from fxcore.tensorfile import part, read, write
from fxcore.training import parallel, runtime
from fxcore.training.history import Row, write_history
from fxcore.training.moments import optimizer_tensors, restore_optimizer
from fxcore.training.parallel import ALONE, Group
from fxcore.training.save import Save
from fxcore.training.schedule import cosine
from fxcore.training.teacher import Teacher

log = logging.getLogger(__name__)

REFERENCE = 1024
"""Images an update at which the learning rate is the one named."""
COLUMNS = (
    *("update", "images", "rate", "weight_decay", "momentum", "temperature", "loss", "dino", "ibot", "koleo"),
    *("gradient_norm", "images_per_second", "memory"),
)
"""Of the history CSV."""


@dataclass(frozen=True, slots=True)
class Now:
    """What the schedules say at an update."""

    rate: float
    weight_decay: float
    momentum: float
    temperature: float
    frozen: bool
    """Whether prototypes stand still."""

    @classmethod
    def at(cls, update: int, slice_: SslSlice) -> Now:
        """At an update of the stage, counted from 0."""
        how, stage = slice_.pretrain, slice_.stage
        done, rising = update / stage.updates, how.warmup * stage.updates
        peak = how.rate * math.sqrt(stage.batch_size / REFERENCE)
        falling = cosine(peak, how.final_rate, (update - rising) / (stage.updates - rising))
        warm = how.teacher_temperature
        part = min(1.0, done / how.temperature_rise) if how.temperature_rise else 1.0
        return cls(
            peak * update / rising if update < rising else falling,
            cosine(how.weight_decay.start, how.weight_decay.end, done),
            cosine(how.momentum.start, how.momentum.end, done),
            warm.start + (warm.end - warm.start) * part,
            update < how.freeze_prototypes * stage.updates,
        )


def optimizer_of(network: Learner, patch_rate: float) -> torch.optim.Optimizer:
    """AdamW with a group for each way that rate and decay move: `patch` embedding, `prototypes`, with and without decay."""
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for name, parameter, decays in parameters_apart(network):
        factor = patch_rate if ".patch_embed." in name else 1.0
        groups.setdefault((factor, decays, ".prototypes." in name), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "factor": factor, "decays": decays, "prototypes": prototypes}
            for (factor, decays, prototypes), parameters in groups.items()
        ],
        fused=True,
    )


class Pretrainer:
    """Student, teacher and optimiser of one stage."""

    def __init__(
        self,
        slice_: SslSlice,
        corpus: pd.DataFrame,
        stores: Mapping[str, Store],
        device: torch.device,
        workers: int = 0,
        group: Group = ALONE,
    ) -> None:
        """`corpus` has columns source and row, of the stores."""
        self.slice, self.how, self.stage = slice_, slice_.pretrain, slice_.stage
        self.device, self.workers, self.group = device, workers, group
        self.seed = derive(slice_.seed, "ssl", slice_.backbone, self.stage.resolution)
        with torch.random.fork_rng(devices=[]):
            seed_torch(derive(slice_.seed, "ssl", slice_.backbone))
            student = Learner(slice_.vit, self.stage.resolution, self.how)
        self.student = student.to(device).train()
        self.teacher = Teacher(self.student)
        self.network = group.wrap(self.student, may_miss=False)
        self.optimizer = optimizer_of(self.student, self.how.patch_rate)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.how.precision == "fp16")
        self.samples = CropSamples(corpus, stores, self.how.crops, self.stage.resolution, self.stage.local)
        self.updates = 0

    def begin(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from another stage's student and teacher, whose position embeddings are of another grid."""
        side = self.stage.resolution // self.slice.vit.patch
        for name, network in (("student", self.student), ("teacher", self.teacher.model)):
            source = name if self.how.carry else "student"
            found = part(tensors, source)
            if self.how.carry:
                found[POSITIONS] = resampled(found[POSITIONS], side)
            else:
                found[POSITIONS] = self.student.state_dict()[POSITIONS]
            network.load_state_dict(found)

    def tensors(self) -> dict[str, Tensor]:
        """Student and teacher."""
        networks = {"student": self.student, "teacher": self.teacher.model}
        return {f"{name}.{key}": of for name, one in networks.items() for key, of in one.state_dict().items()}

    def save(self, to: Save, rows: Sequence[Row]) -> None:
        """All that the updates to come depend on."""
        moments = {f"optimizer.{name}": of for name, of in optimizer_tensors(self.optimizer, self.student).items()}
        facts = {"updates": self.updates, "rows": list(rows), "scaler": self.scaler.state_dict()}
        to.write({**self.tensors(), **moments}, facts)

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> list[Row]:
        """Continue from what `save` saved; the rows of the updates done."""
        for name, network in (("student", self.student), ("teacher", self.teacher.model)):
            network.load_state_dict(part(tensors, name))
        restore_optimizer(self.optimizer, self.student, part(tensors, "optimizer"))
        if facts["scaler"]:
            self.scaler.load_state_dict(facts["scaler"])
        self.updates = facts["updates"]
        rows: list[Row] = facts["rows"]
        return rows

    def run(self) -> Iterator[Row]:
        """Train what is left of the stage; a row of numbers an update.

        Raises:
            FloatingPointError: a loss that is not finite.
        """
        mine = self.stage.batch_size // self.group.size
        share = slice(self.group.rank * mine, (self.group.rank + 1) * mine)
        batches = Batches(len(self.samples), self.stage.batch_size, self.seed, self.updates, self.stage.updates, share)
        loader: DataLoader[Views] = DataLoader(
            self.samples,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=one_thread if self.workers else None,
            generator=torch.Generator(),
        )
        for views in loader:
            begun = time.perf_counter()
            numbers = self._update(views, share)
            self.updates += 1
            yield {
                "update": self.updates,
                "images": self.stage.batch_size,
                **numbers,
                "images_per_second": round(self.stage.batch_size / (time.perf_counter() - begun), 2),
                "memory": round(runtime.peak(self.device), 3),
            }

    def _update(self, views: Views, share: slice) -> dict[str, float]:
        seed_torch(derive(self.seed, "update", self.updates))
        masked = self._masks(share).to(self.device, non_blocking=True)
        self.group.part_ways()
        large, small = (
            one.to(self.device, non_blocking=True).transpose(0, 1).flatten(0, 1)[:, None].float() / 255 for one in views
        )
        now = Now.at(self.updates, self.slice)
        with torch.no_grad(), runtime.autocast(self.how.precision, self.device):
            teacher = Seen(*self.teacher.model(large, None, masked))
        with runtime.autocast(self.how.precision, self.device):
            student = Seen(*self.network(large, small, masked))
        terms = losses(student, teacher, masked, self.how, now.temperature, self.group)
        scaled: Tensor = self.scaler.scale(torch.stack(list(terms.values())).sum())
        self.optimizer.zero_grad(set_to_none=True)
        scaled.backward()
        norm = self._step(now)
        self.teacher.follow(self.student, now.momentum)
        told = self.group.sum(torch.stack([of.detach() for of in terms.values()])) / self.group.size
        *values, length = torch.cat([told, norm[None]]).tolist()
        # With loss scaling an infinite norm is how a scale is found to be too large: the scaler leaves that step out.
        if not all(map(math.isfinite, values if self.scaler.is_enabled() else (*values, length))):
            raise FloatingPointError(
                f"{self.slice.backbone}, {self.stage.resolution} pixels, update {self.updates + 1}: the loss is"
                f" {dict(zip(terms, values, strict=True))}"
            )
        moving = {"rate": now.rate, "weight_decay": now.weight_decay, "momentum": now.momentum}
        found = {"loss": sum(values), **dict(zip(terms, values, strict=True)), "gradient_norm": length}
        return moving | {"temperature": now.temperature} | found

    def _masks(self, share: slice) -> Tensor:
        """Of this process's global crops, drawn for the whole batch: crop 1 of its images, then crop 2."""
        side, images = self.stage.resolution // self.slice.vit.patch, self.stage.batch_size
        random = np.random.Generator(np.random.PCG64(derive(self.seed, "masks", self.updates)))
        whole = masks(GLOBALS * images, side, self.how.masking, random)
        return torch.from_numpy(whole).view(GLOBALS, images, -1)[:, share].flatten(0, 1)

    def _step(self, now: Now) -> Tensor:
        """Move the student; the norm of all gradients before they are cut."""
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0 if now.frozen and group["prototypes"] else now.rate * group["factor"]
            group["weight_decay"] = now.weight_decay if group["decays"] else 0.0
        self.scaler.unscale_(self.optimizer)
        networks = (self.student.backbone, self.student.dino, self.student.ibot)
        norms = [torch.nn.utils.clip_grad_norm_(one.parameters(), self.how.clip, foreach=True) for one in networks]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return torch.stack(norms).norm()


def ssl(
    slice_: SslSlice,
    corpus: pd.DataFrame,
    stores: Mapping[str, Store],
    machine: Machine,
    gpus: int,
    start: Path | None,
    output: Path,
    work: Path,
) -> None:
    """Train a stage and write student and teacher to `output`, their history beside it.

    It begins with `start`, another stage or released weights, or is drawn where that is None.

    Where a launcher started several processes, each calls this, and the first writes all files.

    Raises:
        InputError: what it starts from is of other sizes or another file than the parameters say, or images cannot be shared equally.
    """
    _, processes = place()
    machine = machine.among(processes)
    runtime.prepare(machine)
    if slice_.stage.batch_size % processes:
        raise InputError(
            f"cxrlt.backbones.{slice_.backbone}: batch_size {slice_.stage.batch_size} cannot be shared equally by {processes} GPUs"
        )
    with watched(), runtime.lease(gpus if processes == 1 else 0), ExitStack() as held:
        device = runtime.device(machine, gpus)
        group = held.enter_context(parallel.together(device))
        if group.first:
            held.enter_context(alone(work, f"training {slice_.backbone} at {slice_.stage.resolution} pixels"))
        trainer = Pretrainer(slice_, corpus, stores, device, machine.workers, group)
        began = None if start is None else _begin(trainer, start)
        told = {"slice": slice_.model_dump(mode="json"), "began": began}
        save = Save(work, machine.autosave, told)
        rows = _train(trainer, save)
        if not group.first:
            return
        made = provenance.describe(slice_) | {"began": began, "images": len(corpus)}
        write_history(output.with_suffix(".csv"), rows, COLUMNS)
        write(output, trainer.tensors(), {"provenance": made, "updates": trainer.updates})
    save.remove()


def _begin(trainer: Pretrainer, start: Path) -> str:
    """Go on from a stage, or start from released weights; the checksum of these."""
    if trainer.stage.start is None:
        return starting.start((trainer.student, trainer.teacher.model), trainer.slice, start)
    tensors, facts = read(start)
    try:
        trainer.begin(tensors)
    except (RuntimeError, KeyError) as error:
        words = " ".join(str(error).split())
        raise InputError(
            f"{start}: is no backbone of these sizes ({words[:200]}); delete it and train it again"
        ) from error
    return str(facts["sha256"])


def _train(trainer: Pretrainer, save: Save) -> list[Row]:
    rows: list[Row] = []
    if found := save.read():
        rows = trainer.restore(*found)
        log.info("continuing after update %d, from an autosave", trainer.updates)
    trainer.group.wait()
    name = f"{trainer.slice.backbone}, {trainer.stage.resolution} pixels"
    progress = Progress(name, trainer.stage.updates - trainer.updates, "updates")
    for row in trainer.run():
        rows.append(row)
        progress.advance(detail=f"loss {row['loss']:.3f}")
        if trainer.group.first and save.due:
            trainer.save(save, rows)
    return rows
