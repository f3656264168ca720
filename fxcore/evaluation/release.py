"""A run as one weights file with its card: the branch and cycle that validation prefers over all its heads."""

from __future__ import annotations

from pathlib import Path

from fxcore.data.store import OpenStores
from fxcore.models.artifact import Card, Data, Measured, write
from fxcore.passes import Task
from fxcore.slices.evaluate import ReleaseSlice
from fxcore.training.keep import Kept
from fxcore.training.starting import chosen
from fxcore.training.state import load


def release(slice_: ReleaseSlice, kept: Path, choice: Path, stores: OpenStores, output: Path) -> None:
    """Write the weights and their card.

    Raises:
        InputError: the run was not scored, or what is kept of it is not readable.
    """
    facts, cycle, branch = chosen(choice)
    state = load(Kept.open(kept).weights[cycle])
    reached: dict[str, dict[Task, float | None]] = {}
    for one in facts["candidates"]:
        if (one["cycle"], one["branch"]) == (cycle, branch):
            reached.setdefault(one["dataset"], {})[Task(one["task"])] = one["value"]
    synthetic = {key: bool(store.manifest["synthetic"]) for key, store in stores(state.heads).items()}
    made = {key: state.provenance[key] for key in ("fxcore", "commit", "params")}
    card = Card(
        title=slice_.title,
        origin={"run": slice_.run, "branch": branch, "cycle": cycle, **made},
        licence="Apache-2.0, like the code that made them, as far as the terms of the training data allow.",
        model=state.slice.model,
        store_size=state.slice.store_size,
        data={
            key: Data(
                title=slice_.titles[key],
                classes={task: heads.classes(task) for task in reached[key]},
                images={Task(task): count for task, count in state.seen[key].items()},
                synthetic=synthetic[key],
                licence="drawn by fxcore" if synthetic[key] else slice_.licences.get(key, ""),
                validation={
                    task: Measured(metric=facts["metric"][task], value=value) for task, value in reached[key].items()
                },
            )
            for key, heads in state.heads.items()
        },
    )
    write(output, state.part(branch), card)
