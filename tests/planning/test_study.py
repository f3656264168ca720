"""The block of the CXR-LT study, and what the plan makes of it."""

import pytest

from fxcore import yamlfile
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params.experiment import Params, load
from fxcore.planning.plan import Plan
from fxcore.slices.make import corpus_slice
from tests.conftest import PROJECT, TINY, changed


@pytest.fixture
def content():
    """The tiny preset as its file says it."""
    return yamlfile.load(TINY)


HEAD = {"backbone": "vit", "resolution": 48}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cxrlt__labels": "exmple_a"}, r"cxrlt: no dataset exmple_a; did you mean example_a\?"),
        (
            {"cxrlt__backbones__vit__stages": [{"resolution": 44, "local": 16, "batch_size": 4, "updates": 1}]},
            r"stages: resolution 44 is no multiple of the patch, 8",
        ),
        (
            {"cxrlt__backbones__vit__stages": [{"resolution": 48, "local": 20, "batch_size": 4, "updates": 1}]},
            r"stages: local 20 is no multiple of the patch, 8",
        ),
        (
            {
                "cxrlt__backbones__random__stages": [
                    {"resolution": 48, "local": 24, "batch_size": 4, "updates": 0, "start": 32}
                ]
            },
            r"stages: 48 starts from 32; give the resolution of a stage before it",
        ),
        ({"cxrlt__backbones__vit__vit": {"width": 25, "heads": 2}}, r"width is 25; give a multiple of heads, 2"),
        (
            {"cxrlt__heads__linear__backbone": "vot"},
            r"heads\.linear\.backbone: no backbone vot; give one of vit, random",
        ),
        ({"cxrlt__heads__linear__resolution": 40}, r"vit has no stage 40; give one of 32, 48"),
        ({"cxrlt__heads__decoder__views": 2}, r"views is 2; only a linear head joins \[CLS\] of two images"),
        ({"cxrlt__heads__decoder__stop": 3}, r"stop is 3, above epochs 2"),
        ({"cxrlt__heads__linear__labels": ["other"]}, r"cxrlt: no dataset other"),
        ({"cxrlt__fit__blocks": 3}, r"fit\.blocks is 3; vit has 2 blocks"),
        ({"cxrlt__fit__rates": [1e-2, 1e-3]}, r"0\.01, 0\.001 do not rise"),
        ({"cxrlt__ensembles__both__heads": ["decoder", "juined"]}, r"ensembles\.both\.heads: no head juined"),
        ({"cxrlt__ensembles__linear": {"title": "x", "heads": ["decoder", "joined"]}}, r"heads has one of that name"),
        ({"cxrlt__pretrain__crops__global_area": [1.0, 0.3]}, r"do not rise"),
        ({"runs": {}}, r"finetune goes on from runs, and there are none"),
        ({"runs": {}, "cxrlt": None, "finetune": {}, "release": [], "few_shot": {}}, r"runs are missing"),
        ({"model": None}, r"model is missing; runs need it"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(content, changes, message):
    with pytest.raises(ValueError, match=message):
        Params.model_validate(changed(content, changes))


def test_stored_images_are_not_upsampled(content):
    with pytest.raises(ValueError, match=r"store_size is 64, below resolution 72 of cxrlt\.backbones\.random"):
        stages = [{"resolution": 72, "local": 24, "batch_size": 4, "updates": 0}]
        heads = {"cxrlt__heads": {"a": HEAD}, "cxrlt__ensembles": {}}
        Params.model_validate(changed(content, heads | {"store_size": 64, "cxrlt__backbones__random__stages": stages}))


def test_a_head_of_40_classes_is_not_measured_on_a_class_it_lacks(content):
    """Every class of the hand-labelled set is among those of the labelled one; which are which goes by name."""
    gold = {
        "source": "phantom",
        "phantom": {"test": 6},
        "test_only": True,
        "columns": {"file": "file", "patient": "patient"},
    }
    changes = {"cxrlt__gold": "gold", "datasets__gold": gold | {"classification": {"classes": ["Lung Opacity"]}}}
    assert Params.model_validate(changed(content, changes)).cxrlt.datasets == ("example_a", "gold")
    stray = {"datasets__gold": gold | {"classification": {"classes": ["Hernia"]}}, "cxrlt__gold": "gold"}
    with pytest.raises(
        ValueError, match=r"cxrlt\.gold: gold has the class Hernia, which example_a has not; heads have 2 classes"
    ):
        Params.model_validate(changed(content, stray))


def test_the_hidden_width_is_that_of_the_published_network():
    sizes = load(PROJECT / "presets/paper.yaml").cxrlt.backbones["vit_l"].vit
    assert sizes.hidden == 2736


def test_the_study_alone_is_an_experiment(tiny):
    params = tiny(runs={}, cxrlt=tiny().cxrlt.model_dump(mode="json"), model=None, pretrain=None)
    plan = Plan(params, Machine())
    assert all("cxrlt" in name for name in (*plan.tables, *plan.figures))
    assert plan.targets("train") == []
    assert plan.targets("corpus") == ["results-tiny/corpus.parquet"]


def test_runs_alone_are_an_experiment(tiny):
    plan = Plan(tiny(cxrlt=None), Machine())
    assert not any("cxrlt" in name for name in plan.targets())
    assert plan.targets("ssl") == plan.targets("head") == plan.targets("corpus") == []
    with pytest.raises(InputError, match="the parameters have no block cxrlt"):
        corpus_slice(tiny(cxrlt=None))


class _Wildcards:
    def __init__(self, **of):
        self.__dict__ |= of


def test_a_stage_waits_for_the_one_it_starts_from(tiny):
    study = Plan(tiny(), Machine()).study
    assert study.start_of_stage(_Wildcards(backbone="vit", resolution="32")) == []
    assert study.start_of_stage(_Wildcards(backbone="vit", resolution="48")) == [
        "results-tiny/checkpoints/cxrlt/vit/32.safetensors"
    ]
    with pytest.raises(InputError, match=r"cxrlt\.backbones\.vit has no stage 40; it has 32, 48"):
        study.stage(_Wildcards(backbone="vit", resolution="40"))


def test_an_ensemble_waits_for_its_heads(tiny):
    study = Plan(tiny(), Machine()).study
    assert study.heads_of(_Wildcards(measured="both")) == [
        f"results-tiny/predictions/cxrlt/{name}.parquet" for name in ("decoder", "joined")
    ]
    assert study.backbone_of_head(_Wildcards(head="joined")) == "results-tiny/backbones/vit/32.safetensors"


def test_a_backbone_that_is_not_there_is_said(tiny):
    with pytest.raises(InputError, match="--config backbone=vot: no such backbone; known: vit, random"):
        Plan(tiny(), Machine()).study.stages_of("vot")
