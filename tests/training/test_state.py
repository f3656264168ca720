"""The state between stages: whole, safe, checksummed."""

import pytest
import torch
from torch import nn

from fxcore.errors import InputError
from fxcore.training.state import TrainState, load, optimizer_tensors, restore_optimizer


def _state():
    tensors = {
        "student.w": torch.randn(3, 4),
        "teacher.w": torch.randn(3, 4),
        "optimizer.step.w": torch.tensor(3.0),
        "student.n": torch.tensor(5),
    }
    return TrainState(tensors, passes=3, updates=17, provenance={"params": {"run": "a"}, "stage": 1})


def test_a_state_comes_back_as_it_was(tmp_path):
    state = _state()
    state.save(tmp_path / "a.safetensors")
    again = load(tmp_path / "a.safetensors")
    assert (again.passes, again.updates, again.provenance) == (3, 17, {"params": {"run": "a"}, "stage": 1})
    assert set(again.tensors) == set(state.tensors)
    assert all(torch.equal(again.tensors[name], value) for name, value in state.tensors.items())
    assert set(again.part("student")) == {"w", "n"}


def test_equal_states_are_equal_files(tmp_path):
    state = _state()
    state.save(tmp_path / "a.safetensors")
    state.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.safetensors", "b.safetensors"]


def _flip(content):
    changed = bytearray(content)
    changed[-3] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-10], "cannot be read as a training state"),
        (_flip, "do not have the checksum"),
        (lambda _: b"", "cannot be read"),
    ],
    ids=["cut", "flipped bit", "empty"],
)
def test_a_damaged_state_is_never_used(tmp_path, damage, message):
    path = tmp_path / "a.safetensors"
    _state().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert "run the stage again" in str(caught.value)


def test_a_missing_state_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.safetensors: cannot be read"):
        load(tmp_path / "nothing.safetensors")


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
