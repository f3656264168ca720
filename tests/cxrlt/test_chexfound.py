"""Released weights of CheXFound: what they compute, as the released networks do, and every tensor accounted for."""

import os

import pytest
import torch

from fxcore import cli
from fxcore.cxrlt import chexfound
from fxcore.cxrlt.released import BackboneCard, HeadCard, head, read
from fxcore.cxrlt.vit import VisionNetwork
from fxcore.errors import InputError
from fxcore.models.weights.importing import KINDS
from fxcore.params.registry import registry
from fxcore.passes import Task
from fxcore.tensorfile import read as read_tensors
from tests.cxrlt import released

IMAGES = torch.rand(2, 1, released.RESOLUTION, released.RESOLUTION, generator=torch.Generator().manual_seed(9))
NAMES = {"flat": dict, "chunked": released.chunked}


def _save(content, path):
    torch.save(content, path)
    return path


def _backbone(content, folder):
    return chexfound.backbone(_save(content, folder / "teacher_checkpoint.pth"), {})


def _network(found):
    network = VisionNetwork(found.card.vit, found.card.resolution).eval()
    own = "teacher.backbone."
    network.load_state_dict({name.removeprefix(own): of for name, of in found.tensors.items() if name.startswith(own)})
    return network


@pytest.mark.parametrize("names", NAMES)
def test_an_imported_backbone_computes_what_the_released_one_does(tmp_path, names):
    state = released.backbone()
    found = _backbone(released.teacher(NAMES[names](state)), tmp_path)
    with torch.no_grad():
        ours = _network(found).features(IMAGES, released.DEPTH)
    for mine, theirs in zip(ours, released.outputs(state, IMAGES), strict=True):
        torch.testing.assert_close(mine, torch.from_numpy(theirs).float(), rtol=1e-4, atol=1e-4)
    vit = found.card.vit
    assert (vit.patch, vit.width, vit.depth, vit.registers) == (4, 128, 4, 2)
    assert (vit.heads, found.card.resolution) == (2, 20)


def test_chunked_and_flat_names_are_one_network(tmp_path):
    flat, chunks = (
        chexfound.backbone(_save(released.teacher(names(released.backbone())), tmp_path / key), {})
        for key, names in NAMES.items()
    )
    assert flat.tensors.keys() == chunks.tensors.keys()
    assert all(torch.equal(of, chunks.tensors[name]) for name, of in flat.tensors.items())


def test_halves_of_the_gate_are_not_alike():
    # the comparison with the released network means something only if their order matters to it
    state = released.backbone()
    turned = {name: torch.cat(of.chunk(2)[::-1]) if ".w12." in name else of for name, of in state.items()}
    assert abs(released.outputs(state, IMAGES)[-1] - released.outputs(turned, IMAGES)[-1]).max() > 0.1


def test_a_masked_patch_has_the_released_token_and_its_own_position(tmp_path):
    state = released.backbone()
    network = _network(_backbone(released.teacher(state), tmp_path))
    masked = torch.ones(2, released.SIDE**2, dtype=torch.bool)
    with torch.no_grad():
        tokens = network.embed(IMAGES, masked)[:, network.prefix :]
    torch.testing.assert_close(tokens[0], state["mask_token"] + state["pos_embed"][0, 1:])


def test_projection_heads_are_those_released(tmp_path):
    from fxcore.cxrlt.objective import Projector
    from fxcore.params.cxrlt import Projection

    found = _backbone(released.teacher(released.backbone()), tmp_path)
    projector = Projector(released.WIDTH, 12, Projection(**released.PROJECTION))
    own = "teacher.dino."
    projector.load_state_dict(
        {name.removeprefix(own): of for name, of in found.tensors.items() if name.startswith(own)}
    )
    theirs = released.projection(12, 0)
    length, directions = theirs["last_layer.weight_g"], theirs["last_layer.weight_v"]
    torch.testing.assert_close(projector.directions, length * directions / directions.norm(dim=1, keepdim=True))
    assert torch.equal(projector.mlp[4].weight, theirs["mlp.4.weight"])


def test_every_tensor_is_reported_and_heads_that_are_not_there(tmp_path):
    content = released.teacher(released.backbone(), heads=("dino",))
    path = _save(content, tmp_path / "teacher_checkpoint.pth")
    report = chexfound.import_weights("chexfound", path, tmp_path / "out.safetensors", None, {}).splitlines()
    assert report[-1] == f"{len(content['teacher'])} tensors loaded, 0 skipped, 1 drawn anew"
    assert "drawn    teacher.ibot: the file has none; a stage that starts from it draws one" in report
    cls = "backbone.cls_token and the first of backbone.pos_embed"
    assert f"loaded   {cls} → teacher.backbone.net.cls_token (1, 1, 128)" in report
    assert "loaded   backbone.pos_embed but the first → teacher.backbone.net.pos_embed (1, 25, 128)" in report


