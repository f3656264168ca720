"""Several processes on the CPU: the update of one, the same state in all, and one line when one of them dies."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fxcore import cli, paths
from fxcore.data.store import Store
from fxcore.data.targets import Target
from fxcore.passes import Mode, Task
from fxcore.slices.make import train_slice
from fxcore.slices.train import TrainSlice
from fxcore.training.loop import Trainer
from fxcore.training.parallel import ALONE, Group, Part, together
from fxcore.training.state import load
from tests.conftest import changed
from tests.training.conftest import place

CPU = torch.device("cpu")


def _spans(rank, size, images, micro=None):
    return [(part.start, part.end, part.stand_in) for part in Group(rank, size).parts(images, micro)]


def test_parts_by_hand():
    assert ALONE.parts(5, None) == (Part(0, 5),)
    assert ALONE.parts(5, 2) == (Part(0, 2), Part(2, 4), Part(4, 5))
    assert [_spans(rank, 2, 5) for rank in range(2)] == [[(0, 3, False)], [(3, 5, False)]]
    assert _spans(0, 2, 5, 4) == [(0, 2, False), (4, 5, False)]
    assert _spans(1, 2, 5, 4) == [(2, 4, False), (4, 5, True)]  # the last image is the first process's
    assert [_spans(rank, 4, 2) for rank in range(4)] == [
        [(0, 1, False)],
        [(0, 1, True)],
        [(1, 2, False)],
        [(0, 1, True)],
    ]


@given(st.integers(1, 8), st.integers(1, 40), st.none() | st.integers(1, 40))
def test_every_image_is_computed_once_and_all_processes_take_as_many_steps(size, images, micro):
    of_all = [Group(rank, size).parts(images, micro) for rank in range(size)]
    assert {len(parts) for parts in of_all} == {len(ALONE.parts(images, micro))}
    counted = [place for parts in of_all for one in parts if not one.stand_in for place in range(one.start, one.end)]
    assert sorted(counted) == list(range(images))
    assert not any(part.stand_in for part in of_all[0])
    lengths = [sum(one.end - one.start for one in parts if not one.stand_in) for parts in of_all]
    assert max(lengths) - min(lengths) <= len(of_all[0])


def test_each_process_draws_its_own_numbers_and_the_first_those_of_one():
    def drawn(group):
        torch.manual_seed(5)
        group.part_ways()
        return torch.rand(4).tolist()

    alone, first, second, third = map(drawn, (ALONE, Group(0, 3), Group(1, 3), Group(2, 3)))
    assert alone == first
    assert len({tuple(one) for one in (first, second, third)}) == 3


# Updates of two processes

UPDATES = {
    "classification": (Task.CLASSIFICATION, Mode.RELEASE, {}),
    "localization": (Task.LOCALIZATION, Mode.RELEASE, {}),
    "localization, the head alone": (Task.LOCALIZATION, Mode.LOCK, {}),
    # images 0 to 2 as two and one, image 3 with a stand-in beside it
    "uneven micro-batches": (Task.LOCALIZATION, Mode.RELEASE, {"micro_batch": 3}),
    "a batch smaller than the number of processes": (Task.CLASSIFICATION, Mode.RELEASE, {"batch_size": 1}),
    "boxes in the second half only": (Task.LOCALIZATION, Mode.RELEASE, {}),
    "no boxes": (Task.LOCALIZATION, Mode.RELEASE, {"micro_batch": 2}),
    "segmentation, the head alone": (Task.SEGMENTATION, Mode.LOCK, {}),  # frozen BatchNorm
}
EMPTIED = {"boxes in the second half only": (0, 1), "no boxes": (0, 1, 2, 3)}
"""Images that lose their boxes."""
NOTHING = Target(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))


def _trainer(slice_, stores, group, **how):
    changes = {"pretrain": slice_.pretrain.model_copy(update=how)}
    return Trainer(slice_.model_copy(update=changes), stores, 40, CPU, group=group)


def _emptied(share, name):
    """The share without the boxes of some images."""
    gone = EMPTIED.get(name, ())
    if not gone:
        return share
    whole = tuple(NOTHING if place in gone else one for place, one in enumerate(share.whole.boxes))
    places = [place for part in share.parts for place in range(part.start, part.end)]
    own = tuple(whole[place] for place in places)
    return replace(share, own=replace(share.own, boxes=own), whole=replace(share.whole, boxes=whole))


def _updated(slice_, stores, group, name):
    """Numbers and gradients of one update."""
    task, mode, how = UPDATES[name]
    trainer = _trainer(slice_, stores, group, **how)
    one = next(one for one in slice_.passes(1) if (one.task, one.mode) == (task, mode))
    torch.manual_seed(3)
    with torch.no_grad():  # a teacher apart from the student, and box heads that do not end in zeros
        for parameter in (*trainer.student.parameters(), *trainer.teacher.model.parameters()):
            parameter.add_(0.02 * torch.randn_like(parameter))
    parameters = trainer.prepare(one)
    share = _emptied(next(iter(trainer.batches(one))), name)
    torch.manual_seed(5)
    numbers = trainer._update(one, share, parameters)
    return numbers, {key: p.grad for key, p in trainer.student.named_parameters() if p.grad is not None}


def _trained(slice_, stores, group):
    """Everything after a cycle with drop path and dropout, in micro-batches of which the second has one image."""
    trainer = _trainer(slice_, stores, group, micro_batch=3)
    rows = [row for one in slice_.passes(1) for row in trainer.run(one)]
    terms = [{key: row[key] for key in ("update", "images", "loss", "gradient_norm")} for row in rows]
    return terms, {name: value.clone() for name, value in trainer.state("cycle_1").tensors.items()}


def _not_a_number(slice_, stores, group):
    """What is said when a loss is no number."""
    trainer = _trainer(slice_, stores, group)
    with torch.no_grad():
        trainer.student.classification_heads["example_a"].weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError) as caught:
        list(trainer.run(slice_.passes(1)[0]))
    return str(caught.value)


def _process(rank, port, still, shaken, folders, out):
    """What one of two processes finds."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    still, shaken = TrainSlice.model_validate_json(still), TrainSlice.model_validate_json(shaken)
    stores = {key: Store(path, path / "split.parquet") for key, path in folders.items()}
    with together(CPU) as group:
        found = {name: _updated(still, stores, group, name) for name in UPDATES}
        found["trained"] = _trained(shaken, stores, group)
        found["said"] = _not_a_number(still, stores, group)
    torch.save(found, out)


