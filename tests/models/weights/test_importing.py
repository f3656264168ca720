"""Weights of others: the same function as before, every tensor accounted for, and nothing unexpected taken."""

import os
import re

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from fxcore.errors import InputError
from fxcore.models.artifact import read
from fxcore.models.foundation import FoundationX
from fxcore.models.weights import foundation_x
from fxcore.models.weights.importing import DEFAULTS, convert, import_weights
from fxcore.params.model import Model
from fxcore.params.registry import registry
from fxcore.passes import Task

SWIN = {"embed_dim": 16, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8)}


@pytest.fixture(scope="module")
def swin():
    """A Swin of timm with a head, as timm names its parts today."""
    torch.manual_seed(0)
    return timm.create_model("swin_tiny_patch4_window7_224", num_classes=10, **SWIN).eval()


def _old(state):
    """The names of timm before 0.9 and of the authors: patch merging at the end of a stage."""
    earlier = re.compile(r"^layers\.(\d)\.downsample\.")
    renamed = {
        earlier.sub(lambda m: f"layers.{int(m[1]) - 1}.downsample.", name): value for name, value in state.items()
    }
    return {name.replace("head.fc.", "head."): value for name, value in renamed.items()}


IMAGES = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def _features(model):
    with torch.no_grad():
        return model.trunk(IMAGES, Task.CLASSIFICATION).features


def _save(state, path):
    torch.save(state, path)
    return path


def _nested(key):
    return lambda state: {key: state, "epoch": 3}


@pytest.mark.parametrize("names", [dict, _old], ids=["new names", "old names"])
@pytest.mark.parametrize("form", [dict, _nested("model"), _nested("state_dict")], ids=["flat", "model", "state_dict"])
def test_a_swin_computes_what_timm_computes(swin, names, form, tmp_path):
    found = convert("swin", _save(form(names(swin.state_dict())), tmp_path / "swin.pth"))
    with torch.no_grad():
        expected = swin.forward_features(IMAGES).mean((1, 2))
    torch.testing.assert_close(_features(found.model), expected, atol=1e-5, rtol=0)
    assert set(found.skipped.values()) <= {"classifies photographs", "follows from the window size"}
    assert len(found.loaded) + len(found.skipped) == len(swin.state_dict())
    assert set(found.drawn) == {f"backbone.norms.{one}.{kind}" for one in range(3) for kind in ("weight", "bias")}


def test_a_swin_from_safetensors(swin, tmp_path):
    save_file({name: value.contiguous() for name, value in swin.state_dict().items()}, tmp_path / "swin.safetensors")
    found = convert("swin", tmp_path / "swin.safetensors")
    assert found.model.sizes.image_size == 224
    assert found.model.sizes.backbone.arguments["window_size"] == 7


@pytest.mark.parametrize("side", [224, 448])
def test_the_image_size_follows_from_the_windows_and_can_be_given(side, tmp_path):
    model = timm.create_model("swin_tiny_patch4_window7_224", img_size=side, **SWIN)
    # a stage of one block has no shifted window, so the second stage of timm's state says nothing
    deeper = timm.create_model("swin_tiny_patch4_window7_224", img_size=side, **(SWIN | {"depths": (2, 1, 1, 1)}))
    state = deeper.state_dict() | {name: value for name, value in deeper.named_buffers() if "attn_mask" in name}
    assert convert("swin", _save(state, tmp_path / "a.pth")).model.sizes.image_size == side
    path = _save(model.state_dict(), tmp_path / "b.pth")
    assert convert("swin", path).model.sizes.image_size == 224
    assert convert("swin", path, options={"image_size": side}).model.sizes.image_size == side


WIDTHS = {"mimic_cxr": 14, "chexpert": 14, "nih14": 14, "rsna_pneumonia": 3, "vindr_cxr": 6, "shenzhen": 1}


