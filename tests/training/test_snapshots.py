"""Snapshots: the teacher of the moment after the asked passes, the same however the passes are cut into stages."""

import json
from itertools import pairwise

import pytest
import torch
from safetensors import safe_open

from fxcore.errors import InputError
from fxcore.passes import Task
from fxcore.slices.make import train_slice
from fxcore.training.loop import Trainer
from fxcore.training.snapshots import Snapshots, saved
from fxcore.training.state import load
from tests.training.conftest import train

AFTER = {1: "cycle_0-01", 5: "cycle_1", 6: "cycle_1-01", 10: "cycle_2"}
"""Of a cycle's five passes the first is of classification and the last the release pass of segmentation."""


def _slice(tiny, **snapshots):
    return train_slice(tiny(runs__foundation_x__train__snapshots=snapshots or None), "foundation_x")


@pytest.mark.parametrize(
    ("snapshots", "passes"),
    [
        ({"cells": {"example_a": ["classification", "segmentation"]}}, [1, 5, 6, 10, 11, 15, 16, 20]),
        ({"every": 2, "cells": {"example_a": ["classification", "segmentation"]}}, [6, 10, 16, 20]),
        ({"every": 3, "cells": {"example_a": ["localization"]}}, [13]),
        ({"every": 4, "cells": {"example_a": ["localization"]}}, [18]),
        ({}, []),
    ],
    ids=str,
)
def test_snapshots_follow_the_release_pass_of_the_asked_cells_in_every_nth_cycle(tiny, snapshots, passes):
    slice_ = _slice(tiny, **snapshots)
    assert [one.index + 1 for one in slice_.passes(4) if slice_.snaps(one)] == passes


def test_a_snapshot_is_the_teacher_after_its_pass(pass_by_pass, tiny):
    slice_ = train_slice(tiny(pretrain__stage="pass"), "foundation_x")
    for number, stage in AFTER.items():
        ((after, tensors),) = saved([pass_by_pass / f"snapshots/{stage}.safetensors"], slice_)
        teacher = load(pass_by_pass / f"{stage}.safetensors").part("teacher")
        assert after.index + 1 == number
        assert set(tensors) == set(teacher)
        assert all(torch.equal(value, teacher[name]) for name, value in tensors.items())


def test_teachers_differ_from_snapshot_to_snapshot(pass_by_pass):
    weights = [load(pass_by_pass / f"{stage}.safetensors").part("teacher") for stage in AFTER.values()]
    for one, two in pairwise(weights):
        assert any(not torch.equal(value, two[name]) for name, value in one.items())


def test_a_stage_without_an_asked_pass_writes_an_empty_file(pass_by_pass):
    without = ["cycle_0-02", "cycle_0-03", "cycle_0-04", "cycle_1-02", "cycle_1-03", "cycle_1-04"]
    assert {path.stem for path in (pass_by_pass / "snapshots").iterdir()} == {*without, *AFTER.values()}
    for stage in without:
        with safe_open(pass_by_pass / f"snapshots/{stage}.safetensors", "pt") as opened:
            assert opened.keys() == []
            assert json.loads(opened.metadata()["fxcore"])["provenance"]["params"]["run"] == "foundation_x"


def test_the_same_snapshots_whatever_the_stage(stores, tiny, tmp_path, pass_by_pass):
    changes = {"pretrain__stage": "cycle", "runs__foundation_x__train__stage_cycles": 2}
    slice_ = train_slice(tiny(**changes), "foundation_x")
    (outputs,) = train(slice_, stores, tmp_path, ["cycle_2"])
    found = list(saved([outputs.snapshots], slice_))
    assert [(after.index + 1, after.cycle + 1, after.dataset, after.task) for after, _ in found] == [
        (1, 1, "example_a", Task.CLASSIFICATION),
        (5, 1, "example_a", Task.SEGMENTATION),
        (6, 2, "example_a", Task.CLASSIFICATION),
        (10, 2, "example_a", Task.SEGMENTATION),
    ]
    for (_, tensors), stage in zip(found, AFTER.values(), strict=True):
        teacher = load(pass_by_pass / f"{stage}.safetensors").part("teacher")
        assert all(torch.equal(value, teacher[name]) for name, value in tensors.items())


def test_a_snapshot_does_not_change_with_the_teacher(stores, tiny):
    slice_ = _slice(tiny, cells={"example_a": ["classification"]})
    trainer, snapshots = Trainer(slice_, stores, 40, torch.device("cpu")), Snapshots(slice_)
    first = slice_.passes(1)[0]
    expected = {name: value.clone() for name, value in trainer.teacher.model.state_dict().items()}
    snapshots.take(trainer, first)
    with torch.no_grad():
        for parameter in trainer.teacher.model.parameters():
            parameter.add_(1.0)
    assert set(snapshots.tensors) == {f"1.{name}" for name in expected}
    assert all(torch.equal(snapshots.tensors[f"1.{name}"], value) for name, value in expected.items())


def test_a_run_without_snapshots_writes_an_empty_file(stores, tiny, tmp_path):
    params = tiny(pretrain__stage="pass", runs__foundation_x__train__snapshots=None)
    slice_ = train_slice(params, "foundation_x")
    (files,) = train(slice_, stores, tmp_path, ["cycle_0-01"])
    assert list(saved([files.snapshots], slice_)) == []


def test_a_damaged_file_of_snapshots_is_never_used(pass_by_pass, tiny, tmp_path):
    content = bytearray((pass_by_pass / "snapshots/cycle_1.safetensors").read_bytes())
    content[-3] ^= 1
    (tmp_path / "cut.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"cut\.safetensors: its tensors do not have the checksum"):
        list(saved([tmp_path / "cut.safetensors"], train_slice(tiny(), "foundation_x")))
