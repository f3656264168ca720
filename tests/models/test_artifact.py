"""Our weights files: what is written comes back, and what is no such file is said."""

import pytest
import torch

from fxcore.errors import InputError
from fxcore.models.artifact import Card, Data, Measured, page, read, write
from fxcore.models.foundation import FoundationX
from fxcore.params.model import Model
from fxcore.passes import Task
from fxcore.tensorfile import write as write_tensors
from tests.models.test_foundation import MODEL

CARD = Card(
    title="A network",
    origin={"run": "mine", "commit": "abc", "params": {"seed": 3}},
    licence="None.",
    model=Model.model_validate(MODEL),
    data={
        "a": Data(
            title="Set A",
            classes={Task.CLASSIFICATION: ("Nodule", "Mass")},
            images={Task.CLASSIFICATION: 1234},
            synthetic=True,
            validation={Task.CLASSIFICATION: Measured(metric="auc", value=0.8125)},
        ),
        "b": Data(title="Set B", classes={Task.SEGMENTATION: ("Lungs",)}, licence="CC BY 4.0"),
    },
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "w.safetensors"
    write(path, FoundationX(CARD.model, CARD.heads, seed=7).state_dict(), CARD)
    return path


def test_a_network_comes_back_with_its_card(file):
    found, expected = read(file), FoundationX(CARD.model, CARD.heads, seed=7).eval()
    assert found.card == CARD
    assert not found.model.training
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(found.model.classify(images, "a").logits, expected.classify(images, "a").logits)
        assert torch.equal(found.model.segment(images, "b").logits, expected.segment(images, "b").logits)


def test_the_card_can_be_read(file):
    text = file.with_suffix(".md").read_text()
    assert text == page(CARD, "w.safetensors", read(file).sha256)
    assert "| Set A, phantoms | classification | Nodule, Mass | 1,234 | auc 81.2 |" in text
    assert "| Set B | segmentation | Lungs | not known | not measured | CC BY 4.0 |" in text
    assert "- run: mine\n- commit: abc\n" in text
    assert "seed" not in text


def test_equal_weights_are_equal_files(file, tmp_path):
    again = tmp_path / "again" / "w.safetensors"
    write(again, FoundationX(CARD.model, CARD.heads, seed=7).state_dict(), CARD)
    assert again.read_bytes() == file.read_bytes()


def test_tensors_of_another_network_are_refused(tmp_path):
    tensors = FoundationX(CARD.model, {"a": {Task.CLASSIFICATION: 3}}).state_dict()
    write(tmp_path / "w.safetensors", tensors, CARD)
    with pytest.raises(InputError, match=r"w\.safetensors: its tensors are not those of its card") as caught:
        read(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("facts", [{}, {"card": {}}, {"card": {"title": 3}}])
def test_a_file_without_a_card_is_said(tmp_path, facts):
    write_tensors(tmp_path / "w.safetensors", {"w": torch.ones(2)}, facts)
    with pytest.raises(
        InputError, match=r"w\.safetensors: is no weights file of this version; weights files are made by"
    ):
        read(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("name", "says"), [("gone.safetensors", "no such file"), ("epoch_3.pth", "is no weights file")]
)
def test_a_file_that_is_none_of_ours_is_said_with_what_makes_one(tmp_path, name, says):
    (tmp_path / "epoch_3.pth").write_bytes(b"pickled")
    with pytest.raises(InputError, match=rf"{name}: {says}.*; weights files are made by .*import-weights`$"):
        read(tmp_path / name)


def test_a_truncated_file_is_said(file):
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"w\.safetensors: cannot be read"):
        read(file)
