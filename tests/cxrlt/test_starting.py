"""A backbone that starts from released weights: what it computes, what is drawn beside, and what is refused."""

import pandas as pd
import pytest
import torch
import yaml

from fxcore.cxrlt import chexfound
from fxcore.cxrlt.features import frozen
from fxcore.cxrlt.ssl import ssl
from fxcore.cxrlt.vit import resampled
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.planning.plan import Plan
from fxcore.slices.make import ssl_slice
from fxcore.tensorfile import read
from tests.conftest import TINY, changed
from tests.cxrlt import released

STATE = released.backbone()
IMAGES = torch.rand(2, 1, released.RESOLUTION, released.RESOLUTION, generator=torch.Generator().manual_seed(9))


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What the parameters say of an imported backbone."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(released.teacher(released.chunked(STATE)), folder / "teacher_checkpoint.pth")
    file = folder / "chexfound.safetensors"
    chexfound.import_weights("chexfound", folder / "teacher_checkpoint.pth", file, None, {})
    return {"file": str(file), "sha256": read(file)[1]["sha256"]}


def _stage(resolution=released.RESOLUTION, updates=0, **more):
    return {"resolution": resolution, "local": 12, "batch_size": 2, "updates": updates, **more}


def _changes(weights, stages, vit=None, projection=released.PROJECTION):
    """Of the tiny preset: one backbone, and a linear head on its first stage."""
    sizes = {"patch": 4, "width": 128, "depth": 4, "heads": 2, "registers": 2, **(vit or {})}
    return {
        "cxrlt__backbones": {"released": {"title": "CheXFound", "vit": sizes, "weights": weights, "stages": stages}},
        "cxrlt__heads": {"linear": {"backbone": "released", "resolution": stages[0]["resolution"]}},
        "cxrlt__ensembles": {},
        "cxrlt__pretrain__projection": projection,
    }


@pytest.fixture
def trained(tiny, stores, tmp_path):
    """`trained(weights, stages)`: the file of the last stage, each run as its job runs it."""

    def run(weights, stages, **how):
        params = tiny(**_changes(weights, stages, **how))
        corpus = pd.DataFrame({"source": "example_a", "row": range(4)})
        for stage in stages:
            slice_ = ssl_slice(params, "released", stage["resolution"])
            output = tmp_path / "checkpoints" / "cxrlt" / "released" / f"{stage['resolution']}.safetensors"
            origin = slice_.origin(tmp_path)
            ssl(slice_, corpus, stores, Machine(device="cpu"), 0, origin, output, tmp_path / "work.safetensors")
        return output

    return run


