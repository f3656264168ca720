"""The state between stages: whole, safe, checksummed."""

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from fxcore import provenance, tensorfile
from fxcore.errors import InputError
from fxcore.slices.make import train_slice
from fxcore.tensorfile import write
from fxcore.training.moments import optimizer_tensors, restore_optimizer
from fxcore.training.state import TrainState, load

SEEN = {"a": {"classification": 68}}
PROVENANCE = {"params": {"run": "a"}, "stage": "cycle_1"}


def _state(made=PROVENANCE):
    tensors = {
        "student.w": torch.randn(3, 4),
        "teacher.w": torch.randn(3, 4),
        "optimizer.step.w": torch.tensor(3.0),
        "student.n": torch.tensor(5),
    }
    return TrainState(tensors, passes=3, updates=17, seen=SEEN, provenance=made)


def _at(folder, name="a"):
    """Weights and optimiser of a state."""
    return folder / f"{name}.safetensors", folder / f"{name}.optimizer.safetensors"


def test_a_state_comes_back_as_it_was(tmp_path):
    state = _state()
    state.save(*_at(tmp_path))
    again = load(*_at(tmp_path))
    assert (again.passes, again.updates, again.seen, again.provenance) == (3, 17, SEEN, PROVENANCE)
    assert set(again.tensors) == set(state.tensors)
    assert all(torch.equal(again.tensors[name], value) for name, value in state.tensors.items())
    assert set(again.part("student")) == {"w", "n"}


def test_equal_states_are_equal_files(tmp_path):
    state = _state()
    state.save(*_at(tmp_path, "a"))
    state.save(*_at(tmp_path, "b"))
    for one, two in zip(_at(tmp_path, "a"), _at(tmp_path, "b"), strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert set(tmp_path.iterdir()) == {*_at(tmp_path, "a"), *_at(tmp_path, "b")}


def test_weights_alone_are_student_and_teacher(tmp_path):
    _state().save(*_at(tmp_path))
    alone = load(_at(tmp_path)[0])
    assert set(alone.tensors) == {"student.w", "teacher.w", "student.n"}
    assert alone.part("optimizer") == {}


def test_an_optimiser_of_other_weights_is_refused(tmp_path):
    _state().save(*_at(tmp_path, "a"))
    _state().save(*_at(tmp_path, "b"))  # other random tensors
    weights, optimizer = _at(tmp_path, "a")[0], _at(tmp_path, "b")[1]
    with pytest.raises(
        InputError, match=r"b\.optimizer\.safetensors: does not belong to .*a\.safetensors; delete both"
    ):
        load(weights, optimizer)


def _flip(content):
    changed = bytearray(content)
    changed[-3] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-10], "cannot be read"),
        (_flip, "do not have the checksum"),
        (lambda _: b"", "cannot be read"),
    ],
    ids=["cut", "flipped bit", "empty"],
)
def test_a_damaged_state_is_never_used(tmp_path, damage, message):
    for damaged in _at(tmp_path):
        _state().save(*_at(tmp_path))
        damaged.write_bytes(damage(damaged.read_bytes()))
        with pytest.raises(InputError, match=message) as caught:
            load(*_at(tmp_path))
        assert str(damaged) in str(caught.value)
        assert "delete it and make it again with: snakemake" in str(caught.value)


def test_no_bit_of_a_state_flips_unnoticed(tmp_path):
    """Every bit of the head and of the tensors; what is only said of them, too: passes, updates, parameters."""
    weights, _ = _at(tmp_path)
    write(weights, {"student.w": torch.randn(2, 3)}, _state().facts)
    whole = weights.read_bytes()
    assert len(whole) > 3_000 / 8
    for at in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        weights.write_bytes(changed)
        with pytest.raises(InputError):
            load(weights)


def test_a_damaged_file_that_is_kept_of_a_run_is_made_again_with_its_other_name(tmp_path):
    kept = tmp_path / "kept" / "joint"
    kept.mkdir(parents=True)
    (kept / "manifest.json").touch()
    with pytest.raises(InputError) as caught:
        load(kept / "snapshots" / "cycle_1.safetensors")
    assert str(caught.value).endswith(
        f"delete it and {tmp_path}/checkpoints/joint/snapshots/cycle_1.safetensors, and make both again with:"
        f" snakemake --cores all --force -- {kept}/manifest.json"
    )


def test_a_missing_state_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.safetensors: cannot be read"):
        load(tmp_path / "nothing.safetensors")