def _still(params, **changes):
    """Parameters without chance in the network."""
    arguments = params().model.backbone.arguments | {"drop_path_rate": 0.0}
    return params(model__backbone__arguments=arguments, model__segmentation__dropout=0.0, **changes)


@pytest.fixture(scope="module")
def slices(_tiny):
    from fxcore.params.experiment import Params

    def params(**changes):
        return Params.model_validate(changed(_tiny, changes))

    return train_slice(_still(params), "foundation_x"), train_slice(params(), "foundation_x")


@pytest.fixture(scope="module")
def pair(slices, stores, tmp_path_factory):
    """What both processes found; they live once for all tests."""
    folder = tmp_path_factory.mktemp("pair")
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.test_parallel", "timm"])
    folders = {key: store.folder for key, store in stores.items()}
    texts = [slice_.canonical() for slice_ in slices]
    processes = [
        context.Process(target=_process, args=(rank, port, *texts, folders, folder / f"{rank}.pt")) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.mark.parametrize("name", UPDATES)
def test_two_processes_make_the_update_of_one(pair, slices, stores, name):
    numbers, expected = _updated(slices[0], stores, ALONE, name)
    (ours, found), (others, same) = pair[0][name], pair[1][name]
    assert ours == others
    assert ours == pytest.approx(numbers, rel=1e-4, abs=1e-6)
    assert set(found) == set(same) == set(expected)
    scale = max(float(value.abs().max()) for value in expected.values())
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=2e-5 * scale, rtol=1e-3, msg=key)
        assert torch.equal(found[key], same[key]), key


