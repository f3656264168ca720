"""A stage of pretraining without labels: schedules, the teacher, the start from another stage, and resuming to the same bytes."""

import math
import multiprocessing
import os
import socket

import numpy as np
import pandas as pd
import pytest
import torch

from fxcore.cxrlt.ssl import Now, Pretrainer, optimizer_of, ssl
from fxcore.cxrlt.vit import resampled
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params.cxrlt import BackboneStage
from fxcore.slices.cxrlt import SslSlice
from fxcore.slices.make import ssl_slice
from fxcore.tensorfile import read
from fxcore.training.parallel import ALONE, together

CPU = torch.device("cpu")
ALWAYS = Machine(autosave=0)


@pytest.fixture
def slice_(tiny):
    return ssl_slice(tiny(), "vit", 32)


@pytest.fixture
def corpus(stores):
    return pd.DataFrame({"source": "example_a", "row": np.arange(len(stores["example_a"].table))})


def _with(slice_, **changes):
    """A slice with other values of its stage or of how it is pretrained."""
    stage = {name: value for name, value in changes.items() if name in BackboneStage.model_fields}
    how = {name: value for name, value in changes.items() if name not in stage}
    content = slice_.model_dump(mode="json")
    content["stage"] |= stage
    content["pretrain"] |= how
    return SslSlice.model_validate(content)


def test_schedules_at_their_ends(slice_):
    long = _with(slice_, updates=1000, batch_size=256, rate=2e-4, freeze_prototypes=0.01)
    first, top, middle, last = (Now.at(update, long) for update in (0, 100, 550, 1000))
    peak = 2e-4 * math.sqrt(256 / 1024)
    assert (first.rate, top.rate) == pytest.approx((0, peak))
    assert middle.rate == pytest.approx((peak + 1e-6) / 2)  # half-way between warm-up and end
    assert last.rate == pytest.approx(1e-6)
    assert (first.momentum, last.momentum) == pytest.approx((0.994, 1.0))
    assert (first.weight_decay, last.weight_decay) == pytest.approx((0.04, 0.2))
    assert [Now.at(update, long).temperature for update in (0, 150, 300, 900)] == pytest.approx(
        [0.04, 0.055, 0.07, 0.07]
    )
    assert [Now.at(update, long).frozen for update in (0, 9, 10)] == [True, True, False]


def test_groups_of_the_optimiser(slice_, corpus, stores):
    student = Pretrainer(slice_, corpus, stores, CPU).student
    names = {parameter: name for name, parameter in student.named_parameters()}
    groups = {
        names[one]: (group["factor"], group["decays"], group["prototypes"])
        for group in optimizer_of(student, 0.2).param_groups
        for one in group["params"]
    }
    assert len(groups) == len(names)
    assert groups["backbone.net.patch_embed.proj.weight"] == (0.2, True, False)
    assert groups["backbone.net.patch_embed.proj.bias"] == (0.2, False, False)
    assert groups["dino.prototypes.parametrizations.weight.original1"] == (1.0, True, True)
    assert groups["backbone.net.blocks.0.ls1.gamma"] == (1.0, False, False)


def test_an_update_moves_the_student_and_the_teacher_follows(slice_, corpus, stores):
    # from the third update on the rate is above 0 and prototypes move
    trainer = Pretrainer(_with(slice_, updates=3, warmup=0), corpus, stores, CPU)
    before = {name: value.clone() for name, value in trainer.tensors().items()}
    rows = list(trainer.run())
    after = trainer.tensors()
    assert [row["update"] for row in rows] == [1, 2, 3]
    assert all(math.isfinite(row["loss"]) for row in rows)
    name = "backbone.net.blocks.1.mlp.fc1.weight"
    assert not torch.equal(before[f"student.{name}"], after[f"student.{name}"])
    moved, followed = ((after[f"{one}.{name}"] - before[f"{one}.{name}"]).norm() for one in ("student", "teacher"))
    assert 0 < followed < 0.05 * moved


def test_the_teacher_is_the_average_of_the_schedule(slice_, corpus, stores):
    """After one update: m · θ + (1 - m) · θ', with m = 0.994."""
    trainer = Pretrainer(_with(slice_, updates=1, warmup=0), corpus, stores, CPU)
    name = "backbone.net.blocks.0.attn.qkv.weight"
    start = trainer.tensors()[f"student.{name}"].clone()
    list(trainer.run())
    student, teacher = (trainer.tensors()[f"{one}.{name}"] for one in ("student", "teacher"))
    torch.testing.assert_close(teacher, 0.994 * start + 0.006 * student, rtol=1e-6, atol=1e-8)


def _run(slice_, corpus, stores, folder, start=None, machine=ALWAYS):
    folder.mkdir(exist_ok=True)
    ssl(slice_, corpus, stores, machine, 0, start, folder / "32.safetensors", folder / "work.safetensors")
    return folder / "32.safetensors"


def _history(path):
    return pd.read_csv(path.with_suffix(".csv")).drop(columns=["images_per_second", "memory"])


class Interrupted(BaseException):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_stage_ends_with_the_same_bytes(slice_, corpus, stores, tmp_path, monkeypatch, after):
    whole = _run(slice_, corpus, stores, tmp_path / "whole")
    update = Pretrainer._update

    def broken(self, *arguments):
        if self.updates == after:
            raise Interrupted
        return update(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Pretrainer, "_update", broken)
        with pytest.raises(Interrupted):
            _run(slice_, corpus, stores, tmp_path / "cut")
    assert (tmp_path / "cut" / "work.safetensors").exists()
    cut = _run(slice_, corpus, stores, tmp_path / "cut")
    assert cut.read_bytes() == whole.read_bytes()
    pd.testing.assert_frame_equal(_history(cut), _history(whole))
    assert not (tmp_path / "cut" / "work.safetensors").exists()


