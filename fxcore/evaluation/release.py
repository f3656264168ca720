"""The joint run as one weights file with its card: the branch and cycle that validation prefers over all its heads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from fxcore.data.store import OpenStores
from fxcore.errors import InputError
from fxcore.models.artifact import Card, Data, Measured, write
from fxcore.passes import Task
from fxcore.slices.evaluate import ReleaseSlice
from fxcore.training.keep import Kept
from fxcore.training.state import load

Candidates = list[dict[str, Any]]


def best(candidates: Candidates) -> tuple[int, str]:
    """Cycle and branch of the highest mean validation metric over the heads, the teacher before the student, then the later cycle.

    A head without a value counts for nothing.
    """
    values: dict[tuple[int, str], list[float]] = {}
    for one in candidates:
        values.setdefault(_of(one), []).extend([one["value"]] if one["value"] is not None else [])
    teachers = {key: of for key, of in values.items() if key[1] == "teacher"} or values
    return max(teachers, key=lambda key: (fmean(teachers[key] or [0.0]), key[0]))


def release(slice_: ReleaseSlice, kept: Path, choice: Path, stores: OpenStores, output: Path) -> None:
    """Write the weights and their card.

    Raises:
        InputError: the run was not scored, or what is kept of it is not readable.
    """
    try:
        facts = json.loads(choice.read_text(encoding="utf-8"))
        candidates: Candidates = facts["candidates"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{choice}: not readable ({error}); score the run with: snakemake --cores all -- {choice}"
        ) from error
    cycle, branch = best(candidates)
    state = load(Kept.open(kept).weights[cycle])
    reached: dict[str, dict[Task, float | None]] = {}
    for one in candidates:
        if _of(one) == (cycle, branch):
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


def _of(one: Mapping[str, Any]) -> tuple[int, str]:
    return one["cycle"], one["branch"]
