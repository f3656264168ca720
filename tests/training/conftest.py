"""The tiny joint run, trained pass by pass once for all tests of training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from fxcore.data.store import Store
from fxcore.machine import Machine
from fxcore.params.experiment import Params
from fxcore.slices.make import train_slice
from fxcore.slices.train import TrainSlice
from fxcore.training.pretrain import Outputs, pretrain
from tests.conftest import changed


def train(
    slice_: TrainSlice, stores: Mapping[str, Store], folder: Path, stages: Iterable[str], previous: Path | None = None
) -> list[Outputs]:
    """Train some stages, each from the state of the one before; what each wrote."""
    written: list[Outputs] = []
    for name in stages:
        outputs = Outputs(
            folder / f"{name}.safetensors", folder / f"{name}.csv", folder / "snapshots" / f"{name}.safetensors"
        )
        pretrain(slice_, name, previous, stores, Machine(), 0, outputs)
        written.append(outputs)
        previous = outputs.state
    return written


@pytest.fixture(scope="session")
def pass_by_pass(_tiny, stores, tmp_path_factory):
    """States, histories and snapshots of two cycles, a stage a pass."""
    folder = tmp_path_factory.mktemp("pass-by-pass")
    slice_ = train_slice(Params.model_validate(changed(_tiny, {"pretrain__stage": "pass"})), "foundation_x")
    train(slice_, stores, folder, [stage.name for stage in slice_.stages(2)])
    return folder