def test_processes_that_load_change_nothing(slice_, corpus, stores, tmp_path):
    one = _run(slice_, corpus, stores, tmp_path / "one")
    other = _run(slice_, corpus, stores, tmp_path / "other", machine=Machine(threads=2, workers=1))
    assert one.read_bytes() == other.read_bytes()


def test_a_stage_that_starts_from_another_has_its_student_and_teacher_on_a_new_grid(tiny, corpus, stores, tmp_path):
    first = _run(ssl_slice(tiny(), "vit", 32), corpus, stores, tmp_path / "first")
    tensors, _ = read(first)
    still = _with(ssl_slice(tiny(), "vit", 48), updates=0)
    found, _ = read(_run(still, corpus, stores, tmp_path / "second", start=first))
    for network in ("student", "teacher"):
        place = f"{network}.backbone.net.pos_embed"
        assert found[place].shape == (1, 36, 24)
        torch.testing.assert_close(found[place], resampled(tensors[place], 6))
        name = f"{network}.backbone.net.blocks.1.mlp.fc2.weight"
        assert torch.equal(found[name], tensors[name])
    assert not torch.equal(tensors["student.backbone.mask_token"], tensors["teacher.backbone.mask_token"])


def test_as_the_authors_do_the_teacher_is_the_student_and_positions_are_drawn(tiny, corpus, stores, tmp_path):
    first = _run(ssl_slice(tiny(), "vit", 32), corpus, stores, tmp_path / "first")
    anew = _with(ssl_slice(tiny(), "vit", 48), updates=0, carry=False)
    tensors, _ = read(first)
    found, _ = read(_run(anew, corpus, stores, tmp_path / "second", start=first))
    names = [name.removeprefix("student.") for name in found if name.startswith("student.")]
    assert all(torch.equal(found[f"student.{name}"], found[f"teacher.{name}"]) for name in names)
    name = "backbone.net.blocks.0.attn.proj.weight"
    assert torch.equal(found[f"student.{name}"], tensors[f"student.{name}"])
    drawn = Pretrainer(anew, corpus, stores, CPU).tensors()["student.backbone.net.pos_embed"]
    assert torch.equal(found["student.backbone.net.pos_embed"], drawn)


def test_a_start_of_other_sizes_is_named(tiny, corpus, stores, tmp_path):
    first = _run(ssl_slice(tiny(), "vit", 32), corpus, stores, tmp_path / "first")
    content = ssl_slice(tiny(), "vit", 48).model_dump(mode="json")
    content["vit"]["width"] = 32
    with pytest.raises(InputError, match="is no backbone of these sizes"):
        _run(SslSlice.model_validate(content), corpus, stores, tmp_path / "second", start=first)


def test_a_loss_that_is_not_finite_stops(slice_, corpus, stores, tmp_path):
    with pytest.raises(FloatingPointError, match="vit, 32 pixels, update"):
        _run(_with(slice_, rate=1e30, updates=12, warmup=0), corpus, stores, tmp_path / "out")


# Two processes


def _first_update(slice_, corpus, stores, group):
    """Numbers, gradients and teacher of the first update."""
    trainer = Pretrainer(slice_, corpus, stores, CPU, group=group)
    row = next(iter(trainer.run()))
    numbers = {name: row[name] for name in ("loss", "dino", "ibot", "koleo", "gradient_norm")}
    return numbers, {name: one.grad for name, one in trainer.student.named_parameters()}, trainer.tensors()


def _process(rank, port, text, folders, out):
    """What one of two processes finds."""
    from fxcore.data.store import Store

    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    stores = {key: Store(path, path / "split.parquet") for key, path in folders.items()}
    corpus = pd.DataFrame({"source": "example_a", "row": np.arange(len(stores["example_a"].table))})
    with together(CPU) as group:
        torch.save(_first_update(SslSlice.model_validate_json(text), corpus, stores, group), out)


def test_two_processes_make_the_update_of_one(slice_, corpus, stores, tmp_path):
    still = _with(slice_, updates=2, warmup=0, clip=1e9).model_copy(
        update={"vit": slice_.vit.model_copy(update={"drop_path": 0.0})}
    )
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.cxrlt.test_ssl", "timm"])
    folders = {key: store.folder for key, store in stores.items()}
    processes = [
        context.Process(target=_process, args=(rank, port, still.canonical(), folders, tmp_path / f"{rank}.pt"))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    numbers, gradients, tensors = _first_update(still, corpus, stores, ALONE)
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    for rank in range(2):
        found, slopes, after = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert found == pytest.approx(numbers, rel=1e-4)
        scale = max(float(one.abs().max()) for one in gradients.values())
        for name, one in gradients.items():
            torch.testing.assert_close(slopes[name], one, atol=2e-5 * scale, rtol=1e-3, msg=name)
        # Adam's first step is the sign of a gradient, whatever its size: only the teacher's are compared, which move little
        for name, one in tensors.items():
            if name.startswith("teacher."):
                torch.testing.assert_close(after[name], one, atol=1e-4, rtol=1e-3, msg=name)
