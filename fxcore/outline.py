"""What `fxcore plan` prints: runs, stages and passes with their estimated work."""

from __future__ import annotations

import json
from pathlib import Path

from fxcore import paths
from fxcore.errors import InputError
from fxcore.params.experiment import Params
from fxcore.passes import Pass, Split, Task
from fxcore.slices.make import train_slice


def annotated(params: Params, key: str, task: Task) -> int | None:
    """Training images annotated for a task: from the store once it is made, else as many as a phantom will have, else unknown."""
    manifest = paths.store(Path(params.results_root), key, params.store_size) / "manifest.json"
    if manifest.exists():
        return int(json.loads(manifest.read_text(encoding="utf-8"))["annotated"][task][Split.TRAIN])
    phantom = params.datasets[key].phantom
    return phantom[Split.TRAIN] if phantom else None


def work(params: Params, run: str, of: tuple[Pass, ...]) -> tuple[int, int] | None:
    """Updates and images of some passes; None while a dataset's size is unknown."""
    size = params.pretraining(run).batch_size
    updates = images = 0
    for one in of:
        count = annotated(params, one.dataset, one.task)
        if count is None:
            return None
        updates += one.updates(count, size)
        images += one.updates(count, size) * min(size, count)
    return updates, images


def describe(params: Params, run: str | None = None) -> str:
    """A line a run and their sum; with `run`, a line for each of its passes.

    Raises:
        InputError: no such run.
    """
    if run is not None and run not in params.runs:
        raise InputError(f"--run {run}: no such run; known: {', '.join(params.runs)}")
    lines = _passes(params, run) if run else _runs(params)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = 3 if run else 2

    def pad(line: tuple[str, ...]) -> str:
        """A line in columns: words to the left, numbers to the right."""
        return "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()

    unknown = (
        ""
        if "?" not in {cell for line in lines for cell in line}
        else "\n? is known once the dataset's store is made: snakemake --cores all --config phase=data\n"
    )
    return "\n".join(map(pad, lines)) + "\n" + unknown


def _numbers(found: tuple[int, int] | None) -> tuple[str, str]:
    return ("?", "?") if found is None else (f"{found[0]:,}", f"{found[1]:,}")


def _runs(params: Params) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [("run", "role", "cycles", "passes a cycle", "stages", "gpus", "updates", "images")]
    totals: list[tuple[int, int] | None] = []
    for name, run in params.runs.items():
        slice_, cycles = train_slice(params, name), run.train.cycles
        of = slice_.passes(cycles)
        found = work(params, name, of)
        totals.append(found)
        counts = (cycles, len(of) // cycles, len(slice_.stages(cycles)), run.gpus)
        lines.append((name, run.role, *map(str, counts), *_numbers(found)))
    known = [one for one in totals if one is not None]
    total = (sum(one[0] for one in known), sum(one[1] for one in known)) if len(known) == len(totals) else None
    lines.append(("all", "", "", "", "", "", *_numbers(total)))
    return lines


def _passes(params: Params, name: str) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [("dataset", "task", "mode", "pass", "cycle", "data", "updates", "images")]
    for one in train_slice(params, name).passes(params.runs[name].train.cycles):
        place = (one.dataset, one.task, one.mode, one.index + 1, one.cycle + 1, f"{100 * float(one.fraction):.0f} %")
        lines.append((*map(str, place), *_numbers(work(params, name, (one,)))))
    return lines