def test_without_a_box_what_embeds_denoising_queries_has_no_gradient(pair):
    without = set(pair[0]["localization"][1]) - set(pair[0]["no boxes"][1])
    assert without
    assert all("label" in name for name in without), without


def test_both_processes_end_with_the_same_bits_though_their_dropped_paths_differ(pair):
    (rows, state), (others, same) = (one["trained"] for one in pair)
    assert rows == others
    assert [row["images"] for row in rows] == [4] * 11
    assert set(state) == set(same)
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, same[name]), name


def test_a_loss_that_is_no_number_stops_all_at_once_with_one_line(pair, slices, stores):
    said = [one["said"] for one in pair]
    assert said[0] == said[1] == _not_a_number(slices[0], stores, ALONE)
    assert len(re.search(r"rows \[(.*)\]", said[0])[1].split(",")) == 4


# The job

RUN = "foundation_x"


def _project(folder, stores, tiny):
    """A parameter file, `local.yaml`, and the store and its splits where jobs look for them."""
    place(stores, folder / "results")
    visits = {"example_a": ["classification", "localization"]}
    params = _still(tiny, runs__foundation_x__train__visits=visits, runs__foundation_x__train__snapshots=None)
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json", exclude_unset=True)))
    (folder / "local.yaml").write_text("autosave: 0\n")
    return train_slice(params, RUN)


def _kill_the_second(save, ended):
    """Wait for an autosave, then kill the second process below this one, as the kernel does when memory runs out."""
    while not save.exists():
        if ended.wait(0.01):  # without one; the test says why
            return
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for child in children:
        if b"RANK=1" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            os.kill(int(child), signal.SIGKILL)


def test_a_killed_process_ends_the_job_with_one_line_and_the_next_start_continues(
    stores, tiny, tmp_path, monkeypatch, capfd
):
    slice_ = _project(tmp_path, stores, tiny)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")  # two to lease; torch, which sees none, computes on the CPU
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # leases of its own
    command = ["pretrain", RUN, "--stage", "cycle_1", "--results", "results"]
    folder, work = (at(Path("results"), RUN) for at in (paths.checkpoints, paths.work))
    ended = threading.Event()
    killer = threading.Thread(target=_kill_the_second, args=(work / "cycle_1.safetensors", ended))
    killer.start()
    try:
        assert cli.main([*command, "--gpus", "2", "--log", "log"]) == 2
    finally:
        ended.set()
        killer.join()
    line = (
        "fxcore pretrain: process 2 of 2 was killed (signal 9), perhaps for want of memory; the others were ended."
        " Start the same command again: it continues from the last autosave\n"
    )
    assert capfd.readouterr().err == line
    assert Path("log").read_text().endswith(line)
    assert not folder.exists()

    by_hand = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ran = subprocess.run([*by_hand, "-m", "fxcore", *command], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert len(re.findall(r"continuing cycle_1 after update [1-7], from an autosave", ran.stderr)) == 1
    assert not list(work.iterdir())
    files = paths.stage(folder, "cycle_1")
    expected = Trainer(slice_, stores, 2 * 2 * 7, CPU)
    rows = [row for one in slice_.passes(1) for row in expected.run(one)]
    found = load(files.weights, files.optimizer)
    assert (found.passes, found.updates) == (3, 7)
    assert found.seen == expected.seen
    for name, value in expected.state("cycle_1").tensors.items():
        torch.testing.assert_close(found.tensors[name], value, atol=1e-4, rtol=1e-3, msg=name)
    history = files.history.read_text().splitlines()
    assert len(history) == 1 + len(rows)
