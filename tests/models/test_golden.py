"""The network imported from a checkpoint in the published layout reproduces every recorded tensor.

Tolerances are those of the wiring page: 1e-5; boxes 1e-6; losses 2e-6.
"""

import json

import pytest
import torch
from safetensors.torch import load_file

from fxcore.data.targets import Target
from fxcore.models.artifact import read
from fxcore.models.localization.criterion import localization_loss
from fxcore.models.localization.deformable_attention import deformable_attention
from fxcore.models.weights import import_foundation_x
from fxcore.models.weights.foundation_x import CLASSIFICATION, LOCALIZATION, SEGMENTATION
from fxcore.models.weights.importing import import_weights
from fxcore.params.training import LocalizationLoss
from fxcore.passes import Task

CHECKPOINT = "ckpt_E7_TH6.pth"


@pytest.fixture(scope="module")
def golden():
    from tests.conftest import SHARED

    folder = SHARED / "golden/foundation_x"
    if not folder.exists():
        pytest.skip("needs ../shared/golden, which is not part of the project and not beside this checkout")
    config = json.loads((folder / "config.json").read_text())
    return folder, config, load_file(folder / "activations.safetensors")


@pytest.fixture(scope="module")
def network(golden):
    folder, _, _ = golden
    return import_foundation_x(folder / CHECKPOINT, branch="model")


def _equal(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def test_backbone_and_classification(golden, network):
    _, _, recorded = golden
    images = recorded["input.images"]
    with torch.no_grad():
        for stage, found in enumerate(network.backbone(images), start=1):
            _equal(found, recorded[f"backbone.stage{stage}"])
        _equal(network.classify(images, CLASSIFICATION[0]).features, recorded["cls.features"])
        for k in range(11):
            _equal(network.classify(images, CLASSIFICATION[k]).logits, recorded[f"cls.logits.{k}"])


def test_segmentation(golden, network):
    _, _, recorded = golden
    images = recorded["input.images"]
    with torch.no_grad():
        fused = network.trunk(images, Task.SEGMENTATION).fused
        _equal(torch.nn.functional.normalize(fused, dim=1), recorded["seg.fused_normalised"])
        for k in (2, 4, 5):
            _equal(network.segment(images, SEGMENTATION[k]).logits, recorded[f"seg.logits.{k}"])


@pytest.mark.parametrize("k", [0, 3])
def test_localization(golden, network, k):
    _, config, recorded = golden
    images = recorded["input.images"]
    targets = [Target(torch.tensor(one["labels"]), torch.tensor(one["boxes_cxcywh"])) for one in config["targets"]]
    with torch.no_grad():
        _equal(network.trunk(images, Task.LOCALIZATION).memory.tokens, recorded["loc.encoder_memory"])
        found = network.localize(images, LOCALIZATION[k])
        terms = localization_loss(found.proposals, found.decoded, None, targets, LocalizationLoss())
    _equal(found.proposals.logits, recorded[f"loc.{k}.interm_logits"])
    _equal(found.proposals.boxes, recorded[f"loc.{k}.interm_boxes"], 1e-6)
    _equal(found.decoded.states, recorded[f"loc.{k}.hs"])
    _equal(found.decoded.boxes[0], recorded[f"loc.{k}.aux0.pred_boxes"], 1e-6)
    _equal(found.decoded.logits[0], recorded[f"loc.{k}.aux0.pred_logits"])
    _equal(found.boxes, recorded[f"loc.{k}.pred_boxes"], 1e-6)
    _equal(found.logits, recorded[f"loc.{k}.pred_logits"])

    def weighted(suffix):
        loss = {name: recorded[f"loc.{k}.loss_{name}{suffix}"] for name in ("ce", "bbox", "giou")}
        return loss["ce"] + 5 * loss["bbox"] + 2 * loss["giou"]

    _equal(terms["class"], recorded[f"loc.{k}.loss_ce"].view(()), 2e-6)
    _equal(terms["l1"] / 5, recorded[f"loc.{k}.loss_bbox"].view(()), 2e-6)
    _equal(terms["giou"] / 2, recorded[f"loc.{k}.loss_giou"].view(()), 2e-6)
    _equal(terms["auxiliary"], weighted("_0").view(()), 1e-5)
    _equal(terms["proposals"], weighted("_interm").view(()), 1e-5)


def test_deformable_attention_alone(golden):
    _, _, recorded = golden
    shapes = tuple((int(height), int(width)) for height, width in recorded["msda.shapes"].tolist())
    found = deformable_attention(recorded["msda.value"], shapes, recorded["msda.loc"], recorded["msda.w"])
    _equal(found, recorded["msda.out"])


def test_the_teacher_is_the_student_with_halved_classification_heads(golden, network):
    folder, _, _ = golden
    teacher = import_foundation_x(folder / CHECKPOINT)
    for name, value in teacher.state_dict().items():
        ours = network.state_dict()[name]
        if name.startswith("classification_heads."):
            torch.testing.assert_close(value, ours / 2, atol=1e-4, rtol=1e-3)  # rounded to half precision
        else:
            assert torch.equal(value, ours), name


def test_sizes_are_those_of_the_configuration(golden, network):
    _, config, _ = golden
    arguments, localization = network.sizes.backbone.arguments, network.sizes.localization
    assert (arguments["embed_dim"], arguments["window_size"]) == (config["embed_dim"], config["window"])
    assert [list(arguments[name]) for name in ("depths", "num_heads")] == [config["depths"], config["heads"]]
    assert network.sizes.image_size == config["image"]
    assert (localization.width, localization.queries) == (config["hidden_dim"], config["num_queries"])
    assert (localization.encoder_layers, localization.decoder_layers) == (config["enc_layers"], config["dec_layers"])
    assert localization.feedforward == config["dim_feedforward"]
    assert network.heads["chestx_det"] == {
        Task.CLASSIFICATION: 13,
        Task.LOCALIZATION: config["num_classes"],
        Task.SEGMENTATION: 13,
    }


def test_all_heads_at_once_say_what_each_says_alone(golden, network):
    _, _, recorded = golden
    images = recorded["input.images"]
    with torch.no_grad():
        found = {(name, task): one for name, task, one in network.everything(images, CLASSIFICATION)}
        assert len(found) == 11 + 6 + 3
        for k in range(11):
            _equal(found[CLASSIFICATION[k], Task.CLASSIFICATION].logits, recorded[f"cls.logits.{k}"])
        for k in (0, 3):
            _equal(found[LOCALIZATION[k], Task.LOCALIZATION].boxes, recorded[f"loc.{k}.pred_boxes"], 1e-6)
        for k in (2, 4, 5):
            _equal(found[SEGMENTATION[k], Task.SEGMENTATION].logits, recorded[f"seg.logits.{k}"])


def test_the_import_accounts_for_every_tensor(golden, tmp_path):
    folder, _, _ = golden
    names = set(torch.load(folder / CHECKPOINT, weights_only=True)["teacher_model"])
    lines = import_weights("foundation-x", folder / CHECKPOINT, tmp_path / "out.safetensors", None, {}).splitlines()
    words = [line.split() for line in lines[:-1]]
    assert {word[1].rstrip(":") for word in words} == names
    assert len(words) == len(names)
    assert {word[0] for word in words} == {"loaded", "skipped"}
    with torch.no_grad():
        images = torch.randn(1, 3, 224, 224)
        again, network = read(tmp_path / "out.safetensors").model, import_foundation_x(folder / CHECKPOINT)
        assert torch.equal(again.classify(images, "nih14").logits, network.classify(images, "nih14").logits)
