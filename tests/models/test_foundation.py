"""The whole network: shapes, seeds, and gradients that reach exactly what a pass trains."""

import pytest
import torch

from fxcore.data.targets import Batch, Target
from fxcore.errors import InputError
from fxcore.models.backbone import Backbone
from fxcore.models.foundation import FoundationX
from fxcore.models.segmentation import Norm
from fxcore.params.model import Model
from fxcore.params.training import Pretrain
from fxcore.passes import Mode, Pass, Task, fraction
from fxcore.training import locking
from fxcore.training.objectives import Whole, task_loss

MODEL = {
    "image_size": 64,
    "backbone": {
        "name": "swin_tiny_patch4_window7_224",
        "arguments": {
            "window_size": 2,
            "embed_dim": 16,
            "depths": (1, 1, 2, 1),
            "num_heads": (1, 2, 4, 8),
            "drop_path_rate": 0.1,
        },
    },
    "localization": {
        "width": 32,
        "heads": 4,
        "points": 2,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "feedforward": 48,
        "queries": 12,
        "labels": 50,
    },
    "segmentation": {"width": 16, "bins": (1, 2)},
}
SHARED = MODEL["localization"] | {"decoder": "shared"}
HEADS = {
    "a": {Task.CLASSIFICATION: 2, Task.LOCALIZATION: 3, Task.SEGMENTATION: 2},
    "b": {Task.CLASSIFICATION: 5, Task.LOCALIZATION: 50, Task.SEGMENTATION: 1},
}


def _model(heads=HEADS, seed=1, **changes):
    return FoundationX(Model.model_validate(MODEL | changes), heads, seed)


def _batch(task, dataset, images, side=64):
    torch.manual_seed(len(images) + len(dataset))
    classes = HEADS[dataset][task]
    pictures = torch.randn(len(images), 1, side, side)
    if task is Task.CLASSIFICATION:
        return pictures, Batch(
            [0] * len(images),
            pictures,
            labels=torch.rand(len(images), classes).round(),
            known=torch.ones(len(images), classes, dtype=torch.bool),
        )
    if task is Task.SEGMENTATION:
        return pictures, Batch([0] * len(images), pictures, masks=torch.rand(len(images), classes, side, side).round())
    boxes = tuple(Target(torch.randint(classes, (n,)), torch.rand(n, 4) * 0.3 + 0.3) for n in images)
    return pictures, Batch([0] * len(images), pictures, boxes=boxes)


def test_outputs_have_the_promised_shapes():
    model, images = _model().eval(), torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert model.classify(images, "b").logits.shape == (2, 5)
        assert model.classify(images, "a").features.shape == (2, 128)
        found = model.localize(images, "b")
        assert found.logits.shape == (2, 12, 50)
        assert found.boxes.shape == (2, 12, 4)
        assert bool(((found.boxes >= 0) & (found.boxes <= 1)).all())
        assert model.segment(images, "a").logits.shape == (2, 2, 64, 64)


def test_grey_is_the_same_as_three_equal_channels():
    model, images = _model().eval(), torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            model.classify(images, "a").logits, model.classify(images.repeat(1, 3, 1, 1), "a").logits
        )


def test_parts_that_no_dataset_needs_do_not_exist():
    names = {name.partition(".")[0] for name, _ in _model({"a": {Task.CLASSIFICATION: 2}}).named_parameters()}
    assert names == {"backbone", "classification_heads"}


def test_runs_that_share_a_part_start_it_equal():
    joint, alone, other = _model(), _model({"b": {Task.LOCALIZATION: 50}}), _model(seed=2)
    for name, value in alone.state_dict().items():
        assert torch.equal(value, joint.state_dict()[name]), name
    assert not torch.equal(joint.backbone.body.patch_embed.proj.weight, other.backbone.body.patch_embed.proj.weight)


def test_decoders_of_datasets_start_apart():
    model = _model()
    assert not torch.equal(model.decoders["a"].proposal_proj.weight, model.decoders["b"].proposal_proj.weight)
    first, second = (model.localization_heads[name].memory_proj.weight for name in "ab")
    assert not torch.equal(first, second)


