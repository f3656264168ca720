"""Our network with the weights of a checkpoint in the published layout reproduces every recorded tensor.

Tolerances are those of the wiring page: 1e-5; boxes 1e-6; losses 2e-6.
"""

import json
import re

import pytest
import torch
from safetensors.torch import load_file

from fxcore.data.targets import Target
from fxcore.models.foundation import FoundationX
from fxcore.models.localization.criterion import localization_loss
from fxcore.models.localization.deformable_attention import deformable_attention
from fxcore.params.model import Model
from fxcore.params.training import LocalizationLoss
from fxcore.passes import Task

NAMES = [
    (r"^backbone\.0\.layers\.(\d)\.downsample\.", lambda m: f"backbone.body.layers_{int(m[1]) + 1}.downsample."),
    (r"^backbone\.0\.layers\.(\d)\.", r"backbone.body.layers_\1."),
    (r"^backbone\.0\.patch_embed", "backbone.body.patch_embed"),
    (r"^backbone\.0\.norm\.", "backbone.norm."),
    (r"^backbone\.0\.Locnorm(\d)", lambda m: f"backbone.norms.{int(m[1]) - 1}"),
    (r"^backbone\.0\.classification_heads\.(\d+)", r"classification_heads.d\1"),
    (r"^backbone\.0\.segmentation_heads\.(\d+)", r"segmentation_heads.d\1"),
    (
        r"^backbone\.0\.segmentation_PPN\.stages\.(\d)\.([12])\.",
        lambda m: f"segmentation_decoder.pooling.branches.{m[1]}.{int(m[2]) - 1}.",
    ),
    (r"^backbone\.0\.segmentation_PPN\.bottleneck", "segmentation_decoder.pooling.bottleneck"),
    (r"^backbone\.0\.segmentation_FPN\.conv1x1", "segmentation_decoder.lateral"),
    (r"^backbone\.0\.segmentation_FPN\.smooth_conv\.0", "segmentation_decoder.smooth"),
    (r"^backbone\.0\.segmentation_FPN\.conv_fusion", "segmentation_decoder.fusion"),
    (r"^input_proj", "localization_encoder.input_proj"),
    (r"^transformer\.level_embed", "localization_encoder.level_embed"),
    (r"^transformer\.encoder", "localization_encoder"),
    (r"^transformer\.tgt_embed\.weight", "queries.content"),
    (r"^label_enc", "queries.labels"),
    (r"^transformer\.decoder\.(\d)\.(layers|norm)", r"decoders.d\1.\2"),
    (
        r"^transformer\.decoder\.(\d)\.ref_point_head\.layers\.(\d)",
        lambda m: f"decoders.d{m[1]}.reference_proj.{2 * int(m[2])}",
    ),
    (
        r"^transformer\.decoder\.(\d)\.bbox_embed\.0\.layers\.(\d)",
        lambda m: f"decoders.d{m[1]}.refine_head.{2 * int(m[2])}",
    ),
    (r"^transformer\.enc_output\.(\d)", r"decoders.d\1.proposal_proj"),
    (r"^transformer\.enc_output_norm\.(\d)", r"decoders.d\1.proposal_norm"),
    (r"^transformer\.enc_outputMem_LinearProjection\.(\d)", r"decoders.d\1.memory_proj"),
    (
        r"^transformer\.enc_out_bbox_embed\.(\d)\.layers\.(\d)",
        lambda m: f"decoders.d{m[1]}.proposal_box.{2 * int(m[2])}",
    ),
    (r"^transformer\.enc_out_class_embed\.(\d)", r"decoders.d\1.proposal_class"),
    (r"^bbox_embed_\.(\d)\.0\.layers\.(\d)", lambda m: f"decoders.d{m[1]}.box_head.{2 * int(m[2])}"),
    (r"^class_embed_\.(\d)\.0\.", r"decoders.d\1.class_head."),
]
UNUSED = re.compile(r"relative_position_index|Segnorm|^backbone\.0\.head\.|smooth_conv\.[12]|(bbox|class)_embed")


def renamed(key):
    for pattern, name in NAMES:
        if re.search(pattern, key):
            return None if "relative_position_index" in key else re.sub(pattern, name, key)
    assert UNUSED.search(key), key
    return None


@pytest.fixture(scope="module")
def golden():
    from tests.conftest import SHARED

    folder = SHARED / "golden/foundation_x"
    if not folder.exists():
        pytest.skip("needs ../shared/golden, which is not part of the project and not beside this checkout")
    config = json.loads((folder / "config.json").read_text())
    weights = torch.load(folder / "ckpt_E7_TH6.pth", weights_only=True)["model"]
    return (
        config,
        {name: value.float() for name, value in weights.items()},
        load_file(folder / "activations.safetensors"),
    )


@pytest.fixture(scope="module")
def network(golden):
    config, weights, _ = golden
    arguments = {
        "window_size": config["window"],
        "embed_dim": config["embed_dim"],
        "depths": config["depths"],
        "num_heads": config["heads"],
        "always_partition": True,
    }
    localization = {
        "width": config["hidden_dim"],
        "heads": config["nheads"],
        "points": config["points"],
        "encoder_layers": config["enc_layers"],
        "decoder_layers": config["dec_layers"],
        "feedforward": config["dim_feedforward"],
        "queries": config["num_queries"],
        "labels": len(weights["label_enc.weight"]),
        "tied_heads": False,
    }
    model = Model.model_validate(
        {
            "image_size": config["image"],
            "backbone": {"name": "swin_tiny_patch4_window7_224", "arguments": arguments},
            "localization": localization,
            "segmentation": {"width": config["embed_dim"]},
        }
    )
    heads = {
        f"d{k}": {Task.CLASSIFICATION: len(weights[f"backbone.0.classification_heads.{k}.weight"])} for k in range(11)
    }
    for k in range(6):
        heads[f"d{k}"][Task.LOCALIZATION] = config["num_classes"]
        heads[f"d{k}"][Task.SEGMENTATION] = len(weights[f"backbone.0.segmentation_heads.{k}.weight"])
    made = FoundationX(model, heads)
    made.load_state_dict(
        {renamed(key): value for key, value in weights.items() if renamed(key)}
    )  # strict: all and no other
    return made.eval()


def _equal(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def test_backbone_and_classification(golden, network):
    _, _, recorded = golden
    images = recorded["input.images"]
    with torch.no_grad():
        for stage, found in enumerate(network.backbone(images), start=1):
            _equal(found, recorded[f"backbone.stage{stage}"])
        _equal(network.classify(images, "d0").features, recorded["cls.features"])
        for k in range(11):
            _equal(network.classify(images, f"d{k}").logits, recorded[f"cls.logits.{k}"])


def test_segmentation(golden, network):
    _, _, recorded = golden
    images = recorded["input.images"]
    with torch.no_grad():
        fused = network.trunk(images, Task.SEGMENTATION).fused
        _equal(torch.nn.functional.normalize(fused, dim=1), recorded["seg.fused_normalised"])
        for k in (2, 4, 5):
            _equal(network.segment(images, f"d{k}").logits, recorded[f"seg.logits.{k}"])


@pytest.mark.parametrize("k", [0, 3])
def test_localization(golden, network, k):
    config, _, recorded = golden
    images = recorded["input.images"]
    targets = [Target(torch.tensor(one["labels"]), torch.tensor(one["boxes_cxcywh"])) for one in config["targets"]]
    with torch.no_grad():
        _equal(network.trunk(images, Task.LOCALIZATION).memory.tokens, recorded["loc.encoder_memory"])
        found = network.localize(images, f"d{k}")
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