def test_a_stage_without_updates_is_the_released_network_which_heads_can_be_put_on(imported, trained, caplog):
    with caplog.at_level("INFO", "fxcore"):
        output = trained(imported, [_stage()])
    tensors, facts = read(output)
    theirs = read(imported["file"])[0]
    for name, of in theirs.items():
        assert torch.equal(tensors[name], of)
        assert torch.equal(tensors[name.replace("teacher", "student", 1)], of)
    assert len(tensors) == 2 * len(theirs)
    assert facts["provenance"]["began"] == imported["sha256"]
    assert "of 20 pixels: backbone, dino, ibot taken; drawn: nothing" in caplog.text
    cls, patches = frozen(output, 2)(IMAGES, "fp32")
    expected = torch.cat([torch.from_numpy(of).float() for of in released.outputs(STATE, IMAGES)[-2:]], dim=-1)
    torch.testing.assert_close(cls, expected[:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(patches, expected[:, 1 + released.REGISTERS :], rtol=1e-4, atol=1e-4)


def test_at_another_resolution_positions_are_resampled_and_other_heads_drawn(imported, trained, caplog):
    with caplog.at_level("INFO", "fxcore"):
        tensors, _ = read(trained(imported, [_stage(32)], projection=released.PROJECTION | {"dino": 10}))
    name = "teacher.backbone.net.pos_embed"
    assert torch.equal(tensors[name], resampled(read(imported["file"])[0][name], 8))
    directions = "prototypes.parametrizations.weight.original1"
    assert torch.equal(tensors[f"teacher.ibot.{directions}"], read(imported["file"])[0][f"teacher.ibot.{directions}"])
    assert tensors[f"teacher.dino.{directions}"].shape == (24, 10)
    assert torch.equal(tensors[f"teacher.dino.{directions}"], tensors[f"student.dino.{directions}"])
    said = "backbone, ibot taken; drawn: dino (the file's is of other sizes than cxrlt.pretrain.projection)"
    assert said in caplog.text


def test_pretraining_goes_on_from_it_and_a_stage_after_from_that(imported, trained):
    output = trained(imported, [_stage(updates=2), _stage(32, updates=1, start=released.RESOLUTION)])
    assert read(output)[1]["updates"] == 1
    first = read(output.with_name("20.safetensors"))[0]["student.backbone.net.norm.weight"]
    assert not torch.equal(first, STATE["norm.weight"])
    torch.testing.assert_close(first, STATE["norm.weight"], rtol=0, atol=0.01)


def test_only_a_stage_that_begins_with_the_file_depends_on_it(tiny, imported, tmp_path):
    stages = [_stage(), _stage(32, updates=1, start=released.RESOLUTION)]
    first, second = (ssl_slice(tiny(**_changes(imported, stages)), "released", one["resolution"]) for one in stages)
    assert first.origin(tmp_path) == tmp_path / imported["file"]
    assert second.weights is None
    assert second.origin(tmp_path) == tmp_path / "checkpoints" / "cxrlt" / "released" / "20.safetensors"
    other = tiny(**_changes(imported | {"sha256": "0" * 64}, stages))
    assert ssl_slice(other, "released", 20) != first
    assert ssl_slice(other, "released", 32) == second


def test_another_content_under_the_name_is_refused(imported, trained):
    message = f"have the SHA-256 {imported['sha256']}; cxrlt.backbones.released starts from 0000"
    with pytest.raises(InputError, match=message) as caught:
        trained(imported | {"sha256": "0" * 64}, [_stage()])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (
            {"depth": 3},
            r"has depth 4; cxrlt\.backbones\.released\.vit\.depth is 3; give the block vit that its card",
        ),
        ({"heads": 4}, "has heads 2; "),
        ({"registers": 0}, "has registers 2; "),
        ({"width": 64}, "has width 128; "),
    ],
)
def test_sizes_that_are_not_the_cards_are_one_line(imported, trained, size, message):
    with pytest.raises(InputError, match=message) as caught:
        trained(imported, [_stage()], vit=size)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_released_backbone_is_one_line(imported, trained, tmp_path):
    stage = trained(None, [_stage()])
    weights = {"file": str(stage), "sha256": read(stage)[1]["sha256"]}
    with pytest.raises(InputError, match=r"is no released backbone; make one with: fxcore import-weights chexfound$"):
        trained(weights, [_stage()])
    with pytest.raises(InputError, match=r"gone\.safetensors: cannot be read"):
        trained(imported | {"file": str(tmp_path / "gone.safetensors")}, [_stage()])


def test_the_plan_says_that_the_file_is_missing_before_any_job_and_names_it_as_an_input(imported, tmp_path):
    def planned(weights):
        """The plan of a parameter file."""
        content = yaml.safe_load(TINY.read_text())
        changes = _changes(weights, [_stage(), _stage(32, start=released.RESOLUTION)])
        file = tmp_path / "params.yaml"
        file.write_text(yaml.safe_dump(changed(content, changes | {"results_root": str(tmp_path)}), sort_keys=False))
        return Plan.load(str(file))

    gone = imported | {"file": str(tmp_path / "gone.safetensors")}
    with pytest.raises(InputError, match=r"cxrlt\.backbones\.released\.weights: no file .*gone\.safetensors; make it"):
        planned(gone)
    stage = type("Wildcards", (), {"backbone": "released", "resolution": "20"})
    assert planned(imported).study.start_of_stage(stage) == [imported["file"]]
    kept = tmp_path / "backbones" / "released" / "20.safetensors"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert planned(gone)
