"""The tiny joint run, trained pass by pass once for all tests of training."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from fxcore import paths
from fxcore.data.store import Store
from fxcore.machine import Machine
from fxcore.params.experiment import Params
from fxcore.slices.make import train_slice
from fxcore.slices.train import TrainSlice
from fxcore.training.pretrain import pretrain
from tests.conftest import changed


def train(
    slice_: TrainSlice, stores: Mapping[str, Store], folder: Path, stages: Iterable[str]
) -> list[paths.StageFiles]:
    """Train some stages, each from the state of the one before; what each wrote."""
    written: list[paths.StageFiles] = []
    for name in stages:
        pretrain(slice_, name, stores, Machine(), 0, folder, folder / "work")
        written.append(paths.stage(folder, name))
    return written


@pytest.fixture(scope="session")
def pass_by_pass(_tiny, stores, tmp_path_factory):
    """States, histories and snapshots of two cycles, a stage a pass, none removed."""
    folder = tmp_path_factory.mktemp("pass-by-pass")
    slice_ = train_slice(Params.model_validate(changed(_tiny, {"pretrain__stage": "pass"})), "foundation_x")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fxcore.training.pretrain.prune", lambda *_: None)
        train(slice_, stores, folder, [stage.name for stage in slice_.stages(2)])
    return folder


def place(stores, results):
    """Put stores and the splits of their images where jobs look for them."""
    for key, store in stores.items():
        shutil.copytree(store.folder, paths.store(results, key, store.size))
        splits = paths.split(results, key, "parquet")
        splits.parent.mkdir(parents=True)
        shutil.copy(store.listed, splits)
