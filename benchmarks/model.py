"""What training the paper's network costs, as ratios to named baselines of the same run, and as multiples of what arithmetic and
memory allow.

Usage: python benchmarks/model.py
Takes five minutes and 14 GB on two idle cores. Ways to do the same thing take turns, and the best round of each counts: other
work on the machine then slows all of them, and most of it drops out.
"""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import torch
from table import heading, ratio, row, timed
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fxcore.data import transforms
from fxcore.data.store import Store
from fxcore.data.targets import Batch, Target
from fxcore.models.foundation import FoundationX
from fxcore.models.foundation import Localization as Found
from fxcore.models.localization.deformable_attention import Shapes, deformable_attention
from fxcore.models.localization.encoder import centres
from fxcore.params.experiment import Params, load
from fxcore.params.model import Localization
from fxcore.passes import Mode, Task
from fxcore.slices.data import Heads
from fxcore.slices.make import train_slice
from fxcore.training import locking
from fxcore.training.loop import Trainer
from fxcore.training.parallel import ALONE
from fxcore.training.teacher import Teacher

PRESET = str(Path(__file__).parents[1] / "presets/paper.yaml")
DATASET, BATCH, BOXES = "tbx11k", 4, 2
"""Whose heads the network has, images an update, and boxes on each of them."""
ROUNDS, REPEATS = 3, 10
"""Of updates, which take seconds, and of what takes milliseconds."""
SIDES = (224, 512)
"""Of images, for deformable attention alone."""
FAR, NEAR, SQUARE = 2**26, 2**17, 2048
"""Floats copied to measure memory and the cache, and the side of the matrices multiplied to measure arithmetic."""
THREADS = 2

Times = dict[str, float]


class Annotated:
    """In place of a store: only what the heads of `DATASET` are; batches are made in memory."""

    def __init__(self, params: Params) -> None:
        self.dataset = params.datasets[DATASET]

    def heads(self, tasks: tuple[Task, ...]) -> Heads:
        """As a store's."""
        return Heads.of(self.dataset, tasks)


class Bench:
    """Student, teacher and optimiser of the preset's first run, with one localization head; and a batch for it."""

    def __init__(self, *, taught: bool = True) -> None:
        params = load(Path(PRESET))
        changes = {"visits": ((DATASET, (Task.LOCALIZATION,)),), "snapshots": None}
        slice_ = train_slice(params, params.joint).model_copy(
            update=changes if taught else changes | {"momentum": None}
        )
        stores = cast(Mapping[str, Store], {DATASET: Annotated(params)})
        self.trainer = Trainer(slice_, stores, 10**6, torch.device("cpu"))
        self.teacher = cast(Teacher[FoundationX], self.trainer.teacher)  # asked for only where there is one
        self.passes = {one.mode: one for one in slice_.passes(1)}
        torch.manual_seed(0)
        classes = len(params.datasets[DATASET].classes(Task.LOCALIZATION))
        self.boxes = tuple(
            Target(torch.randint(classes, (BOXES,)), torch.rand(BOXES, 4) * 0.3 + 0.3) for _ in range(BATCH)
        )
        side = params.model.image_size
        self.batch = Batch(
            range(BATCH), torch.randint(256, (BATCH, 1, side, side), dtype=torch.uint8), boxes=self.boxes
        )
        self.share = ALONE.share(self.batch, self.batch.rows, None)

    @property
    def images(self) -> Tensor:
        """The batch's, normalised anew, as every update does."""
        return transforms.normalise(self.batch.images, self.trainer.slice.model)

    def update(self, mode: Mode) -> None:
        """Ours: the trainer's own update."""
        one = self.passes[mode]
        self.trainer._update(one, self.share, locking.apply(self.trainer.student, one))

    def answered(self) -> Found:
        """The student's forward, as in training, once the gradients of before are gone."""
        self.trainer.optimizer.zero_grad(set_to_none=True)
        noise = self.trainer.student.noise(self.boxes, DATASET)
        _, found = self.trainer.student(self.images, DATASET, Task.LOCALIZATION, noise=noise)
        return cast(Found, found)

    def step(self, *losses: Tensor) -> None:
        """Backward, clipping and optimiser, by hand."""
        torch.stack(losses).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.trainer.student.parameters(), 0.1, foreach=True)
        self.trainer.optimizer.step()

    def alone(self) -> None:
        """The student's forward and backward and the optimiser, under the cheapest loss that reaches every parameter."""
        locking.apply(self.trainer.student, self.passes[Mode.RELEASE])
        self.step(cheapest(self.answered()))

    def parts(self) -> None:
        """The same and one forward of the teacher without a graph: what an update cannot do without."""
        self.alone()
        with torch.no_grad():
            self.teacher.model.trunk(self.images, Task.LOCALIZATION)

    def published(self) -> None:
        """The order of operations of the authors' code, without its checkpointing of activations, which would slow it.

        A copy of the student is made; student, copy and teacher run forward with graphs; backward goes through all.
        """
        student, teacher = self.trainer.student, self.teacher.model.requires_grad_(True)
        locking.apply(student, self.passes[Mode.RELEASE])
        twin = copy.deepcopy(student).eval()
        found = self.answered()
        mine, ours = twin(self.images, DATASET, Task.LOCALIZATION)
        its, theirs = teacher(self.images, DATASET, Task.LOCALIZATION)
        states = functional.mse_loss(ours.decoded.states, theirs.decoded.states)
        self.step(cheapest(found), states, functional.mse_loss(mine.memory.tokens, its.memory.tokens))
        teacher.requires_grad_(False).zero_grad(set_to_none=True)


