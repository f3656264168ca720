"""Starting from weights that exist: heads that were there say what they said, new ones are drawn."""

from pathlib import Path

import pytest
import torch
import yaml

from fxcore.errors import InputError
from fxcore.files import write_json
from fxcore.machine import Machine
from fxcore.models.foundation import FoundationX
from fxcore.params.model import Model
from fxcore.params.training import Start
from fxcore.passes import Task
from fxcore.planning.plan import Plan
from fxcore.slices.make import train_slice
from fxcore.slices.train import KeepSlice, Origin
from fxcore.tensorfile import digest, write
from fxcore.training.keep import keep
from fxcore.training.loop import Trainer
from fxcore.training.pretrain import pretrain
from fxcore.training.starting import best, start
from fxcore.training.state import load
from tests.conftest import TINY, changed
from tests.models.test_foundation import HEADS, MODEL

JOINED = HEADS | {"c": {Task.CLASSIFICATION: 4, Task.LOCALIZATION: 2, Task.SEGMENTATION: 1}}


def _network(heads, seed, **changes):
    return FoundationX(Model.model_validate(MODEL | changes), heads, seed).eval()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The weights file of a network with two datasets, and the network."""
    network = _network(HEADS, 1)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("weights") / "finished.safetensors"
    return Start(file=str(path), sha256=write(path, network.state_dict(), {})), network


@pytest.mark.parametrize("decoder", ["own", "shared"])
def test_at_the_moment_of_joining_every_other_head_gives_the_same_output(tmp_path, caplog, decoder):
    localization = MODEL["localization"] | {"decoder": decoder}
    before, after = _network(HEADS, 1, localization=localization), _network(JOINED, 2, localization=localization)
    digest = write(tmp_path / "w.safetensors", before.state_dict(), {})
    file = tmp_path / "w.safetensors"
    with caplog.at_level("INFO", "fxcore"):
        assert start(after, Start(file=str(file), sha256=digest), Origin(file)) == digest
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        expected = {(name, task): one.logits for name, task, one in before.everything(images, list(HEADS))}
        found = {(name, task): one.logits for name, task, one in after.everything(images, list(HEADS))}
    assert set(found) == {(name, task) for name in HEADS for task in Task}
    assert all(torch.equal(found[cell], expected[cell]) for cell in expected)
    fresh = _network(JOINED, 2, localization=localization).state_dict()
    new = {name: value for name, value in after.state_dict().items() if name not in before.state_dict()}
    assert all(torch.equal(value, fresh[name]) for name, value in new.items())
    own = "decoders.c, " if decoder == "own" else ""
    assert caplog.messages[-1].endswith(
        f"drawn: classification_heads.c, {own}localization_heads.c, segmentation_heads.c"
    )


def test_heads_that_the_run_does_not_have_are_left(finished, caplog):
    how, network = finished
    alone = _network({"a": {Task.CLASSIFICATION: 2}}, 3)
    with caplog.at_level("INFO", "fxcore"):
        start(alone, how, Origin(Path(how.file)))
    assert "drawn: nothing" in caplog.messages[-1]
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(alone.classify(images, "a").logits, network.classify(images, "a").logits)


def test_another_content_under_the_name_is_refused(finished):
    how, _ = finished
    with pytest.raises(
        InputError, match=rf"have the SHA-256 {how.sha256}; the run starts from {'0' * 64}; name the right"
    ):
        start(_network(HEADS, 1), how.model_copy(update={"sha256": "0" * 64}), Origin(Path(how.file)))


def test_another_width_is_said_with_the_tensor(finished):
    how, _ = finished
    other = HEADS | {"a": {Task.CLASSIFICATION: 7}}
    with pytest.raises(InputError, match=r"classification_heads\.a\.\w+ has shape \(2.*\); the run's network has \(7"):
        start(_network(other, 1), how, Origin(Path(how.file)))


def test_student_and_teacher_start_from_it_and_training_goes_on(stores, tiny, tmp_path):
    trained = Trainer(train_slice(tiny(), "foundation_x"), stores, 40, torch.device("cpu"))
    with torch.no_grad():
        for parameter in trained.student.parameters():
            parameter.add_(0.01)
    digest = write(tmp_path / "w.safetensors", trained.student.state_dict(), {})
    block = {"file": str(tmp_path / "w.safetensors"), "sha256": digest}
    slice_ = train_slice(tiny(runs__foundation_x__train__start=block, seed=9), "foundation_x")
    trainer = Trainer(slice_, stores, 40, torch.device("cpu"))
    assert trainer.begin(Origin(tmp_path / "w.safetensors")) == digest
    for name, value in trained.student.state_dict().items():
        assert torch.equal(trainer.student.state_dict()[name], value), name
        assert torch.equal(trainer.teacher.model.state_dict()[name], value), name
    pretrain(
        slice_, "cycle_1", stores, Machine(), 0, tmp_path / "run", tmp_path / "work", Origin(tmp_path / "w.safetensors")
    )
    (tmp_path / "w.safetensors").unlink()  # later stages do not need it
    pretrain(slice_, "cycle_2", stores, Machine(), 0, tmp_path / "run", tmp_path / "work")


def test_weights_that_are_not_there_are_said_before_any_job(tmp_path):
    block = {"file": "nowhere.safetensors", "sha256": "0" * 64}
    changes = {"results_root": str(tmp_path / "results"), "runs__foundation_x__train__start": block}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(changed(yaml.safe_load(TINY.read_text()), changes)))
    with pytest.raises(
        InputError, match=r"runs\.foundation_x\.train\.start: no file nowhere\.safetensors; make it with"
    ):
        Plan.load(str(file))


def test_a_checksum_that_is_none_is_said(tiny):
    with pytest.raises(ValueError, match="sha256"):
        tiny(runs__foundation_x__train__start={"file": "w.safetensors", "sha256": "abc"})


def test_a_finetune_of_the_head_moves_nothing_but_the_head(stores, tiny, tmp_path):
    slice_ = train_slice(tiny(finetune__transfer__train__tune="head", seed=9), "transfer")
    origin = Trainer(train_slice(tiny(), "foundation_x"), stores, 40, torch.device("cpu")).student
    file = tmp_path / "w.safetensors"
    write(file, origin.state_dict(), {})
    pretrain(slice_, "cycle_1", stores, Machine(), 0, tmp_path / "run", tmp_path / "work", Origin(file))
    after = load(tmp_path / "run" / "cycle_1.safetensors").part("student")
    before = origin.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {"segmentation_heads.example_a.weight", "segmentation_heads.example_a.bias"}


def _candidate(cycle, value, branch="teacher", dataset="a"):
    return {"cycle": cycle, "branch": branch, "dataset": dataset, "task": "classification", "value": value}


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([_candidate(1, 0.6), _candidate(2, 0.5)], (1, "teacher")),
        ([_candidate(1, 0.5), _candidate(2, 0.5)], (2, "teacher")),
        # means over heads: 0.6 after one cycle, 0.55 after two
        (
            [
                *(_candidate(1, 0.3), _candidate(1, 0.9, dataset="b")),
                *(_candidate(2, 0.5), _candidate(2, 0.6, dataset="b")),
            ],
            (1, "teacher"),
        ),
        # a student is taken only where there is no teacher
        ([_candidate(1, 0.6), _candidate(1, 0.9, "student")], (1, "teacher")),
        ([_candidate(1, 0.6, "student"), _candidate(2, 0.7, "student")], (2, "student")),
        # what is undefined counts for nothing
        ([_candidate(1, 0.6), _candidate(1, None, dataset="b"), _candidate(2, 0.5)], (1, "teacher")),
        ([_candidate(1, None), _candidate(2, None)], (2, "teacher")),
    ],
)
def test_the_best_mean_over_all_heads(candidates, expected):
    assert best(candidates) == expected


def test_a_run_starts_from_the_state_that_validation_prefers(stores, tiny, tmp_path):
    slice_ = train_slice(tiny(), "foundation_x")
    for cycle in (1, 2):
        pretrain(slice_, f"cycle_{cycle}", stores, Machine(), 0, tmp_path / "run", tmp_path / "work")
    keep(KeepSlice(run="foundation_x", cycles=2), tmp_path / "run", tmp_path / "kept")
    choice = tmp_path / "choice.json"
    write_json(choice, {"candidates": [_candidate(1, 0.7), _candidate(2, 0.6), _candidate(2, 0.9, "student")]})
    finetuned = train_slice(tiny(), "transfer")
    trainer = Trainer(finetuned, stores, 40, torch.device("cpu"))
    found = trainer.begin(Origin(tmp_path / "kept", choice))
    expected = load(tmp_path / "kept/cycle_1.safetensors").part("teacher")
    assert found == digest(expected)
    own = trainer.student.state_dict()
    common = own.keys() & expected.keys()
    assert {name.partition(".")[0] for name in common} == {
        *("backbone", "segmentation_decoder", "segmentation_heads"),
    }
    assert all(torch.equal(own[name], expected[name]) for name in common)
