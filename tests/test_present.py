"""An experiment where some of the datasets are not there: what is left is whole, and says what it lacks."""

import pytest

from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.params import experiment
from fxcore.params.present import load, missing, without
from fxcore.passes import Split
from fxcore.planning.contents import tables
from fxcore.planning.plan import Plan
from fxcore.report.render import Table
from fxcore.report.results import captioned
from fxcore.slices.make import table_slice
from fxcore.versioning import record
from tests.conftest import PROJECT

LABS = """
results_root: {root}
store_size: 72
datasets:
  shenzhen: {{source: native, missing: skip}}
  montgomery: {{source: native, missing: skip}}
  jsrt: {{source: native, missing: skip}}
splits: {{datasets: {{jsrt: {{policy: official}}}}, allow_leakage: {{joint: as long as it is so small}}}}
model: {{image_size: 64, backbone: {{name: swin_tiny_patch4_window7_224}}}}
pretrain:
  stage: cycle
  batch_size: 4
  rates:
    {{backbone: 1, classification_head: 1, encoder: 1, decoder: 1, segmentation_decoder: 1, segmentation_head: 1}}
runs:
  joint:
    title: Joint
    role: joint
    train:
      visits: {{shenzhen: [classification], montgomery: [classification, segmentation], jsrt: [segmentation]}}
      cycles: 1
      horizon_cycles: 1
      snapshots: {{cells: {{jsrt: [segmentation]}}}}
  alone: {{title: Alone, role: baseline, train: {{visits: {{montgomery: [classification]}}, cycles: 1, horizon_cycles: 1}}}}
  other: {{title: Other, role: baseline, train: {{visits: {{jsrt: [segmentation]}}, cycles: 1, horizon_cycles: 1}}}}
finetune:
  on:
    title: On
    role: finetune
    train: {{visits: {{jsrt: [segmentation]}}, cycles: 1, horizon_cycles: 1, start: {{run: joint}}}}
  again:
    title: Again
    role: finetune
    train: {{visits: {{shenzhen: [classification]}}, cycles: 1, horizon_cycles: 1, start: {{run: other}}}}
release: [joint, other]
few_shot: {{runs: [on]}}
"""


@pytest.fixture
def lab(tmp_path):
    """A parameter file and a machine that has two of its three datasets."""
    for name in ("shenzhen", "montgomery"):
        (tmp_path / "native" / name).mkdir(parents=True)
    file = tmp_path / "lab.yaml"
    file.write_text(LABS.format(root=tmp_path / "results"))
    return file, Machine(native=str(tmp_path / "native"))


def test_what_is_not_there_is_taken_out_of_everything(lab):
    params = load(*lab)
    assert params.left_out == ("jsrt",)
    assert list(params.datasets) == ["shenzhen", "montgomery"]
    assert list(params.runs) == ["joint", "alone"]
    assert list(params.runs["joint"].train.visits) == ["shenzhen", "montgomery"]
    assert params.runs["joint"].train.snapshots is None
    assert params.finetune == {}  # one had no other dataset, one went on from a run that is gone
    assert params.release == ("joint",)
    assert params.few_shot.runs == ()
    assert params.splits.datasets == {}
    assert list(params.splits.allow_leakage) == ["joint"]


def test_passes_and_targets_are_those_of_what_is_there(lab):
    file, machine = lab
    plan = Plan(load(file, machine), machine)
    passes = [(one.dataset, str(one.task)) for stage in plan.stages("joint") for one in stage.passes]
    assert {name for name, _ in passes} == {"shenzhen", "montgomery"}
    assert not [target for target in plan.targets() if "jsrt" in target or "other" in target]


def test_nothing_is_left_out_where_all_is_there_or_a_store_is(lab, tmp_path):
    file, machine = lab
    store = tmp_path / "results/data/jsrt/72"
    store.mkdir(parents=True)
    (store / "manifest.json").write_text("{}")
    assert load(file, machine).left_out == ()


