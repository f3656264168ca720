"""What is kept of a run, and how it comes back."""

import json

import pytest
import torch

from fxcore import paths
from fxcore.errors import InputError
from fxcore.files import sha256
from fxcore.slices.make import keep_slice, train_slice
from fxcore.tensorfile import write
from fxcore.training.keep import Kept, bring_back, keep

RUN = "foundation_x"
STAGES = ("cycle_0-01", "cycle_0-02", "cycle_0-03", "cycle_0-04", "cycle_1")


def _leave(params, folder, stages=STAGES, heads="heads"):
    """Files of some stages of the joint run, as training with some parameters leaves them; no two alike."""
    made = {"params": json.loads(train_slice(params, RUN).canonical()), "heads": {"example_a": heads}}
    for stage in stages:
        files = paths.stage(folder, stage)
        for path in (files.weights, files.optimizer, files.snapshots):
            write(path, {"w": torch.rand(3)}, {"provenance": made | {"stage": stage}})
        files.history.parent.mkdir(exist_ok=True)
        files.history.write_text(stage)


def _files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def by_pass(tiny):
    """One cycle of the joint run, a stage a pass."""

    def make(**changes):
        return tiny(**{"pretrain__stage": "pass", "runs__foundation_x__train__cycles": 1} | changes)

    return make


@pytest.fixture
def kept(by_pass, tmp_path):
    _leave(by_pass(), tmp_path / "checkpoints")
    keep(keep_slice(by_pass(), RUN), tmp_path / "checkpoints", tmp_path / "kept")
    return Kept.open(tmp_path / "kept")


def test_kept_are_weights_of_whole_cycles_the_last_optimiser_and_all_snapshots_and_histories(kept):
    expected = {"cycle_1.safetensors", "optimizer/cycle_1.safetensors"}
    expected |= {
        f"{kind}/{stage}.{end}" for stage in STAGES for kind, end in (("snapshots", "safetensors"), ("history", "csv"))
    }
    assert set(kept.files) == expected
    assert set(_files(kept.folder)) == expected | {"manifest.json"}
    assert kept.weights == {1: kept.folder / "cycle_1.safetensors"}
    assert kept.snapshots == [kept.folder / f"snapshots/{stage}.safetensors" for stage in STAGES]
    for name, checksum in json.loads((kept.folder / "manifest.json").read_text())["files"].items():
        assert sha256(kept.folder / name) == checksum
        assert (kept.folder / name).samefile(kept.folder.parent / "checkpoints" / name)


def test_weights_are_in_the_order_of_training(by_pass, tmp_path):
    longer = {f"runs__foundation_x__train__{name}": 11 for name in ("cycles", "horizon_cycles")}
    params = by_pass(pretrain__stage="cycle", **longer)
    _leave(params, tmp_path / "checkpoints", [f"cycle_{number}" for number in range(1, 12)])
    keep(keep_slice(params, RUN), tmp_path / "checkpoints", tmp_path / "kept")
    assert list(Kept.open(tmp_path / "kept").weights) == list(range(1, 12))


@pytest.mark.parametrize("stray", ["optimizer/cycle_1", "snapshots/cycle_0-02"])
@pytest.mark.parametrize("what", ["params", "heads"])
def test_files_of_different_trainings_are_not_kept_together(by_pass, tmp_path, stray, what):
    folder = tmp_path / "checkpoints"
    _leave(by_pass(), folder)
    _leave(
        by_pass(seed=8) if what == "params" else by_pass(),
        tmp_path / "other",
        heads="other" if what == "heads" else "heads",
    )
    (tmp_path / "other" / f"{stray}.safetensors").replace(folder / f"{stray}.safetensors")
    with pytest.raises(InputError, match=rf"{stray}\.safetensors: was trained with other parameters or heads than"):
        keep(keep_slice(by_pass(), RUN), folder, tmp_path / "kept")
    assert set(tmp_path.iterdir()) == {folder, tmp_path / "other"}


def test_a_missing_file_is_said_and_nothing_is_kept(by_pass, tmp_path):
    _leave(by_pass(), tmp_path / "checkpoints", STAGES[1:])
    with pytest.raises(InputError, match=r"snapshots/cycle_0-01\.safetensors: is missing; train the run again"):
        keep(keep_slice(by_pass(), RUN), tmp_path / "checkpoints", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_what_is_kept_takes_the_place_of_another_training(kept, by_pass, tmp_path):
    folder, expected = tmp_path / "checkpoints", _files(kept.folder)
    del expected["manifest.json"]
    _leave(by_pass(seed=8), folder, ["cycle_0-01", "cycle_1", "cycle_1-01"])
    (folder / "notes.txt").write_text("mine")
    bring_back(kept.folder, folder)
    # of stages that the other training did not reach, its states and what is not kept stay: they are of this training
    inside = {f"{where}{stage}.safetensors" for where in ("", "optimizer/") for stage in STAGES[1:4]}
    found = _files(folder)
    assert set(found) == set(expected) | inside | {"notes.txt"}
    assert {name: found[name] for name in expected} == expected


def test_a_clone_gets_what_is_kept(kept, tmp_path):
    bring_back(kept.folder, tmp_path / "clone")
    assert set(_files(tmp_path / "clone")) == set(kept.files)
    before = {name: (tmp_path / "clone" / name).stat().st_ino for name in kept.files}
    bring_back(kept.folder, tmp_path / "clone")
    assert {name: (tmp_path / "clone" / name).stat().st_ino for name in kept.files} == before


def test_a_longer_training_keeps_its_later_states(kept, by_pass, tmp_path):
    _leave(by_pass(), tmp_path / "checkpoints", ["cycle_1-01"])  # the length of a run is no parameter of its states
    before = _files(tmp_path / "checkpoints")
    bring_back(kept.folder, tmp_path / "checkpoints")
    assert _files(tmp_path / "checkpoints") == before


def test_where_links_cannot_be_made_files_are_copied(kept, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    bring_back(kept.folder, tmp_path / "clone")
    assert _files(tmp_path / "clone") == {name: (kept.folder / name).read_bytes() for name in kept.files}
    assert not (tmp_path / "clone/cycle_1.safetensors").samefile(kept.folder / "cycle_1.safetensors")


@pytest.mark.parametrize("content", [None, "", "{}", '{"provenance": {}}'])
def test_a_folder_without_a_readable_manifest_is_said(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=r"manifest\.json: not readable .*; make it again with: snakemake"):
        Kept.open(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"12345678", b"\x02" + bytes(7) + b"{}", b"\xff" * 40])
def test_a_file_that_is_no_state_is_said(by_pass, tmp_path, content):
    _leave(by_pass(), tmp_path / "checkpoints")
    broken = tmp_path / "checkpoints/cycle_1.safetensors"
    broken.unlink() if content is None else broken.write_bytes(content)
    with pytest.raises(InputError, match=r"cycle_1\.safetensors: cannot be read as a training state"):
        keep(keep_slice(by_pass(), RUN), tmp_path / "checkpoints", tmp_path / "kept")