def cheapest(found: Found) -> Tensor:
    """A loss that asks a gradient of every output and does little else."""
    parts = (found.decoded.logits, found.decoded.boxes, found.proposals.logits, found.proposals.boxes)
    return torch.stack([one.square().mean() for one in parts]).sum()


def best(rounds: int, ways: Mapping[str, Callable[[], object]]) -> Times:
    """Seconds of the best round of each way, by name."""
    return dict(zip(ways, timed(rounds, *ways.values()), strict=True))


def peak(kind: str) -> float:
    """Bytes that two updates of one kind need at most, in a process of their own."""
    settings = [PRESET, DATASET, str(BATCH), str(THREADS)]
    ran = subprocess.run([sys.executable, __file__, kind, *settings], stdout=subprocess.PIPE, text=True, check=True)
    return float(ran.stdout)


def report_peak(kind: str) -> None:
    """Write the peak of two updates, beyond what the interpreter and its libraries take."""
    before = most_resident()
    bench = Bench(taught=kind == "update")
    for _ in range(2):
        if kind == "update":
            bench.update(Mode.RELEASE)
        else:
            bench.alone()
    sys.stdout.write(f"{most_resident() - before}\n")


def most_resident() -> int:
    """Bytes this process had in memory at most; `getrusage` would count what its parent had when it started us."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def plain(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """Deformable attention in the plain order: sample every level, lay all samples side by side, weigh, sum."""
    batch, _, heads, channels = value.shape
    levels = value.split([height * width for height, width in shapes], dim=1)
    grids = 2 * locations - 1
    samples = []
    for number, (level, (height, width)) in enumerate(zip(levels, shapes, strict=True)):
        picture = level.flatten(2).transpose(1, 2).reshape(batch * heads, channels, height, width)
        grid = grids[:, :, :, number].transpose(1, 2).flatten(0, 1)
        samples.append(functional.grid_sample(picture, grid, align_corners=False))
    shares = weights.transpose(1, 2).flatten(0, 1).flatten(2)[:, None]
    mixed = (torch.stack(samples, dim=-2).flatten(-2) * shares).sum(-1)
    return mixed.view(batch, heads * channels, -1).transpose(1, 2)


def attention_case(side: int, sizes: Localization, queries: int | None) -> tuple[Tensor, Shapes, Tensor, Tensor]:
    """Arguments as the encoder has them, offsets of two pixels around each token; or as the decoder, of `queries` boxes."""
    sides = [-(-side // stride) for stride in (8, 16, 32, 64)]
    shapes: Shapes = tuple((one, one) for one in sides)
    tokens = sum(one**2 for one in sides)
    layout = (1, queries or tokens, sizes.heads, len(shapes), sizes.points)
    offsets = torch.randn(*layout, 2)
    if queries is None:
        around = centres(shapes, torch.device("cpu"))[:, :, None, None, None]
        locations = around + 2 * offsets / torch.tensor(sides)[:, None, None]
    else:
        locations = torch.rand(1, queries, 1, 1, 1, 2) + 0.1 * offsets
    value = torch.randn(1, tokens, sizes.heads, sizes.width // sizes.heads)
    return value, shapes, locations, torch.randn(layout).flatten(3).softmax(-1).view(layout)


def write(*lines: str) -> None:
    """To standard output, at once."""
    sys.stdout.writelines(lines)
    sys.stdout.flush()


def updates(bench: Bench) -> tuple[Times, list[str]]:
    """Seconds of the ways to update, and the rows on them."""
    ways: dict[str, Callable[[], object]] = {
        "release": lambda: bench.update(Mode.RELEASE),
        "lock": lambda: bench.update(Mode.LOCK),
        "alone": bench.alone,
        "parts": bench.parts,
        "published": bench.published,
    }
    took = best(ROUNDS, ways)
    took |= best(REPEATS, {"teacher": lambda: bench.teacher.follow(bench.trainer.student, 0.8)})
    release = "release update"
    rows = [
        ratio(release, "student forward, backward, AdamW; teacher forward", took["release"], took["parts"], "≤ 1.15"),
        ratio(release, "the same without a teacher", took["release"], took["alone"], ""),
        ratio("lock update", release, took["lock"], took["release"], "≤ 0.5"),
        ratio(release, "the published order of operations", took["release"], took["published"], "0.40"),
        ratio("the teacher's step", release, took["teacher"], took["release"], "≤ 0.05"),
    ]
    return took, rows


def memory(bench: Bench) -> Iterator[str]:
    """The row on peak memory."""
    ours, alone = peak("update") / 2**30, peak("alone") / 2**30
    weights = sum(one.numel() * one.element_size() for one in bench.teacher.model.state_dict().values()) / 2**30
    yield ratio("peak memory", "student alone, and the teacher's weights", ours, alone + weights, "≤ 1.15", "GiB")


def attention(sizes: Localization) -> tuple[Times, list[str]]:
    """Seconds of deformable attention in inference, and the rows on it."""
    took: Times = {}
    rows = []
    for side, (half, queries) in itertools.product(SIDES, (("encoder", None), ("decoder", sizes.queries))):
        torch.manual_seed(0)
        case = attention_case(side, sizes, queries)
        error = float((deformable_attention(*case) - plain(*case)).abs().max())
        found = best(REPEATS, {"ours": lambda: deformable_attention(*case), "plain": lambda: plain(*case)})  # noqa: B023 - called here
        what = f"deformable attention, {half} at {side} pixels"
        took[what] = found["ours"]
        aim = "≤ 0.5" if side == max(SIDES) else ""
        against = f"plain grid_sample; they differ by {error:.0e}"
        rows.append(ratio(what, against, 1e3 * found["ours"], 1e3 * found["plain"], aim, "ms"))
    return took, rows


def rates() -> tuple[float, float, float]:
    """Bytes a second read and written when copying what lies in memory, and in the cache; multiplications and additions a second."""
    far, near, square = torch.rand(FAR), torch.rand(NEAR), torch.rand(SQUARE, SQUARE)
    away, close = torch.empty_like(far), torch.empty_like(near)
    took = best(REPEATS, {"far": lambda: away.copy_(far), "product": lambda: square @ square})
    took |= best(100 * REPEATS, {"near": lambda: close.copy_(near)})
    return 8 * FAR / took["far"], 8 * NEAR / took["near"], 2 * SQUARE**3 / took["product"]


def operations(way: Callable[[], object]) -> int:
    """Multiplications and additions of the matrix products in `way`; the fused attention of a CPU hides its own."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        way()
    return counter.get_total_flops()


