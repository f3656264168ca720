"""The workflow as a text: names agree, rules are complete, and the linters have nothing to say."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fxcore.cli import parser
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.planning.contents import CXRLT_FIGURES, CXRLT_TABLES, FIGURES, TABLES
from fxcore.planning.plan import PHASES, Plan
from fxcore.report import cxrlt
from fxcore.report.figure import FIGURES as MADE_FIGURES
from fxcore.report.table import TABLES as MADE_TABLES
from tests.conftest import PROJECT, TINY
from tests.workflow.conftest import SNAKEMAKE


def _rules(text: str) -> dict[str, str]:
    """Every rule's text by its name; one of a loop, which is called after what it is made for as well, by the name that all share."""
    looped = r'^    rule:\n(.*?)        name:\n            f"(\w+)_\{\w+\}",?\n'
    text = re.sub(looped, r"rule \2:\n\1", text, flags=re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", text, flags=re.MULTILINE | re.DOTALL))


RULES = {
    name: body
    for phase in PHASES
    for name, body in _rules((PROJECT / f"workflow/rules/{phase}.smk").read_text()).items()
}


SOURCELESS = ("retrieve",)
"""What was fetched is what its checksums say, whichever code did it: an edit of that code makes nothing again."""


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_its_command_its_log_and_its_benchmark_share_one_name(rule):
    body = RULES[rule]
    command = rule.replace("_", "-")  # as command lines are written
    assert f'"python -m fxcore {command} ' in body
    assert f"/logs/{rule}/" in body
    assert f"/benchmarks/{rule}/" in body
    if rule not in SOURCELESS:
        assert f".{rule}" in re.search(r"src=(.*)", body)[1] or rule in ("normalize", "table", "figure")
    commands = next(action for action in parser()._actions if hasattr(action, "choices") and action.dest == "command")
    assert command in commands.choices


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_says_what_it_does_and_depends_on_source_files_and_a_slice(rule):
    body = RULES[rule]
    assert body.lstrip().startswith('"""')
    for key in ("input:", "output:", "log:", "benchmark:", "params:", "message:", "shell:"):
        assert f"    {key}" in body or (key == "input:" and rule in SOURCELESS), key


def test_rules_that_compute_on_a_gpu_ask_for_one():
    for rule, body in RULES.items():
        assert ("gpu=" in body) == (rule in ("pretrain", "score", "few_shot", "ssl", "head")), rule


def test_plan_and_report_know_the_same_tables_and_figures():
    assert tuple(MADE_TABLES) == TABLES
    assert tuple(MADE_FIGURES) == FIGURES
    assert tuple(cxrlt.TABLES) == CXRLT_TABLES
    assert tuple(cxrlt.FIGURES) == CXRLT_FIGURES


def test_snakemake_lint_has_nothing_to_say_but_that_rules_share_one_environment():
    ran = subprocess.run(
        [SNAKEMAKE, "--lint", "--config", f"params={TINY}"], cwd=PROJECT, capture_output=True, text=True
    )
    found = re.findall(r"^\s+\* (.*?):$", ran.stdout + ran.stderr, flags=re.MULTILINE)
    assert set(found) <= {"Specify a conda environment or container for each rule."}, ran.stderr


def test_targets_of_phases():
    plan = Plan.load(str(TINY))
    assert plan.targets("retrieve") == []
    assert plan.targets("data") == ["results-tiny/data/example_a/72/manifest.json"]
    assert plan.targets("split") == ["results-tiny/splits/example_a.parquet", "results-tiny/splits/example_a.json"]
    assert plan.targets("visits") == [
        "results-tiny/visits/foundation_x.json",
        "results-tiny/visits/example_a_localization.json",
        "results-tiny/visits/transfer.json",
    ]
    assert plan.targets("train") == [
        "results-tiny/kept/foundation_x/manifest.json",
        "results-tiny/kept/example_a_localization/manifest.json",
        "results-tiny/kept/transfer/manifest.json",
    ]
    assert plan.targets("score") == [
        "results-tiny/predictions/foundation_x.parquet",
        "results-tiny/predictions/example_a_localization.parquet",
        "results-tiny/predictions/transfer.parquet",
    ]
    assert plan.targets("release") == ["results-tiny/weights/foundation_x.safetensors"]
    assert plan.targets("few_shot") == ["results-tiny/predictions/few_shot/transfer.parquet"]
    assert plan.targets("evaluate") == [
        "results-tiny/metrics/summary.json",
        "results-tiny/metrics/foundation_x.json",
        "results-tiny/metrics/example_a_localization.json",
        "results-tiny/metrics/transfer.json",
        "results-tiny/metrics/few_shot.json",
        *(
            f"results-tiny/metrics/cxrlt/{name}.json"
            for name in ("linear", "linear_random", "decoder", "joined", "both")
        ),
        "results-tiny/metrics/leakage/lists.parquet",
        "results-tiny/metrics/leakage/runs.parquet",
    ]
    assert plan.targets("corpus") == ["results-tiny/corpus.parquet"]
    assert plan.targets("ssl") == [
        f"results-tiny/backbones/{name}.safetensors" for name in ("vit/32", "vit/48", "random/48")
    ]
    assert plan.study.stages_of("vit") == plan.targets("ssl")[:2]
    assert plan.targets("head")[0] == "results-tiny/predictions/cxrlt/linear.parquet"
    ends = [target for phase in ("data", "release", "evaluate", "report") for target in plan.targets(phase)]
    assert set(ends) == set(plan.targets())


@pytest.mark.parametrize(
    ("phase", "missing"),
    [
        ("visits", "manifest.json"),
        ("train", "visits/foundation_x.json"),
        ("score", "kept/foundation_x/manifest.json"),
        ("evaluate", "predictions/foundation_x.parquet"),
    ],
)
def test_one_phase_alone_plans_nothing_upstream(tmp_path, phase, missing):
    file = tmp_path / "params.yaml"
    file.write_text(TINY.read_text().replace("results-tiny", str(tmp_path / "results")))
    command = [SNAKEMAKE, "--cores", "all", "-n", "--config", f"params={file}", f"phase={phase}"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode != 0
    assert "MissingInputException" in ran.stdout + ran.stderr
    assert missing in ran.stdout + ran.stderr


def test_without_a_gpu_the_limit_is_zero_and_jobs_still_run(experiment):
    assert (experiment.results / "metrics/foundation_x.json").exists()
    code = "from fxcore import machine; print(machine.gpus())"
    environment = {"CUDA_VISIBLE_DEVICES": "", "PATH": str(Path(sys.executable).parent)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "0"


@dataclass(frozen=True)
class Wildcards:
    """What Snakemake gives an input function."""

    run: str
    stage: str = ""


CHECKPOINTS = "results-tiny/checkpoints/foundation_x"


@pytest.mark.parametrize(
    ("stage", "before"),
    [
        ("cycle_1", []),
        ("cycle_2", [f"{CHECKPOINTS}/cycle_1.safetensors", f"{CHECKPOINTS}/optimizer/cycle_1.safetensors"]),
    ],
)
def test_a_stage_continues_the_one_before(stage, before):
    assert Plan.load(str(TINY)).previous_state(Wildcards("foundation_x", stage)) == before


def test_a_stage_that_the_run_does_not_have_is_said():
    with pytest.raises(InputError, match=r"^runs\.foundation_x has no stage cycle_3; it has cycle_1, cycle_2$"):
        Plan.load(str(TINY)).previous_state(Wildcards("foundation_x", "cycle_3"))


def test_every_nth_cycle_and_the_last_are_kept(tiny):
    changes = {f"runs__foundation_x__train__{name}": value for name, value in (("cycles", 4), ("keep_every", 3))}
    plan = Plan(tiny(**changes), Machine())
    weights = [path for path in plan.worth_keeping(Wildcards("foundation_x")) if path.count("/") == 3]
    assert weights == [f"{CHECKPOINTS}/cycle_3.safetensors", f"{CHECKPOINTS}/cycle_4.safetensors"]


def test_of_stages_within_a_cycle_no_weights_are_kept(tiny):
    plan = Plan(tiny(pretrain__stage="pass"), Machine())
    inside = [f"cycle_{cycle}-0{stage}" for cycle in (0, 1) for stage in (1, 2, 3, 4)]
    every = [*inside, "cycle_1", "cycle_2"]
    assert set(plan.worth_keeping(Wildcards("foundation_x"))) == {
        *(f"{CHECKPOINTS}/{name}.safetensors" for name in ("cycle_1", "cycle_2", "optimizer/cycle_2")),
        *(f"{CHECKPOINTS}/snapshots/{name}.safetensors" for name in every),
        *(f"{CHECKPOINTS}/history/{name}.csv" for name in every),
    }