def _ark(swin, projector):
    torch.manual_seed(2)
    state = _old(swin.state_dict())
    for number, width in enumerate(WIDTHS.values()):
        state |= {
            f"omni_heads.{number}.weight": torch.randn(width, 128),
            f"omni_heads.{number}.bias": torch.randn(width),
        }
    if projector:
        state |= {"projector.0.weight": torch.randn(20, 128), "projector.2.weight": torch.randn(20, 20)}
    return state


def _parallel(state):
    return {f"module.{name}": value for name, value in state.items()}


ARK = {
    "flat": lambda state: state,
    "teacher": lambda state: {"teacher": state, "state_dict": {}, "lossMIN": np.mean([0.5]), "epoch": 200},
    "parallel": lambda state: {"teacher": _parallel(state)},
}


@pytest.mark.parametrize("form", ARK)
def test_ark_with_a_projector_is_a_backbone(swin, form, tmp_path):
    found = convert("ark", _save(ARK[form](_ark(swin, projector=True)), tmp_path / "ark.pth.tar"))
    with torch.no_grad():
        expected = swin.forward_features(IMAGES).mean((1, 2))
    torch.testing.assert_close(_features(found.model), expected, atol=1e-5, rtol=0)
    reasons = {name: why for name, why in found.skipped.items() if name.startswith(("omni_heads", "projector"))}
    assert len(reasons) == 12 + 2
    assert set(reasons.values()) == {"acts on the projector's output", "the network has no projector"}
    assert found.card.data == {}


def test_ark_without_a_projector_keeps_its_heads(swin, tmp_path):
    state = _ark(swin, projector=False)
    found = convert("ark", _save(state, tmp_path / "ark.pth"))
    with torch.no_grad():
        features = swin.forward_features(IMAGES).mean((1, 2))
        for number, (key, width) in enumerate(WIDTHS.items()):
            expected = features @ state[f"omni_heads.{number}.weight"].T + state[f"omni_heads.{number}.bias"]
            assert expected.shape == (2, width)
            torch.testing.assert_close(found.model.classify(IMAGES, key).logits, expected, atol=1e-4, rtol=0)
    assert found.card.data["rsna_pneumonia"].classes[Task.CLASSIFICATION][0] == "Normal"


def test_ark_with_other_heads_is_refused(swin, tmp_path):
    state = _ark(swin, projector=False)
    del state["omni_heads.5.weight"]
    del state["omni_heads.5.bias"]
    with pytest.raises(InputError, match=r"heads of 14, 14, 14, 3, 6 classes; Ark-6 has 14, 14, 14, 3, 6, 1"):
        convert("ark", _save(state, tmp_path / "ark.pth"))


def _dino(model):
    """A detector's tensors as DINO names them, written down apart from the code under test."""
    ours = model.state_dict()
    state = {f"backbone.0.{name}": value for name, value in _old_body(ours).items()}
    for name, value in ours.items():
        for mine, theirs in SAME.items():
            if name.startswith(mine):
                state[name.replace(mine, theirs, 1)] = value
    for theirs, mine in _linears(model.sizes.localization.decoder_layers).items():
        for kind in ("weight", "bias"):
            state[f"{theirs}.{kind}"] = ours[f"{mine}.{kind}"].clone()
    return state


SAME = {
    "localization_encoder.level_embed": "transformer.level_embed",
    "localization_encoder.input_proj": "input_proj",
    "localization_encoder.layers": "transformer.encoder.layers",
    "queries.content": "transformer.tgt_embed.weight",
    "queries.labels": "label_enc",
    "decoders.coco.layers": "transformer.decoder.layers",
    "decoders.coco.norm": "transformer.decoder.norm",
}
"""Parts that differ by where they hang."""