def test_a_file_of_tensors_that_is_no_state_is_said(tmp_path):
    path = tmp_path / "snapshots.safetensors"
    write(path, {"1.w": torch.ones(2)}, {"provenance": PROVENANCE})
    with pytest.raises(InputError, match=r"snapshots\.safetensors: is no training state, it has no 'passes'"):
        load(path)


HEADS = {
    "example_a": {
        "classification": {
            "classes": ["Cardiomegaly", "Lung Opacity"],
            "uncertain": "u_ignore",
            "blank": "blank_ignore",
            "reported": None,
            "smoothing": [0.55, 0.85],
            "smoothing_seed": 0,
        },
        "localization": ["Right Lung", "Left Lung"],
        "segmentation": ["Lungs", "Heart"],
        "mirror": False,
    }
}


@pytest.fixture
def trained(tiny):
    """A state of the tiny joint run after its second stage."""
    slice_ = train_slice(tiny(), "foundation_x")
    return _state(provenance.describe(slice_) | {"stage": "cycle_2", "heads": HEADS})


def test_a_state_knows_the_slice_and_heads_it_was_trained_with(trained, tiny, tmp_path):
    trained.save(*_at(tmp_path))
    again = load(*_at(tmp_path))
    assert again.slice == train_slice(tiny(), "foundation_x")
    assert {name: one.model_dump(mode="json") for name, one in again.heads.items()} == HEADS
    again.check(train_slice(tiny(runs__foundation_x__train__cycles=4), "foundation_x"), trained.heads)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"pretrain__batch_size": 3}, "pretrain"),
        ({"runs__foundation_x__train__override__pretrain": {"weight_decay": 0.5}}, "pretrain"),
        ({"seed": 8}, "seed"),
        ({"runs__foundation_x__train__momentum": 0.5, "seed": 8, "store_size": 80}, "store_size, seed, momentum"),
        ({"runs__foundation_x__train__horizon_cycles": 5}, "horizon_cycles"),
        ({"runs__foundation_x__train__snapshots": None}, "snapshots"),
        ({"model__segmentation": {"bins": [1]}}, "model"),
    ],
    ids=str,
)
def test_a_state_trained_with_other_parameters_is_refused_and_they_are_named(trained, tiny, changes, what):
    expected = f"cycle_2 of foundation_x was trained with other {what}; delete the run's checkpoints and train it again"
    with pytest.raises(InputError) as caught:
        trained.check(train_slice(tiny(**changes), "foundation_x"), trained.heads)
    assert str(caught.value) == expected


def test_a_state_of_another_run_is_refused(trained, tiny):
    with pytest.raises(InputError, match=r"^a state of run foundation_x; expected example_a_localization$"):
        trained.check(train_slice(tiny(), "example_a_localization"), trained.heads)


def test_a_state_trained_on_other_heads_is_refused(trained):
    heads = {"example_a": trained.heads["example_a"].model_copy(update={"segmentation": ("Heart", "Lungs")})}
    with pytest.raises(InputError, match=r"^cycle_2 of foundation_x was trained with other heads; delete"):
        trained.check(trained.slice, heads)


def test_the_optimiser_continues_as_if_it_had_not_stopped():
    def made():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
        return model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)

    def step(model, optimizer, seed):
        torch.manual_seed(seed)
        optimizer.zero_grad()
        model(torch.randn(4, 3)).sum().backward()
        optimizer.step()

    model, optimizer = made()
    for seed in range(4):
        step(model, optimizer, seed)
    other, fresh = made()
    for seed in range(2):
        step(other, fresh, seed)
    third, resumed = made()
    third.load_state_dict(other.state_dict())
    restore_optimizer(resumed, third, optimizer_tensors(fresh, other))
    for seed in range(2, 4):
        step(third, resumed, seed)
    for name, value in third.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left")])
def test_a_full_disk_is_one_line_and_keeps_what_was_there(tmp_path, monkeypatch, error):
    path = tmp_path / "a.safetensors"
    write(path, {"w": torch.ones(2)}, {"n": 1})
    before = path.read_bytes()

    def full(_, part, *__):
        part.write_bytes(b"half")
        raise error

    monkeypatch.setattr(tensorfile, "save_file", full)
    with pytest.raises(
        InputError, match=r"a\.safetensors: cannot be written \(.*No space left.*\); make room"
    ) as caught:
        write(path, {"w": torch.zeros(2)}, {"n": 2})
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