def test_a_file_comes_back_with_its_card_and_its_terms(tmp_path):
    path = _save(released.teacher(released.backbone()), tmp_path / "teacher_checkpoint.pth")
    chexfound.import_weights("chexfound", path, tmp_path / "out.safetensors", None, {})
    tensors, card, digest = read(tmp_path / "out.safetensors", BackboneCard)
    assert all(torch.equal(of, tensors[name]) for name, of in chexfound.backbone(path, {}).tensors.items())
    page = (tmp_path / "out.md").read_text()
    assert digest in page
    assert "vit: {patch: 4, width: 128, depth: 4, heads: 2, registers: 2}" in page
    assert "no licence file" in page
    assert card.origin["file"] == "teacher_checkpoint.pth"
    with pytest.raises(InputError, match="is no released head; make one with: fxcore import-weights chexfound-head"):
        read(tmp_path / "out.safetensors", HeadCard)


def test_the_published_backbone_has_16_attention_heads(tmp_path):
    sizes = {"backbone.patch_embed.proj.weight": torch.zeros(1024, 3, 16, 16)}
    sizes |= {"backbone.pos_embed": torch.zeros(1, 1 + 32**2, 1024), "backbone.blocks.0.0.norm1.bias": torch.zeros(1)}
    vit, side = chexfound._sizes(sizes, {}, tmp_path)
    assert (vit.heads, side) == (16, 32)


def _without(name):
    return lambda state: {key: of for key, of in state.items() if key != name}


def _with(**tensors):
    return lambda state: state | {name.replace("__", "."): of for name, of in tensors.items()}


