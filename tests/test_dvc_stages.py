"""dvc.yaml against our slices and sources: for every value of a parameter file, DVC and Snakemake see the same stages."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from fxcore.machine import Machine
from fxcore.params.experiment import Params
from fxcore.planning.plan import Plan
from fxcore.slices import make
from fxcore.sources import closure, modules
from fxcore.versioning import STAGES, write_sources
from tests.conftest import PROJECT, TINY, changed

PIPELINE = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
DVC = PIPELINE["stages"]
Leaf = tuple[str, ...]
CHOICES = ("pass", "cycle", "dataset", "u_ones", "blank_zero", "bf16", "joint", "native")
"""What a text may be changed to where only some values are allowed."""


def _content() -> dict[str, Any]:
    """The tiny experiment with every field spelt out, two stages in each run, and a value that a run overrides."""
    changes = {
        "runs__example_a_localization__train__cycles": 2,
        "runs__example_a_localization__train__horizon_cycles": 3,
        "runs__example_a_localization__train__momentum": 0.5,
        "runs__example_a_localization__train__override__pretrain": {"weight_decay": 0.5},
    }
    params = Params.model_validate(changed(yaml.safe_load(TINY.read_text()), changes))
    content: dict[str, Any] = params.model_dump(mode="json")
    return content


CONTENT = _content()


def _leaves(block: dict[str, Any], place: Leaf = ()) -> list[Leaf]:
    found: list[Leaf] = []
    for key, value in block.items():
        found += _leaves(value, (*place, key)) if isinstance(value, dict) and value else [(*place, key)]
    return found


LEAVES = _leaves(CONTENT)


def _others(value: Any) -> list[Any]:
    """Values that could stand in the place of another, the likeliest first."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, value + 8]
    if isinstance(value, float):
        return [value * 1.1, value * 0.9] if value else [0.1]
    if isinstance(value, str):
        return [f"{value}x", *(one for one in CHOICES if one != value)]
    if isinstance(value, list):
        fewer = [value[:at] + value[at + 1 :] for at in range(len(value))]
        return [one for one in (*fewer, [*value, 3], value[::-1]) if one != value]
    return ["x", ["Cardiomegaly"], {"cells": {"example_a": ["localization"]}}]


def _perturbed(leaf: Leaf) -> dict[str, Any] | None:
    """The file with another valid value at one place, if one of those we try is."""
    *path, last = leaf
    for other in _others(_at(CONTENT, leaf)):
        made = copy.deepcopy(CONTENT)
        _at(made, path)[last] = other
        try:
            Params.model_validate(made)
        except ValidationError:
            continue
        return made
    return None


def _at(block: Any, path: Any) -> Any:
    for key in path:
        block = block[key]
    return block


NAMES = (("release",), ("few_shot", "runs"))
"""What gives stages their names: another value is another stage."""
CASES = {leaf: made for leaf in LEAVES if leaf not in NAMES and (made := _perturbed(leaf)) is not None}