def test_one_decoder_serves_all_datasets_and_each_has_its_own_queries_and_heads():
    shared, own = _model(localization=SHARED), _model()
    assert set(shared.decoders) == {"shared"}
    assert set(own.decoders) == {"a", "b"}
    parts = {name.split(".")[2] for name, _ in shared.named_parameters() if name.startswith("localization_heads.a.")}
    assert parts == {"content", "proposal_class", "proposal_box", "class_head", "box_head"}
    assert not torch.equal(shared.localization_heads["a"].content, shared.localization_heads["b"].content)
    assert [name for name, _ in shared.queries.named_parameters()] == ["labels.weight"]
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert shared.eval().localize(images, "b").logits.shape == (2, 12, 50)
        assert not torch.equal(shared.localize(images, "a").boxes, shared.localize(images, "b").boxes)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("task", "dataset", "changes"),
    [
        *((task, dataset, {}) for task in Task for dataset in "ab"),
        (Task.LOCALIZATION, "a", {"localization": SHARED}),
        (Task.LOCALIZATION, "a", {"localization": MODEL["localization"] | {"tied_heads": False}}),
        *((task, "a", {"image_size": 67}) for task in Task),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_exactly_what_the_lock_plan_names_receives_gradients(task, mode, dtype, dataset, changes):
    model = _model(**changes)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # fresh box heads end in zeros and pass no gradient on
            parameter.add_(0.02 * torch.randn_like(parameter))
    one = Pass(0, 0, dataset, task, mode, fraction(1))
    parameters = {id(parameter) for parameter in locking.apply(model, one)}
    reached: set[str] = set()
    # several batches, so that every class and every drawn path has its turn; images with no box, one, and more than there are queries
    for images in [(0, 1), (3,), (14, 2), (1, 1, 1)] * 2:
        pictures, batch = _batch(task, dataset, images, model.sizes.image_size)
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            noise = None if batch.boxes is None else model.noise(batch.boxes, dataset)
            _, found = model(pictures, dataset, task, noise=noise, locked=mode is Mode.LOCK)
        torch.stack(list(task_loss(found, batch, Pretrain(batch_size=1), Whole.of(batch)).values())).sum().backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                assert id(parameter) in parameters, f"{name} is frozen and has a gradient"
                assert bool(parameter.grad.isfinite().all()), name
                if bool(parameter.grad.abs().sum() > 0):
                    reached.add(name)
    expected = {name for name, parameter in model.named_parameters() if id(parameter) in parameters}
    assert reached == expected


def test_frozen_modules_stand_still_in_evaluation_mode():
    model = _model()
    locking.apply(model, Pass(0, 0, "a", Task.SEGMENTATION, Mode.LOCK, fraction(1)))
    training = {name for name, module in model.named_modules() if module.training}
    assert training == {"segmentation_heads.a"}


def test_a_batch_of_only_images_without_boxes_trains():
    model = _model()
    locking.apply(model, Pass(0, 0, "a", Task.LOCALIZATION, Mode.RELEASE, fraction(1)))
    pictures, batch = _batch(Task.LOCALIZATION, "a", (0, 0))
    noise = model.noise(batch.boxes, "a")
    assert noise is None
    _, found = model(pictures, "a", Task.LOCALIZATION, noise=noise)
    torch.stack(list(task_loss(found, batch, Pretrain(batch_size=1), Whole.of(batch)).values())).sum().backward()
    assert bool(model.backbone.body.patch_embed.proj.weight.grad.isfinite().all())


def test_more_queries_than_tokens_is_said_with_the_key():
    model = _model(localization=MODEL["localization"] | {"queries": 86})
    with pytest.raises(InputError, match=r"model\.localization\.queries is 86, more than the 85 encoder tokens"):
        model.localize(torch.randn(1, 1, 64, 64), "a")


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_other_backbones_by_name(name):
    model = FoundationX(Model.model_validate(MODEL | {"backbone": {"name": name}}), {"a": HEADS["a"]}).eval()
    with torch.no_grad():
        assert model.segment(torch.randn(1, 1, 64, 64), "a").logits.shape == (1, 2, 64, 64)
        assert model.localize(torch.randn(1, 1, 64, 64), "a").logits.shape == (1, 12, 3)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"name": "swim_tiny"}, r"model\.backbone: timm cannot build swim_tiny"),
        (
            {"name": "swin_tiny_patch4_window7_224", "arguments": {"embed_dimm": 3}},
            r"model\.backbone: timm cannot build .*embed_dimm",
        ),
        ({"name": "vit_tiny_patch16_224"}, r"model\.backbone: vit_tiny_patch16_224 has stages at strides .*; expected"),
    ],
)
def test_a_backbone_that_does_not_fit_is_said(backbone, message):
    with pytest.raises(InputError, match=message):
        Backbone(Model.model_validate(MODEL | {"backbone": backbone}))


def test_look_forward_twice_reaches_the_layer_before():
    """The prediction of layer 2 sees the refinement of layer 1 undetached; the reference it attends with is detached."""
    model = _model().train()
    # a fresh head answers "no change" and passes nothing on
    torch.nn.init.normal_(model.localization_heads["a"].box_head[-1].weight)
    pictures, _ = _batch(Task.LOCALIZATION, "a", (1, 1))
    _, found = model(pictures, "a", Task.LOCALIZATION)
    norm = model.decoders["a"].layers[0].norm3.weight
    (through_second,) = torch.autograd.grad(found.decoded.boxes[1].sum(), norm, retain_graph=True)
    assert float(through_second.abs().sum()) > 0


def test_one_value_a_channel_is_normalised_by_the_running_statistics():
    norm = Norm(2).train()
    with torch.no_grad():
        norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
        norm.running_var.copy_(torch.tensor([4.0, 9.0]) - norm.eps)
        norm.weight.copy_(torch.tensor([1.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.5, 0.0]))
    found = norm(torch.tensor([[[[5.0]], [[5.0]]]])).flatten()
    torch.testing.assert_close(found, torch.tensor([(5 - 1) / 2 + 0.5, (5 - 2) / 3 * 3]))
    assert int(norm.num_batches_tracked) == 0
    assert norm.running_mean.tolist() == [1.0, 2.0]
    pair = torch.tensor([0.0, 2.0]).view(2, 1, 1, 1).expand(2, 2, 1, 1)
    assert norm(pair)[:, 1].flatten().tolist() == pytest.approx([-3.0, 3.0], abs=1e-4)
    assert int(norm.num_batches_tracked) == 1


@pytest.mark.parametrize("side", [33, 50, 97, 130])
@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "resnet18"])
def test_odd_sizes(name, side):
    backbone = MODEL["backbone"] if name == MODEL["backbone"]["name"] else {"name": name}
    localization = MODEL["localization"] | {"queries": 5}
    model = _model(image_size=side, backbone=backbone, localization=localization).eval()
    images = torch.randn(2, 1, side, side)
    with torch.no_grad():
        assert model.segment(images, "a").logits.shape == (2, 2, side, side)
        assert model.localize(images, "b").boxes.shape == (2, 5, 4)
        assert bool(model.classify(images, "a").logits.isfinite().all())
