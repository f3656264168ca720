"""Whenever a stage is interrupted, it ends with the bits of one that was not."""

import multiprocessing

import numpy as np
import pandas as pd
import pytest
import torch

from fxcore import paths
from fxcore.data.store import Store
from fxcore.machine import Machine
from fxcore.slices.make import train_slice
from fxcore.tensorfile import read
from fxcore.training.autosave import Autosave
from fxcore.training.loop import Trainer
from fxcore.training.pretrain import MEASURED, pretrain
from fxcore.training.state import load
from tests.training.conftest import train

ALWAYS = Machine(autosave=0)


class Interrupted(BaseException):
    """Stands for whatever ends a process."""


def _run(slice_, name, stores, folder, machine=ALWAYS):
    pretrain(slice_, name, stores, machine, 0, folder / "checkpoints", folder / "work")


def _break_after(monkeypatch, updates):
    """Let a trainer do some updates in this process, and no more."""
    done, update = [], Trainer._update

    def counted(self, *arguments):
        if len(done) == updates:
            raise Interrupted
        done.append(1)
        return update(self, *arguments)

    monkeypatch.setattr(Trainer, "_update", counted)
    return done


def _equal(folder, expected, names):
    """Whether two runs left the same states and snapshots, and the same history but for speed."""
    for name in names:
        ours, theirs = paths.stage(folder, name), paths.stage(expected, name)
        assert ours.weights.read_bytes() == theirs.weights.read_bytes(), name
        assert ours.optimizer.exists() == theirs.optimizer.exists() == (name in names[-2:])
        assert not ours.optimizer.exists() or ours.optimizer.read_bytes() == theirs.optimizer.read_bytes()
        assert read(ours.snapshots)[1]["sha256"] == read(theirs.snapshots)[1]["sha256"]
        histories = [pd.read_csv(one.history).drop(columns=list(MEASURED)) for one in (ours, theirs)]
        pd.testing.assert_frame_equal(*histories)


@pytest.fixture(scope="module")
def undisturbed(_tiny, stores, tmp_path_factory):
    """One cycle of the joint run: five passes of 3, 1, 3, 1 and 3 updates in one job."""
    from fxcore.params.experiment import Params

    folder = tmp_path_factory.mktemp("undisturbed")
    slice_ = train_slice(Params.model_validate(_tiny), "foundation_x")
    train(slice_, stores, folder, ["cycle_1"])
    return slice_, folder


@pytest.mark.parametrize("updates", [0, 1, 3, 4, 7, 10])
def test_a_stage_continues_after_any_update_with_the_same_bits(undisturbed, stores, tmp_path, monkeypatch, updates):
    slice_, expected = undisturbed
    with monkeypatch.context() as broken:
        _break_after(broken, updates)
        with pytest.raises(Interrupted):
            _run(slice_, "cycle_1", stores, tmp_path)
    assert not (tmp_path / "checkpoints").exists()
    with monkeypatch.context() as counting:
        done = _break_after(counting, 100)
        _run(slice_, "cycle_1", stores, tmp_path)
    assert len(done) == 11 - updates
    _equal(tmp_path / "checkpoints", expected, ["cycle_1"])
    assert list((tmp_path / "work").iterdir()) == []


def test_interrupted_again_and_again(undisturbed, stores, tmp_path, monkeypatch):
    slice_, expected = undisturbed
    for _ in range(10):
        with monkeypatch.context() as broken:
            _break_after(broken, 1)
            with pytest.raises(Interrupted):
                _run(slice_, "cycle_1", stores, tmp_path)
    _run(slice_, "cycle_1", stores, tmp_path)
    _equal(tmp_path / "checkpoints", expected, ["cycle_1"])


def test_the_interval_does_not_matter_and_none_saves_nothing(undisturbed, stores, tmp_path, monkeypatch):
    slice_, expected = undisturbed
    for minutes in (None, 1000.0):
        folder = tmp_path / str(minutes)
        with monkeypatch.context() as broken:
            _break_after(broken, 5)
            with pytest.raises(Interrupted):
                _run(slice_, "cycle_1", stores, folder, Machine(autosave=minutes))
        assert not (folder / "work").exists()
        _run(slice_, "cycle_1", stores, folder, Machine(autosave=minutes))
        _equal(folder / "checkpoints", expected, ["cycle_1"])