def _resolved(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every stage of dvc.yaml by name, `foreach` and `${…}` resolved."""

    def fill(value: Any, names: dict[str, str]) -> Any:
        text = json.dumps(value)
        for name, of in names.items():
            text = text.replace(f"${{{name}}}", of)
        assert "${" not in text, text
        return json.loads(text)

    found: dict[str, dict[str, Any]] = {}
    for name, stage in DVC.items():
        if "foreach" not in stage:
            found[name] = fill(stage, {"store_size": str(content["store_size"])})
            continue
        items = _at(content, stage["foreach"].strip("${}").split("."))
        for key in items:
            names = {"key": key, "item": key, "store_size": str(content["store_size"])}
            if name in ("finetune", "finetune_visits"):
                names["item.train.start.run"] = items[key]["train"]["start"]["run"]
            if name == "head":
                names |= {f"item.{field}": str(items[key][field]) for field in ("backbone", "resolution")}
            found[f"{name}@{key}"] = fill(stage["do"], names)
    return found


def _seen_by_dvc(leaf: Leaf, after: dict[str, Any]) -> set[str]:
    """Stages that name the value, or a block that holds it, or whose command, inputs or outputs are other ones."""
    place = ".".join(leaf)
    stages, others = _resolved(CONTENT), _resolved(after)
    naming = {
        name
        for name, stage in stages.items()
        if any(place == key or place.startswith(f"{key}.") for key in stage.get("params", ()))
    }
    return naming | {name for name, stage in stages.items() if stage != others[name]}


def _jobs(content: dict[str, Any]) -> dict[str, Any]:
    """What the jobs of each stage depend on: slices, and paths of inputs and outputs."""
    params = Params.model_validate(content)
    plan = Plan(params, Machine())
    found: dict[str, Any] = {}
    for key in params.datasets:
        found[f"data@{key}"] = (make.phantom_slice(params, key), make.store_slice(params, key), plan.targets("data"))
    families = plan.data.families
    found["split"] = ([make.split_slice(params, family) for family in families], plan.targets("split"))
    for run, visits in zip(params.trained, plan.targets("visits"), strict=True):
        wildcards = type("Wildcards", (), {"run": run})()
        listed = (make.visits_slice(params, run), visits, plan.stores_of_run(wildcards))
        names = [stage.name for stage in plan.stages(run)]
        train = (make.train_slice(params, run), make.keep_slice(params, run), names)
        if run in params.runs:
            found |= {f"visits@{run}": listed, f"pretrain@{run}": train, f"score@{run}": make.score_slice(params, run)}
        else:
            start = plan.start_of_run(wildcards)
            found |= {
                f"finetune_visits@{run}": listed,
                f"finetune@{run}": (*train, make.score_slice(params, run), start),
            }
    for run in params.release:
        found[f"release@{run}"] = make.release_slice(params, run)
    for run in params.few_shot.runs:
        # What is its run's comes with what is kept of that run, which DVC watches.
        slice_ = make.few_shot_slice(params, run)
        own = {"seed", "model", "pretrain", "store_size"}
        found[f"few_shot@{run}"] = (
            slice_.model_dump(exclude={"train", "cycles"}),
            slice_.train.model_dump(include=own),
        )
    found |= _study(params, plan)
    metrics = [make.evaluate_slice(params, run) for run in params.trained]
    few_shot = make.few_shot_metrics_slice(params)
    heads = [make.evaluate_head_slice(params, name) for name in params.cxrlt.measured]
    shared = (make.leakage_slice(params), plan.data.split_stores)
    found["evaluate"] = (metrics, few_shot, heads, shared, plan.targets("evaluate"), plan.choices_of_runs(None))
    shown = (make.table_slice(params), make.figure_slice(params), make.report_slice(params))
    found["report"] = (*shown, plan.targets("report"))
    return found


def _study(params: Params, plan: Plan) -> dict[str, Any]:
    """The stages of the CXR-LT study."""
    study, jobs = params.cxrlt, plan.study
    found: dict[str, Any] = {"corpus": (make.corpus_slice(params), jobs.stores_of_corpus(None))}
    for name, backbone in study.backbones.items():
        slices = [make.ssl_slice(params, name, stage.resolution) for stage in backbone.stages]
        found[f"ssl@{name}"] = (slices, jobs.stages_of(name))
    for name in study.heads:
        wildcards = type("Wildcards", (), {"head": name})()
        found[f"head@{name}"] = (make.head_slice(params, name), jobs.backbone_of_head(wildcards))
    return found


JOBS = _jobs(CONTENT)


def _changed_jobs(after: dict[str, Any]) -> set[str]:
    now = _jobs(after)
    assert list(now) == list(JOBS)
    return {stage for stage, before in JOBS.items() if now[stage] != before}


DVC_ONLY = {
    # The baseline has a weight decay of its own, and dvc.yaml cannot know which values a run overrides.
    ("pretrain", "weight_decay"): {"pretrain@example_a_localization"},
    # A card has the titles of datasets, which may be missing in the file, and DVC wants values that are there.
    ("report", "panels"): {"release@foundation_x"},
    ("report", "panel_score"): {"release@foundation_x"},
    # Roles decide which runs are compared, and dvc.yaml cannot name the roles of all runs without their other values.
    **{
        leaf: {"evaluate"}
        for leaf in CASES
        if leaf[0] in ("runs", "finetune") and leaf[2] not in ("role", "of", "shown_in")
    },
    # Metrics know heads and ensembles by name, and dvc.yaml cannot name all names without what is below them.
    **{leaf: {"evaluate"} for leaf in CASES if leaf[:2] == ("cxrlt", "heads")},
    ("cxrlt", "ensembles", "both", "title"): {"evaluate"},
    **{leaf: {"report"} for leaf in CASES if leaf[:2] == ("cxrlt", "backbones") and leaf[-1] == "gpus"},
    # Phantoms hold out what their numbers say.
    **{leaf: {"split", "evaluate"} for leaf in CASES if leaf[:2] == ("splits", "holdout")},
    # What is said of datasets decides families and what phantoms hold out, and dvc.yaml cannot name that of all datasets alone.
    **{
        leaf: {"split", "evaluate"} for leaf in CASES if leaf[0] == "datasets" and leaf[2] not in ("adapter", "phantom")
    },
}
"""Stages that DVC starts in vain: Snakemake has nothing to do in them."""


def _name(leaf: Leaf) -> str:
    return ".".join(leaf)


def test_at_least_half_of_all_values_could_be_changed():
    assert len(LEAVES) > 100
    assert len(CASES) > len(LEAVES) / 2
    assert set(DVC_ONLY) < set(CASES)


@pytest.mark.parametrize("leaf", [leaf for leaf in CASES if leaf != ("results_root",)], ids=_name)
def test_a_value_concerns_the_same_stages_for_dvc_and_for_snakemake(leaf):
    after = CASES[leaf]
    dvc, snakemake = _seen_by_dvc(leaf, after), _changed_jobs(after)
    assert dvc - snakemake == DVC_ONLY.get(leaf, set())
    assert snakemake <= dvc


def test_every_value_concerns_a_stage():
    unseen = [leaf for leaf, after in CASES.items() if not _seen_by_dvc(leaf, after)]
    assert unseen == [("results_root",)]  # DVC knows one root only; fxcore.versioning refuses others


@pytest.mark.parametrize(
    "content", [CONTENT, yaml.safe_load((PROJECT / "params.yaml").read_text())], ids=["tiny", "ours"]
)
def test_every_stage_asks_for_values_that_the_parameter_file_spells_out(content):
    for stage in _resolved(content).values():
        for key in stage.get("params", ()):
            _at(content, key.split("."))  # what has no value must say so


PLANNED = {
    *("data.normalize", "data.adapters.*", "phantom.phantom", "phantom.native.*"),
    *("report.table", "report.figure", "report.cxrlt"),
}
"""Modules of rules whose sources the plan knows, since they depend on the job."""


def test_the_modules_of_every_rule_are_among_those_of_a_stage():
    rules = "".join(path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk"))
    found = set(re.findall(r'sources\.closure\("fxcore\.([\w.]+)"\)', rules))
    assert len(found) > 10
    assert found | PLANNED == {name for names in STAGES.values() for name in names}


SHARED = {"finetune_visits": {"visits"}, "finetune": {"pretrain", "score"}}
"""Stages of runs that start from another's weights depend on the sources of these."""


@pytest.mark.parametrize("stage", [name for name in DVC if name != "sources"])
def test_a_stage_depends_on_the_list_of_its_source_files(stage):
    deps = DVC[stage].get("do", DVC[stage])["deps"]
    listed = {one for one in deps if one.startswith("results/sources/")}
    assert listed == {f"results/sources/{name}.txt" for name in SHARED.get(stage, {stage})}
    assert {one for one in deps if one.startswith("fxcore")} <= {"fxcore/data/registry.yaml"}


def test_what_a_stage_depends_on_is_listed_with_checksums(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sources()
    assert {path.stem for path in Path("results/sources").iterdir()} == set(STAGES) == set(DVC) - {"sources", *SHARED}
    for stage, names in STAGES.items():
        lines = Path(f"results/sources/{stage}.txt").read_text().splitlines()
        found = {file: of for of, file in (line.split("  ") for line in lines)}
        assert set(found) == {file for name in names for one in modules(f"fxcore.{name}") for file in closure(one)}
        assert all(hashlib.sha256((PROJECT / file).read_bytes()).hexdigest() == of for file, of in found.items())


def test_an_edit_changes_the_lists_of_the_stages_that_import_the_file_and_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROJECT / "fxcore", "fxcore", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "fxcore", "sources"]
    subprocess.run(command, check=True)
    before = {path.name: path.read_text() for path in Path("results/sources").iterdir()}
    with Path("fxcore/training/loop.py").open("a") as source:
        source.write("# edited\n")
    subprocess.run(command, check=True)
    changed_ = {path.stem for path in Path("results/sources").iterdir() if path.read_text() != before[path.name]}
    assert changed_ == {"pretrain", "score", "few_shot"}


def test_the_report_depends_on_the_titles_of_the_registry():
    assert "fxcore/data/registry.yaml" in DVC["report"]["deps"]


def test_plots_show_columns_that_histories_have_and_templates_that_are_there():
    from fxcore.training.pretrain import COLUMNS

    (histories,) = [one for one in PIPELINE["plots"] if "history" in next(iter(one))]
    (folder, how), *_ = histories.items()
    params = Params.model_validate(yaml.safe_load((PROJECT / "params.yaml").read_text()))
    assert folder == f"results/kept/{params.joint}/history"
    assert {how["x"], how["y"]} <= set(COLUMNS)
    template = (PROJECT / f".dvc/plots/{how['template']}.json").read_text()
    fields = {field for field in re.findall(r'"field": "(\w+)"', template) if field != "rev" and field.islower()}
    assert fields == {"task", "dataset", "mode"} & set(COLUMNS)