DAMAGES = {
    "unknown": (
        _with(backbone__extra=torch.ones(2)),
        r"has a tensor backbone\.extra, which such a checkpoint does not",
    ),
    "another kind of net": (_with(backbone__blocks__0__mlp__fc1__bias=torch.ones(2)), r"has a tensor backbone\.blocks"),
    "missing": (
        _without("backbone.blocks.1.mlp.w3.bias"),
        r"has no tensor for backbone\.net\.blocks\.1\.mlp\.fc2\.bias; is it cut down",
    ),
    "missing in a head": (_without("ibot_head.mlp.2.bias"), r"has no tensor for ibot\.mlp\.2\.bias"),
    "sizes missing": (_without("backbone.pos_embed"), r"has no tensor for backbone\.pos_embed"),
    "no mask": (_without("backbone.mask_token"), r"has no tensor for backbone\.mask_token"),
    "wrong shape": (
        _with(backbone__blocks__2__mlp__w12__weight=torch.ones(680, 128)),
        r"backbone\.net\.blocks\.2\.mlp\.fc1\.weight has shape \(680, 128\); expected \(688, 128\)",
    ),
    "no square": (_with(backbone__pos_embed=torch.ones(1, 25, 128)), "has 25 position embeddings; expected those"),
    "twice": (
        _with(backbone__blocks__1__2__norm1__bias=torch.ones(128)),
        r"backbone\.blocks\.2\.norm1\.bias and backbone\.blocks\.1\.2\.norm1\.bias are both",
    ),
    "another width of a head": (
        _with(dino_head__last_layer__weight_v=torch.ones(24, 13)),
        r"dino\.prototypes\.parametrizations\.weight\.original1 has shape \(24, 13\); expected \(24, 12\)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_surprise_stops_the_import_in_one_line_and_nothing_is_written(tmp_path, damage):
    change, message = DAMAGES[damage]
    path = _save({"teacher": change(released.teacher(released.backbone())["teacher"])}, tmp_path / "teacher.pth")
    with pytest.raises(InputError, match=message) as caught:
        chexfound.import_weights("chexfound", path, tmp_path / "out.safetensors", None, {})
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_attention_heads_that_do_not_fit_and_options_that_say_nothing(tmp_path):
    path = _save(released.teacher(released.backbone()), tmp_path / "teacher.pth")
    assert chexfound.backbone(path, {"heads": 4}).card.vit.heads == 4
    with pytest.raises(InputError, match="width is 128; give a multiple of heads, 3"):
        chexfound.backbone(path, {"heads": 3})
    for branch, options, name in ((None, {"image_size": 224}, "image-size"), ("model", {}, "branch")):
        with pytest.raises(InputError, match=f"--{name}: says nothing of chexfound; leave it out"):
            chexfound.import_weights("chexfound", path, tmp_path / "out.safetensors", branch, options)


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(("kind", "key"), [("chexfound", "teacher"), ("chexfound-head", "model")])
def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(tmp_path, monkeypatch, kind, key):
    monkeypatch.chdir(tmp_path)
    path = _save({key: _Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="holds objects beside tensors, which could run code"):
        chexfound.import_weights(kind, path, tmp_path / "out.safetensors", None, {})
    assert list(tmp_path.iterdir()) == [path]


PATCHES = torch.randn(3, 7, released.FEATURES, generator=torch.Generator().manual_seed(5))
CLS = torch.randn(3, released.FEATURES, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("parallel", ["", "module."])
@pytest.mark.parametrize("skip", [0, released.FEATURES])
def test_an_imported_head_computes_what_the_released_one_does(tmp_path, skip, parallel):
    path = _save(released.swept("0_0005", parallel=parallel, skip=skip), tmp_path / "glori.pth")
    chexfound.import_weights("chexfound-head", path, tmp_path / "head.safetensors", None, {})
    network, card = head(tmp_path / "head.safetensors")
    cls = CLS if skip else None
    with torch.no_grad():
        ours = network(PATCHES, cls)
    theirs = torch.from_numpy(released.logits(released.decoder(skip), PATCHES, cls)).float()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert (card.skip, card.blocks, card.heads) == (skip, 4, 8)
    assert "classifier: classifier_4_blocks_avgpool_False_lr_0_0005" in (tmp_path / "head.md").read_text().replace(
        "\\", ""
    )


def test_a_head_answers_for_the_findings_of_the_challenge_in_the_order_of_its_columns(tmp_path):
    path = _save(released.swept("0_0005"), tmp_path / "glori.pth")
    chexfound.import_weights("chexfound-head", path, tmp_path / "head.safetensors", None, {})
    classes = read_tensors(tmp_path / "head.safetensors")[1]["classes"]
    assert classes == list(registry()["cxr_lt_2024"].classes(Task.CLASSIFICATION))
    assert (len(classes), classes[0], classes[23:25], classes[-1]) == (
        *(40, "Adenopathy"),
        *(["Nodule", "Normal"], "Tuberculosis"),
    )


@pytest.mark.parametrize("wanted", ["0.001", "1e-3", "classifier_4_blocks_avgpool_False_lr_0_00100"])
def test_a_rate_or_name_chooses_a_head_and_the_others_are_said(tmp_path, wanted):
    path = _save(released.swept("0_0005", "0_00100", "5e-05"), tmp_path / "glori.pth")
    found = chexfound.decoder(path, {"rate": wanted})
    assert torch.equal(found.tensors["queries"], released.decoder(seed=1)["decoder.query_embed.weight"])
    assert (len(found.loaded), len(found.skipped)) == (19, 2 * 19)
    assert set(found.skipped.values()) == {"of another learning rate"}


REFUSED = {
    "two without a choice": (
        released.swept("0_0005", "0_001"),
        {},
        r"has 2 classifiers; choose with --rate, one of 0\.0005, 0\.001",
    ),
    "another rate": (
        released.swept("0_0005"),
        {"rate": "0.1"},
        r"has no classifier 0\.1; give --rate with one of 0\.0005",
    ),
    "a word": (
        released.swept("best"),
        {"rate": "worst"},
        "has no classifier worst; give --rate with one of classifier_4_",
    ),
    "no sweep": ({"model": released.decoder()}, {}, "has no classifier of a sweep, such as classifier_4_blocks"),
    "26 classes": (
        released.swept("0_0005", classes=26),
        {},
        "its head has 26 classes; expected the 40 of CXR-LT 2024, which hold those of its other tasks",
    ),
    "half of [CLS]": (
        released.swept("0_0005", skip=32),
        {},
        r"joined with 32 numbers; expected none, or \[CLS\] of 64",
    ),
    "attention": (released.swept("0_0005"), {"heads": 5}, "5 attention heads do not fit 24 channels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_head_that_is_not_that_of_the_study_is_one_line(tmp_path, case):
    content, options, message = REFUSED[case]
    path = _save(content, tmp_path / "glori.pth")
    with pytest.raises(InputError, match=message) as caught:
        chexfound.import_weights("chexfound-head", path, tmp_path / "head.safetensors", None, options)
    assert str(caught.value).startswith(f"{path}: ")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name: name.replace("layers.0.linear2", "layers.1.linear2"), r"has a tensor classifiers_dict\."),
        (lambda name: "" if name.endswith("norm2.bias") else name, r"has no tensor for layer\.norm2\.bias"),
    ],
    ids=["a second layer", "missing"],
)
def test_a_head_of_other_tensors_is_refused(tmp_path, change, message):
    state = {change(name): of for name, of in released.swept("0_0005")["model"].items()}
    path = _save({"model": {name: of for name, of in state.items() if name}}, tmp_path / "glori.pth")
    with pytest.raises(InputError, match=message):
        chexfound.decoder(path, {})


def test_the_command_line_knows_these_kinds_and_reports(tmp_path, capsys):
    assert (*KINDS, *chexfound.KINDS) == cli.KINDS
    path, output = _save(released.swept("0_0005", "0_001"), tmp_path / "glori.pth"), tmp_path / "head.safetensors"
    assert cli.main(["import-weights", "chexfound-head", str(path), str(output)]) == 2
    assert "choose with --rate" in capsys.readouterr().err
    assert cli.main(["import-weights", "chexfound-head", str(path), str(output), "--rate", "0.001"]) == 0
    assert capsys.readouterr().out.endswith("19 tensors loaded, 19 skipped, 0 drawn anew\n")