def _linears(layers):
    """Single layers: DINO's name and ours."""
    head = "localization_heads.coco"
    named = {
        "transformer.enc_output": "decoders.coco.proposal_proj",
        "transformer.enc_output_norm": "decoders.coco.proposal_norm",
        "transformer.enc_out_class_embed": f"{head}.proposal_class",
        "transformer.decoder.ref_point_head.layers.0": "decoders.coco.reference_proj.0",
        "transformer.decoder.ref_point_head.layers.1": "decoders.coco.reference_proj.2",
    }
    named |= {f"backbone.0.norm{number}": f"backbone.norms.{number - 1}" for number in (1, 2, 3)}
    named |= {f"transformer.enc_out_bbox_embed.layers.{one}": f"{head}.proposal_box.{2 * one}" for one in range(3)}
    for place in ("", "transformer.decoder."):
        named |= {f"{place}class_embed.{copy}": f"{head}.class_head" for copy in range(layers)}
        named |= {
            f"{place}bbox_embed.{copy}.layers.{one}": f"{head}.box_head.{2 * one}"
            for copy in range(layers)
            for one in range(3)
        }
    return named


def _old_body(ours):
    body = {name.removeprefix("backbone.body."): value for name, value in ours.items() if "backbone.body" in name}
    return _old({re.sub(r"layers_(\d)", r"layers.\1", name): value for name, value in body.items()})


@pytest.fixture(scope="module")
def detector():
    arguments = SWIN | {"window_size": 7, "always_partition": True}
    sizes = {"width": 32, "heads": 4, "points": 2, "encoder_layers": 2, "decoder_layers": 3, "feedforward": 48}
    model = Model.model_validate(
        {
            "image_size": 224,
            "backbone": {"name": "swin_tiny_patch4_window7_224", "arguments": arguments},
            "localization": sizes | {"queries": 20, "labels": 92},
        }
    )
    made = FoundationX(model, {"coco": {Task.LOCALIZATION: 91}}, seed=3).eval()
    torch.manual_seed(4)
    head = made.localization_heads["coco"]
    with torch.no_grad():
        for parameter in (*head.box_head.parameters(), *head.proposal_box.parameters()):
            parameter.add_(0.02 * torch.randn_like(parameter))
        head.memory_proj.weight.copy_(torch.eye(32))
        head.memory_proj.bias.zero_()
    return made


OPTIONS = {"heads": 4, "points": 2}


def test_dino_detects_what_it_detected(detector, tmp_path):
    found = convert("dino", _save({"model": _dino(detector)}, tmp_path / "dino.pth"), options=OPTIONS)
    with torch.no_grad():
        expected, ours = detector.localize(IMAGES, "coco"), found.model.localize(IMAGES, "coco")
    assert torch.equal(ours.boxes, expected.boxes)
    assert torch.equal(ours.logits, expected.logits)
    identity = {f"localization_heads.coco.memory_proj.{kind}" for kind in ("weight", "bias")}
    assert {name for name, how in found.drawn.items() if how == "as the identity"} == identity
    assert set(found.drawn) - identity == {"backbone.norm.weight", "backbone.norm.bias"}


def _without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