def test_what_is_not_marked_may_not_be_missing(lab):
    file, machine = lab
    file.write_text(file.read_text().replace("jsrt: {source: native, missing: skip}", "jsrt: {source: native}"))
    params = load(file, machine)
    assert "jsrt" in params.datasets
    with pytest.raises(InputError, match=r"^datasets\.(shenzhen|jsrt): "):
        Plan(params, machine).supply.check()


def test_an_experiment_of_nothing_is_refused(lab, tmp_path):
    file, _ = lab
    with pytest.raises(
        InputError, match=r"shenzhen, montgomery, jsrt are missing, and joint has no other; get one of them"
    ):
        load(file, Machine(native=str(tmp_path / "elsewhere")))


@pytest.fixture(scope="module")
def default():
    """Two heads of the study learn from BRAX, too; it is one of five sources of pictures."""
    return experiment.load(PROJECT / "params.yaml")


def test_the_study_goes_on_without_a_source_that_heads_learn_from_too(default):
    study, left = default.cxrlt, without(default, ["brax"]).cxrlt
    assert list(left.sources) == ["cxr_lt_2024", "chexpert", "padchest", "nih14"]
    assert study.heads["vit_l_72_augmented"].labels == ("brax",)
    assert left.heads["vit_l_72_augmented"].labels == ()
    assert left.heads.keys() == study.heads.keys()
    assert (left.labels, left.gold) == ("cxr_lt_2024", "cxr_lt_2024_gold")


def test_the_study_goes_on_without_its_gold_standard(default):
    left = without(default, ["cxr_lt_2024_gold"])
    assert left.cxrlt.gold is None
    assert left.cxrlt.sources == default.cxrlt.sources
    assert "cxrlt_task2" in tables(default)
    assert "cxrlt_task2" not in tables(left)


def test_there_is_no_study_without_its_labels_or_any_pictures(default):
    assert without(default, ["cxr_lt_2024"]).cxrlt is None
    pictures = default.cxrlt.model_copy(update={"sources": {"brax": (Split.TRAIN,)}})
    assert without(default.model_copy(update={"cxrlt": pictures}), ["brax"]).cxrlt is None


def test_an_experiment_is_not_left_without_the_run_that_tables_are_about(tiny):
    with pytest.raises(InputError, match=r"example_a are missing, and foundation_x has no other"):
        without(tiny(), ["example_a"])


def test_every_caption_says_it():
    table = Table("title", "caption.", [], (), ())
    assert captioned(table, ()).caption == "caption."
    assert captioned(table, ("JSRT", "BRAX")).caption == (
        "caption. Left out of the experiment, since their files are not there: JSRT, BRAX."
    )
    assert captioned(table, (), ["It leaks."]).caption == "caption. It leaks."


def test_a_run_that_may_test_what_it_trains_on_is_named_where_its_numbers_are(tiny):
    reason = "they were published so"
    slice_ = table_slice(tiny(splits={"allow_leakage": {"foundation_x": reason}}))
    named = [f"Foundation X (foundation_x) may test groups that it trains on: {reason}."]
    assert slice_.leaky(["foundation_x", "example_a_localization"]) == named
    assert slice_.leaky(["transfer"]) == []


def test_dvc_records_no_part_of_an_experiment(lab, monkeypatch, tmp_path):
    file, machine = lab
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(file.read_text())
    monkeypatch.setenv("FXCORE_NATIVE", str(machine.native))
    monkeypatch.setattr("fxcore.planning.plan.Plan.load", lambda _: Plan(load(file, machine), machine))
    with pytest.raises(InputError, match=r"nothing recorded: jsrt are missing"):
        record("params.yaml", [])


def test_the_paper_may_be_begun_with_what_a_lab_has(tmp_path):
    text = (PROJECT / "presets/paper.yaml").read_text().replace("source: native", "source: native, missing: skip", 1)
    (tmp_path / "paper.yaml").write_text(text)
    machine = Machine(native=str(tmp_path / "none"))
    params = load(tmp_path / "paper.yaml", machine)
    assert missing(params, machine) == []
    assert params.left_out == ("chexpert",)
    assert "chexpert_classification" not in params.runs
