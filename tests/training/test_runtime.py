"""Where and how a job computes: GPUs that are there, memory, channels last, compiled; the losses stay."""

import re
from functools import partialmethod
from pathlib import Path
from shutil import which

import pytest
import torch
from filelock import FileLock
from torch import nn

from fxcore import cli
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.slices.make import train_slice
from fxcore.training import runtime
from fxcore.training.history import write_history
from fxcore.training.loop import Trainer
from fxcore.training.pretrain import COLUMNS, pretrain
from fxcore.training.state import load
from tests.conftest import TINY
from tests.training.conftest import place

CPU = torch.device("cpu")


# GPUs


@pytest.mark.parametrize(("visible", "there"), [("", 0), ("-1", 0), ("0", 1)])
def test_more_gpus_than_there_are_is_one_line(stores, tmp_path, monkeypatch, capsys, visible, there):
    place(stores, tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    command = ["pretrain", "foundation_x", "--stage", "cycle_1", "--params", str(TINY), "--results", str(tmp_path)]
    assert cli.main([*command, "--gpus", "2"]) == 2
    assert capsys.readouterr().err.endswith(
        f"fxcore pretrain: 2 GPUs asked for, but this machine has {there} that this job may use; lower the run's gpus, or"
        " --gpus (0 computes on the CPU)\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"data", "splits"}


def test_gpus_that_other_jobs_hold_are_not_leased(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7,9")
    with runtime.lease(1):
        assert runtime.visible_gpus() == ["4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7,9")
    (folder,) = tmp_path.iterdir()
    with (
        FileLock(folder / "-7.lock"),
        FileLock(folder / "-9.lock"),
        pytest.raises(
            InputError, match=r"^2 GPUs asked for, 1 free of 3; lower the run's gpus or wait for the other jobs$"
        ),
        runtime.lease(2),
    ):
        pass


def test_a_process_more_than_gpus_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(
        InputError, match=r"^process 3 of this machine has no GPU: torch sees 2; start as many processes$"
    ):
        runtime.device(Machine(), 3)


@pytest.mark.parametrize(
    ("threads", "workers", "processes", "expected"),
    [
        (8, 7, 1, (8, 7)),
        (8, 6, 2, (4, 3)),
        (16, 12, 4, (4, 3)),
        (9, 5, 2, (4, 3)),
        (1, 0, 4, (1, 0)),
        (4, 1, 4, (1, 1)),
    ],
)
def test_processes_share_the_threads_of_their_job(threads, workers, processes, expected):
    made = Machine(threads=threads, workers=workers).among(processes)
    assert (made.threads, made.workers) == expected


# Memory


def test_the_history_has_the_most_memory_in_use(stores, tiny, tmp_path):
    slice_ = train_slice(tiny(), "foundation_x")
    trainer = Trainer(slice_, stores, 40, CPU)
    torch.ones(2**28)  # 1 GiB, given back before anything is measured
    row = next(iter(trainer.run(slice_.passes(1)[0])))
    most = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**20
    assert row["memory"] == pytest.approx(most, rel=0.02)
    assert row["memory"] > 1.2
    write_history(tmp_path / "history.csv", [row], COLUMNS)
    header, line = (tmp_path / "history.csv").read_text().splitlines()
    assert header.endswith(",images_per_second,memory")
    assert float(line.split(",")[-1]) == row["memory"]


# Ways to compute


def _losses(tiny, stores, **changes):
    """Losses of a cycle without chance in the network, and the trainer."""
    arguments = tiny().model.backbone.arguments | {"drop_path_rate": 0.0}
    params = tiny(model__backbone__arguments=arguments, model__segmentation__dropout=0.0, **changes)
    slice_ = train_slice(params, "foundation_x")
    trainer = Trainer(slice_, stores, 40, CPU)
    return [row["loss"] for one in slice_.passes(1) for row in trainer.run(one)], trainer


def test_channels_last_changes_no_loss_and_continues_to_the_same_bits(stores, tiny, tmp_path):
    expected, _ = _losses(tiny, stores)
    found, trainer = _losses(tiny, stores, pretrain__channels_last=True)
    assert found == pytest.approx(expected, rel=1e-4)
    convolutions = [one for one in trainer.student.modules() if isinstance(one, nn.Conv2d)]
    assert all(one.weight.is_contiguous(memory_format=torch.channels_last) for one in convolutions)
    changes = {"pretrain__channels_last": True, "pretrain__stage": "dataset"}
    slice_ = train_slice(tiny(**changes), "foundation_x")
    whole = train_slice(
        tiny(**changes | {"pretrain__stage": "cycle", "runs__foundation_x__train__stage_cycles": 2}), "foundation_x"
    )
    for one, names in ((slice_, ("cycle_1", "cycle_2")), (whole, ("cycle_2",))):
        for name in names:
            pretrain(one, name, stores, Machine(), 0, tmp_path / names[0], tmp_path / "work")
    halves, at_once = (load(tmp_path / name / "cycle_2.safetensors") for name in ("cycle_1", "cycle_2"))
    for name, value in at_once.tensors.items():
        assert torch.equal(value, halves.tensors[name]), name


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # dynamo looks at all that a program is given
@pytest.mark.parametrize(
    "backend",
    [
        "eager",  # traces the network and compiles nothing
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.long,
                pytest.mark.skipif(
                    which("g++") is None, reason="torch.compile needs a C++ compiler, and there is no g++"
                ),
            ],
        ),
    ],
)
def test_a_compiled_network_has_the_same_losses_and_names(stores, tiny, monkeypatch, backend):
    expected, plain = _losses(tiny, stores)
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=backend))
    torch._dynamo.utils.counters.clear()
    found, trainer = _losses(tiny, stores, pretrain__compile=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 3
    assert not torch._dynamo.utils.counters["graph_break"]
    assert found == pytest.approx(expected, rel=1e-4)
    assert list(trainer.state("a").tensors) == list(plain.state("a").tensors)


def test_without_a_compiler_compile_is_one_line(stores, tiny, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(InputError, match=r"^pretrain\.compile is true, but there is no C\+\+ compiler \(g\+\+\); "):
        _losses(tiny, stores, pretrain__compile=True)
