"""An experiment without the datasets that a lab does not have: `missing: skip`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fxcore import paths
from fxcore.complaint import complaint
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params import experiment
from fxcore.params.experiment import Params

Content = dict[str, Any]


def load(file: Path, machine: Machine) -> Params:
    """Read and check a parameter file, and leave out the datasets that it lets be missing and that are.

    Raises:
        InputError: one line naming file, key, value and what is allowed; or nothing is left.
    """
    params = experiment.load(file)
    keys = missing(params, machine)
    return without(params, keys) if keys else params


def missing(params: Params, machine: Machine) -> list[str]:
    """Datasets with `missing: skip` whose folder is not there, nor a store of them."""
    return [
        key
        for key, dataset in params.datasets.items()
        if dataset.missing == "skip"
        and dataset.source == "native"
        and not machine.folder(key, dataset.folder).is_dir()
        and not (paths.store(Path(params.results_root), key, params.store_size) / paths.MANIFEST).exists()
    ]


def without(params: Params, keys: Collection[str]) -> Params:
    """An experiment without some datasets: no pass visits them, and what had nothing else is gone.

    Raises:
        InputError: nothing is left, or not the run that the tables are about.
    """
    content = params.model_dump(mode="json")
    for key in keys:
        del content["datasets"][key]
    content["left_out"] = list(keys)
    _drop_runs(content, keys)
    for block, name in (("splits", "datasets"), ("report", "titles")):
        content[block][name] = _kept(content[block][name], keys)
    content["cxrlt"] = _study(content["cxrlt"], keys)
    names = ", ".join(keys)
    if params.runs and not any(run["role"] == "joint" for run in content["runs"].values()):
        raise InputError(
            f"datasets {names} are missing, and {params.joint} has no other; get one of them: fxcore retrieve"
        )
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"without the missing datasets {names}: {complaint(error, Params)}") from error


def _kept(block: Content, keys: Collection[str]) -> Content:
    return {key: value for key, value in block.items() if key not in keys}


def _drop_runs(content: Content, keys: Collection[str]) -> None:
    """Take the datasets out of every run, and out those that have no other, or go on from one that is gone."""
    for block in ("runs", "finetune"):
        for run in content[block].values():
            train = run["train"]
            train["visits"] = _kept(train["visits"], keys)
            if train["snapshots"]:
                train["snapshots"]["cells"] = _kept(train["snapshots"]["cells"], keys)
                train["snapshots"] = train["snapshots"] if train["snapshots"]["cells"] else None
        content[block] = {name: run for name, run in content[block].items() if run["train"]["visits"]}
    runs = content["runs"]
    content["runs"] = {name: run for name, run in runs.items() if run["of"] is None or run["of"] in runs}
    content["finetune"] = {
        name: run for name, run in content["finetune"].items() if run["train"]["start"]["run"] in content["runs"]
    }
    left = content["runs"] | content["finetune"]
    content["release"] = [name for name in content["release"] if name in left]
    content["few_shot"]["runs"] = [name for name in content["few_shot"]["runs"] if name in left]
    allowed = content["splits"]["allow_leakage"]
    content["splits"]["allow_leakage"] = {name: why for name, why in allowed.items() if name in left}


def _study(study: Content | None, keys: Collection[str]) -> Content | None:
    """The CXR-LT study without some datasets; None where its labels are gone, or all of its pictures."""
    if study is None or study["labels"] in keys:
        return None
    sources = _kept(study["sources"], keys)
    heads = {
        name: head | {"labels": [key for key in head["labels"] if key not in keys]}
        for name, head in study["heads"].items()
    }
    gold = None if study["gold"] in keys else study["gold"]
    return study | {"sources": sources, "heads": heads, "gold": gold} if sources else None