DAMAGES = {
    "missing": (_without("transformer.enc_output.weight"), r"has no tensor for decoders\.coco\.proposal_proj\.weight"),
    "sizes missing": (_without("transformer.level_embed"), r"has no tensor 'transformer\.level_embed'"),
    "unknown": (lambda state: state | {"extra.weight": torch.ones(2)}, r"has a tensor extra\.weight, which such a"),
    "another width": (
        lambda state: state | {"transformer.enc_out_class_embed.weight": torch.ones(90, 32)},
        r"localization_heads\.coco\.proposal_class\.weight has shape \(90, 32\); expected \(91, 32\)",
    ),
    "heads that differ": (
        lambda state: state | {"class_embed.2.bias": state["class_embed.2.bias"] + 1},
        r"class_embed\.0\.bias and class_embed\.2\.bias differ; the published network has one head for all layers",
    ),
    "five levels": (lambda state: state | {"transformer.level_embed": torch.ones(5, 32)}, "has 5 feature levels"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_surprise_stops_the_import_and_nothing_is_written(detector, tmp_path, damage):
    change, message = DAMAGES[damage]
    path = _save({"model": change(_dino(detector))}, tmp_path / "dino.pth")
    with pytest.raises(InputError, match=message) as caught:
        import_weights("dino", path, tmp_path / "out.safetensors", None, OPTIONS)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_heads_that_do_not_fit_are_said(detector, tmp_path):
    path = _save({"model": _dino(detector)}, tmp_path / "dino.pth")
    with pytest.raises(
        InputError, match=r"has 32 attention weights a query for 4 levels; 8 heads and 4 points do not fit"
    ):
        convert("dino", path, options=DEFAULTS)


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


FILES = {
    "code": (lambda path: torch.save({"model": _Evil()}, path), "holds objects beside tensors, which could run code"),
    "no tensors": (lambda path: torch.save({"epoch": 3}, path), "no tensors under model or state_dict; it has epoch"),
    "text": (lambda path: path.write_text("not weights"), "is no checkpoint, or cut short"),
    "empty": (lambda path: path.touch(), "is no checkpoint, or cut short"),
    "nothing": (lambda _: None, "no such file"),
}


@pytest.mark.parametrize("content", FILES)
@pytest.mark.parametrize("name", ["swin.pth", "swin.safetensors"])
def test_a_file_that_is_no_checkpoint_is_one_line_and_runs_nothing(tmp_path, monkeypatch, content, name):
    monkeypatch.chdir(tmp_path)
    make, message = FILES[content]
    make(tmp_path / name)
    if name.endswith(".safetensors") and content in ("code", "no tensors"):
        message = "is no checkpoint, or cut short"
    with pytest.raises(InputError, match=message):
        convert("swin", tmp_path / name)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("length", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_said(swin, tmp_path, length):
    path = _save(swin.state_dict(), tmp_path / "swin.pth")
    path.write_bytes(path.read_bytes()[: int(length * path.stat().st_size)])
    with pytest.raises(InputError, match=r"swin\.pth: is no checkpoint, or cut short; download it again"):
        convert("swin", path)


def test_an_imported_network_comes_back_from_its_file(detector, tmp_path):
    path = _save({"model": _dino(detector)}, tmp_path / "dino.pth")
    report = import_weights("dino", path, tmp_path / "out.safetensors", None, OPTIONS)
    again = read(tmp_path / "out.safetensors")
    with torch.no_grad():
        assert torch.equal(again.model.localize(IMAGES, "coco").boxes, detector.localize(IMAGES, "coco").boxes)
    page = (tmp_path / "out.md").read_text()
    assert again.sha256 in page
    assert again.card.origin["file"] == "dino.pth"
    loaded, skipped = (sum(line.startswith(word) for line in report.splitlines()) for word in ("loaded", "skipped"))
    assert loaded + skipped == len(_dino(detector))
    assert report.splitlines()[-1] == f"{loaded} tensors loaded, {skipped} skipped, 4 drawn anew"


def test_statistics_that_were_never_filled_are_taken_from_the_student():
    fresh = {"n.running_mean": torch.zeros(2), "n.running_var": torch.ones(2), "n.num_batches_tracked": torch.tensor(0)}
    used = {"n.running_mean": torch.ones(2), "n.running_var": torch.ones(2), "n.num_batches_tracked": torch.tensor(5)}
    weight = {"n.weight": torch.full((2,), 3.0)}
    assert foundation_x.averaged(fresh | weight, used | {"n.weight": torch.zeros(2)}) == (used | weight, True)
    assert foundation_x.averaged(used | weight, fresh) == (used | weight, False)


def test_the_published_heads_are_those_of_the_registry():
    pretraining = {key: known for key, known in registry().items() if known.paper and known.paper <= 11}
    assert set(foundation_x.CLASSIFICATION) == set(pretraining)
    assert set(foundation_x.LOCALIZATION) == {key for key, known in pretraining.items() if known.localization}
    assert set(foundation_x.SEGMENTATION.values()) == {key for key, known in pretraining.items() if known.segmentation}