def _interrupted(slice_, stores, folder, monkeypatch, updates=5):
    with monkeypatch.context() as broken:
        _break_after(broken, updates)
        with pytest.raises(Interrupted):
            _run(slice_, "cycle_1", stores, folder)
    return folder / "work/cycle_1.safetensors"


def _flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(("damage", "reason"), [(_flip, "do not have the checksum"), (_cut, "cannot be read")])
def test_a_damaged_save_is_not_used(undisturbed, stores, tmp_path, monkeypatch, caplog, damage, reason):
    slice_, expected = undisturbed
    damage(_interrupted(slice_, stores, tmp_path, monkeypatch))
    with caplog.at_level("INFO", logger="fxcore"):
        _run(slice_, "cycle_1", stores, tmp_path)
    assert "starting at the beginning; the autosave does not fit" in caplog.text
    assert reason in caplog.text
    _equal(tmp_path / "checkpoints", expected, ["cycle_1"])


def test_a_save_of_other_parameters_is_not_used_and_says_which(
    undisturbed, stores, tiny, tmp_path, monkeypatch, caplog
):
    slice_, expected = undisturbed
    _interrupted(train_slice(tiny(pretrain__consistency=0.25), "foundation_x"), stores, tmp_path, monkeypatch)
    with caplog.at_level("INFO", logger="fxcore"):
        _run(slice_, "cycle_1", stores, tmp_path)
    assert "was trained with other pretrain" in caplog.text
    _equal(tmp_path / "checkpoints", expected, ["cycle_1"])


def test_a_save_that_continues_other_weights_is_not_used(undisturbed, stores, tmp_path, monkeypatch):
    slice_, _ = undisturbed
    path = _interrupted(slice_, stores, tmp_path, monkeypatch)
    trainer = Trainer(slice_, stores, 40, torch.device("cpu"))
    from fxcore.training.snapshots import Snapshots

    assert Autosave(path, None, "cycle_1", "other").restore(trainer, Snapshots(slice_)) == []
    assert Autosave(path, None, "cycle_2", None).restore(trainer, Snapshots(slice_)) == []
    assert (trainer.updates, trainer.within) == (0, 0)
    assert len(Autosave(path, None, "cycle_1", None).restore(trainer, Snapshots(slice_))) == 5
    # three updates of classification, one in lock mode, one of the release pass that is under way
    assert (trainer.passes, trainer.updates, trainer.within) == (2, 5, 1)


def _child(slice_json, folders, name, folder):
    from fxcore.slices.train import TrainSlice

    torch.set_num_threads(1)
    stores = {key: Store(path, path / "split.parquet") for key, path in folders.items()}
    _run(TrainSlice.model_validate_json(slice_json), name, stores, folder)


def test_twenty_sigkills_from_a_seeded_schedule(undisturbed, stores, tmp_path):
    """Each of four stages is killed five times, at moments that a seed decides, and then ends; one that was faster runs again."""
    slice_, _ = undisturbed
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.test_autosave", "timm"])
    random = np.random.Generator(np.random.PCG64(11))
    folders = {key: store.folder for key, store in stores.items()}
    names = [f"cycle_{number}" for number in range(1, 5)]
    for name in names:
        kills = 0
        while kills < 6:
            # long enough to begin, mostly too short to end; the sixth time until it has ended
            patience = random.uniform(0.1, 0.5) if kills < 5 else None
            process = context.Process(target=_child, args=(slice_.canonical(), folders, name, tmp_path))
            process.start()
            process.join(patience)
            if process.is_alive():
                process.kill()
                process.join()
            else:
                assert process.exitcode == 0
            kills += process.exitcode != 0 or patience is None
    train(slice_, stores, tmp_path / "expected", names)
    _equal(tmp_path / "checkpoints", tmp_path / "expected", names)
    assert load(paths.stage(tmp_path / "checkpoints", "cycle_4").weights).passes == 20


def test_a_stage_that_was_killed_when_all_was_written_is_made_again(stores, tiny, tmp_path):
    """Snakemake removes what an interrupted job wrote, though it may have been whole."""
    slice_ = train_slice(tiny(), "foundation_x")
    for name in ("cycle_1", "cycle_2", "cycle_3"):
        _run(slice_, name, stores, tmp_path)
    files = paths.stage(tmp_path / "checkpoints", "cycle_3")
    expected = files.weights.read_bytes()
    for path in (files.weights, files.optimizer, files.snapshots, files.history):
        path.unlink()
    _run(slice_, "cycle_3", stores, tmp_path)
    assert files.weights.read_bytes() == expected
