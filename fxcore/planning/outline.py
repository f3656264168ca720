"""What `fxcore plan` prints: runs, stages and passes with their work, and on request what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add

from fxcore.errors import InputError
from fxcore.params.experiment import Params
from fxcore.passes import Pass
from fxcore.planning.costs import Costs, Disk, store
from fxcore.planning.work import Sizes, Work
from fxcore.progress import amount
from fxcore.slices.make import train_slice

Line = tuple[str, ...]
UNKNOWN = "?"
EXPECTED = "~"


def describe(params: Params, sizes: Sizes, run: str | None = None, costs: Costs | None = None) -> str:
    """A line a run and their sum; with `run`, a line for each of its passes; with `costs`, what they cost.

    Raises:
        InputError: no such run.
    """
    if run is not None and run not in params.trained:
        raise InputError(f"--run {run}: no such run; known: {', '.join(params.trained)}")
    lines = _passes(params, sizes, run, costs) if run else _runs(params, sizes, costs)
    notes = list(_notes(lines))
    if costs is not None:
        notes += _notes_on_costs(params, sizes, costs)
    return "".join(f"{line}\n" for line in (*_columns(lines, 3 if run else 2), *([""] if notes else []), *notes))


def _columns(lines: Sequence[Line], left: int) -> list[str]:
    """Lines in columns: the first `left` of them words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _numbers(work: Work | None) -> Line:
    if work is None:
        return UNKNOWN, UNKNOWN
    mark = EXPECTED if work.expected else ""
    return f"{mark}{work.updates:,}", f"{mark}{work.images:,}"


def _training(operations: int | None, work: Work | None, costs: Costs) -> Line:
    """Operations, and hours if the device's speed is known."""
    if operations is None or work is None:
        return (UNKNOWN,) * (1 if costs.tflops is None else 2)
    mark, hours = EXPECTED if work.expected else "", costs.hours(operations)
    return (f"{mark}{amount(operations, 'FLOP')}", *(() if hours is None else (f"{mark}{hours:,.3g}",)))


def _titles(costs: Costs | None) -> Line:
    if costs is None:
        return ()
    return ("training", *(() if costs.tflops is None else ("hours (estimate)",)))


def _disk(disk: Disk) -> Line:
    return str(disk.states), str(disk.snapshots), amount(disk.kept, "B")


def _sum(works: Sequence[Work | None]) -> Work | None:
    known = [one for one in works if one is not None]
    return reduce(add, known, Work()) if len(known) == len(works) else None


def _runs(params: Params, sizes: Sizes, costs: Costs | None) -> list[Line]:
    head: Line = ("run", "role", "cycles", "passes a cycle", "stages", "gpus", "updates", "images", *_titles(costs))
    lines = [head if costs is None else (*head, "states", "snapshots", "disk")]
    works: list[Work | None] = []
    operations: list[int | None] = []
    disks: list[Disk] = []
    for name, run in params.trained.items():
        slice_, cycles = train_slice(params, name), run.train.cycles
        of = slice_.passes(cycles)
        works.append(sizes.work(name, of))
        counts = (cycles, len(of) // cycles, len(slice_.stages(cycles)), run.gpus)
        line: Line = (name, run.role, *map(str, counts), *_numbers(works[-1]))
        if costs is not None:
            operations.append(costs.training(name, of))
            disks.append(costs.disk(name))
            line += (*_training(operations[-1], works[-1], costs), *_disk(disks[-1]))
        lines.append(line)
    total = _sum(works)
    line = ("all", "", "", "", "", "", *_numbers(total))
    if costs is not None:
        known = None if total is None else sum(one or 0 for one in operations)
        disk = [sum(getattr(one, name) for one in disks) for name in ("states", "snapshots", "kept", "passing")]
        line += (*_training(known, total, costs), *_disk(Disk(*disk)))
    return [*lines, line]


def _passes(params: Params, sizes: Sizes, name: str, costs: Costs | None) -> list[Line]:
    lines: list[Line] = [("dataset", "task", "mode", "pass", "cycle", "data", "updates", "images", *_titles(costs))]

    def line(one: Pass) -> Line:
        """A pass."""
        work = sizes.work(name, (one,))
        place = (one.dataset, one.task, one.mode, one.index + 1, one.cycle + 1, f"{100 * float(one.fraction):.0f} %")
        made = (*map(str, place), *_numbers(work))
        return made if costs is None else (*made, *_training(costs.training(name, (one,)), work, costs))

    return [*lines, *map(line, train_slice(params, name).passes(params.trained[name].train.cycles))]


def _notes(lines: Sequence[Line]) -> Iterator[str]:
    cells = {cell for line in lines for cell in line}
    if UNKNOWN in cells:
        yield (
            f"{UNKNOWN} is known once the dataset's images are split:"
            " snakemake --cores all --config params=FILE phase=data, then phase=split"
        )
    if any(cell.startswith(EXPECTED) for cell in cells):
        yield (
            f"{EXPECTED} is expected of datasets of the size that fxcore/data/registry.yaml gives, with all images annotated"
            " for every task; counted once their images are split"
        )


def _notes_on_costs(params: Params, sizes: Sizes, costs: Costs) -> Iterator[str]:
    yield (
        "training: operations of matrix products and convolutions, the student forward and backward as far as the pass trains"
        " it, the teacher forward in release passes; not losses, matching, optimiser, scoring"
    )
    disks = [costs.disk(run) for run in params.trained]
    kept, passing = (amount(value, "B") for value in (sum(d.kept for d in disks), max(d.passing for d in disks)))
    stores = [store(params, sizes, key) for key in params.datasets]
    known = [one for one in stores if one is not None]
    mark = EXPECTED if any(one.expected for one in known) else ""
    of_stores = amount(sum(one.number for one in known), "B") if len(known) == len(stores) else UNKNOWN
    yield (
        f"disk: {kept} of kept states, and up to {passing} more beside each run while it trains; {mark}{of_stores} of stores;"
        " DVC's cache takes both once more, unless the file system shares blocks (XFS, Btrfs)"
    )
    if costs.tflops is not None:
        yield f"hours: an estimate for training alone, on one device that sustains {costs.tflops:g} TFLOP/s all the time"