def floors(bench: Bench, took: Times) -> Iterator[str]:
    """The rows of the second table: how long the hot parts take, and what they could not undercut on this machine."""
    far, near, arithmetic = rates()
    sizes, student = bench.trainer.slice.model.localization, bench.trainer.student.eval()

    @torch.no_grad()
    def forward() -> None:
        student.backbone(bench.images)

    took = took | best(ROUNDS, {"backbone": forward})
    release = operations(lambda: bench.update(Mode.RELEASE))
    weights = 4 * sum(one.numel() for one in student.parameters())
    product = f"products at {arithmetic / 1e9:.0f} GFLOP/s"
    yield floor("release update", release, "GFLOP", product, arithmetic, took["release"])
    yield floor("backbone forward", operations(forward), "GFLOP", product, arithmetic, took["backbone"])
    yield floor("the teacher's step", 3 * weights, "GB", f"memory at {far / 1e9:.0f} GB/s", far, took["teacher"])
    for side in SIDES:
        tokens = sum((-(-side // stride)) ** 2 for stride in (8, 16, 32, 64))
        corners, levels, size = 4, 4, 4
        gathered = tokens * levels * sizes.points * corners * sizes.width * size
        what = f"deformable attention, encoder at {side} pixels"
        yield floor(what, gathered, "GB", f"cache at {near / 1e9:.0f} GB/s", near, took[what])


def floor(what: str, amount: float, unit: str, by: str, rate: float, seconds: float) -> str:
    """A row of the second table."""
    least = amount / rate
    scale, time_unit = (1, "s") if least > 0.1 else (1e3, "ms")
    times = f"{scale * least:.3g} {time_unit}", f"{scale * seconds:.3g} {time_unit}"
    return row(what, f"{amount / 1e9:,.4g} {unit}", by, *times, f"{seconds / least:.1f}")


def main() -> None:
    """Measure and write both tables."""
    torch.set_num_threads(THREADS)
    bench = Bench()
    write(heading())
    write(*memory(bench))  # first, while this process is small itself
    took, rows = updates(bench)
    write(*rows)
    attended, rows = attention(bench.trainer.slice.model.localization)
    write(*rows)
    write("\n", heading("what", "needs", "bound by", "floor", "takes", "times the floor"))
    write(*floors(bench, took | attended))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        kind, PRESET, DATASET, batch, threads = sys.argv[1:]
        BATCH, THREADS = int(batch), int(threads)
        torch.set_num_threads(THREADS)
        report_peak(kind)
    else:
        main()
