"""DVC beside Snakemake: both see the same edits, and what either made or brought back the other accepts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fxcore.params.splits import Splits
from tests.conftest import PROJECT, TINY, changed

BIN = Path(sys.executable).parent


class Project:
    """A clone of the project in a git repository of its own, with the tiny experiment as its `params.yaml`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (PROJECT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PROJECT / name, folder / name)
        self.content = yaml.safe_load(TINY.read_text()) | {"results_root": "results"}
        self.content["evaluate"] = {"every": 1, "iou": 0.4, "detections": 100, "resamples": 20, "confidence": 0.95}
        self.content["splits"] = Splits().model_dump()
        self.write()
        self.git("init", "-q")
        self.git("config", "user.email", "test@example.org")
        self.git("config", "user.name", "test")
        self.commit()

    def write(self, **changes: Any) -> None:
        """The parameter file with some changes."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(changed(self.content, changes), sort_keys=False))

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(self.folder)}
        environment.pop("FXCORE_NATIVE", None)
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment)
        assert not check or ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    def git(self, *arguments: str) -> None:
        self.run("git", *arguments)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "state", "--allow-empty")

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        ran = self.run("snakemake", "--cores", "all", *arguments, check=check)
        return ran.stdout + ran.stderr

    def status(self) -> set[str]:
        """Stages that DVC would run for a reason of their own."""
        return set(json.loads(self.run("dvc", "status", "--json").stdout))

    def planned(self) -> dict[str, str]:
        """The reason of every job that Snakemake would run, by command: `pretrain foundation_x --stage cycle_1`."""
        blocks = re.findall(
            r"^Reason: (.*)\nShell command: python -m fxcore ([\w-]+ ?\w* ?(?:--stage \S+|\d+)?)",
            self.snakemake("--dry-run", "--printshellcmds"),
            flags=re.MULTILINE,
        )
        return {command.strip(): reason for reason, command in blocks}

    def idle(self) -> bool:
        """Whether neither tool has anything to do."""
        return not self.status() and "Nothing to be done" in self.snakemake("--dry-run")


def stage_of(command: str) -> str:
    """The DVC stage that a job belongs to."""
    rule, *of = command.split()
    if of[:1] == [FINETUNE] and rule in ("visits", "pretrain", "keep", "score"):
        return f"finetune_visits@{FINETUNE}" if rule == "visits" else f"finetune@{FINETUNE}"
    whole = {
        "summary": "evaluate",
        "evaluate": "evaluate",
        "evaluate-few-shot": "evaluate",
        "evaluate-head": "evaluate",
    }
    whole |= {"corpus": "corpus", "leakage": "evaluate", "split": "split"}
    whole |= dict.fromkeys(("table", "figure", "index"), "report")
    if rule in whole:
        return whole[rule]
    stage = {
        "normalize": "data",
        "phantom": "data",
        "keep": "pretrain",
        "few-shot": "few_shot",
        "keep-backbone": "ssl",
    }.get(rule, rule)
    return f"{stage}@{of[0]}"


def own(planned: dict[str, str]) -> set[str]:
    """Stages of the jobs with a reason beside that another job is to run."""
    return {
        stage_of(job) for job, reason in planned.items() if not reason.startswith("Input files updated by another job")
    }


def trainings(planned: dict[str, str]) -> set[str]:
    return {f"{job.split()[1]}: training {job.split()[3]}" for job in planned if job.startswith("pretrain")}


def trained(ran: subprocess.CompletedProcess[str]) -> set[str]:
    """Trainings that a command executed."""
    return set(re.findall(r"^Job \d+: (\w+: training \S+)$", ran.stdout + ran.stderr, flags=re.MULTILINE))


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A project whose results Snakemake made and recorded; to be copied."""
    made = Project(tmp_path_factory.mktemp("recorded"))
    said = made.snakemake()
    assert "recorded with DVC" in said
    assert made.idle()
    made.commit()
    return made


def copied(project: Project, folder: Path) -> Project:
    """The same elsewhere, with all that Snakemake and DVC know of it, times of files among it."""
    shutil.rmtree(folder)
    subprocess.run(["cp", "-a", project.folder, folder], check=True)
    made = object.__new__(Project)
    made.folder, made.content = folder, project.content
    return made


@pytest.fixture(scope="module")
def project(recorded, tmp_path_factory):
    return copied(recorded, tmp_path_factory.mktemp("project"))


def test_two_runs_make_the_same_tables(experiment, project):
    again = project.folder / "results"
    for table in (experiment.results / "tables").iterdir():
        assert (again / "tables" / table.name).read_bytes() == table.read_bytes(), table.name
    first, second = (root / "checkpoints/foundation_x/cycle_2.safetensors" for root in (experiment.results, again))
    assert _tensors(first) == _tensors(second)


def _tensors(state):
    """Without what made it, which has the results root."""
    from fxcore.training.state import load

    return {name: value.numpy().tobytes() for name, value in load(state).tensors.items()}


@pytest.fixture
def fresh(recorded, tmp_path):
    return copied(recorded, tmp_path)


FINETUNE = "transfer"
"""The tiny experiment's run that starts from another; it is also trained on few images."""
TRAINED = {"pretrain@foundation_x", "pretrain@example_a_localization", "finetune@transfer", "few_shot@transfer"}
VISITS = {"visits@foundation_x", "visits@example_a_localization", "finetune_visits@transfer"}
HEADS = {f"head@{name}" for name in ("linear", "linear_random", "decoder", "joined")}
EDITS = {
    "seed": ({"seed": 8}, TRAINED | {"ssl@vit", "ssl@random"} | HEADS),
    "cxrlt": ({"cxrlt__fit__batch_size": 3}, HEADS),
    "datasets": ({"datasets__example_a__phantom": {"train": 16, "val": 6, "test": 6}}, {"data@example_a"}),
    "splits": ({"splits__near__distance": 3}, {"split", "evaluate", *VISITS}),
    "model": ({"model__localization__queries": 8}, {*TRAINED, "report"}),
    "pretrain": ({"pretrain__batch_size": 3}, {*TRAINED, "report"}),
    "runs": ({"runs__foundation_x__train__momentum": 0.5}, {"pretrain@foundation_x", "report"}),
    "finetune": ({"finetune__transfer__train__horizon_cycles": 2}, {"finetune@transfer", "report"}),
    "few_shot": ({"few_shot__updates": 3}, {"few_shot@transfer", "report"}),
    "evaluate": (
        {"evaluate__iou": 0.5},
        {"score@foundation_x", "score@example_a_localization", "finetune@transfer", "few_shot@transfer", "report"},
    ),
    "report": ({"report__panels": 3}, {"report"}),
}
"""A change of one value in each block, and the stages that it concerns by itself."""
IN_VAIN = {
    "datasets": {"split", "evaluate"},
    "runs": {"evaluate"},
    "finetune": {"evaluate"},
    "report": {"release@foundation_x"},
}
"""Stages that DVC starts beside them, since it cannot know which values of a dataset say who its images are of, which of a run what
it is compared with, or which of the report are titles."""
AFTERWARDS = {"finetune": {"few_shot@transfer"}}
"""Jobs that Snakemake starts for a reason of their own, and DVC after those that their stage waits for."""
WAITING = {block: {"finetune@transfer", "few_shot@transfer"} for block in ("seed", "model", "pretrain", "evaluate")}
WAITING["seed"] |= HEADS
WAITING["splits"] = {"evaluate", *VISITS}
"""The other way round: what they start from is made again, which is the reason that Snakemake names."""


ALIKE = ("model", "pretrain", "runs", "finetune", "few_shot")
"""Blocks whose edits are tried in the long tests only: tests/test_dvc_stages.py goes through every value, without either tool."""


@pytest.mark.parametrize(
    "block", [pytest.param(block, marks=[pytest.mark.long] if block in ALIKE else []) for block in EDITS]
)
def test_both_tools_see_an_edit_alike(project, block):
    changes, expected = EDITS[block]
    project.write(**changes)
    planned = project.planned()
    assert project.status() - IN_VAIN.get(block, set()) == expected
    assert own(planned) - AFTERWARDS.get(block, set()) == expected - WAITING.get(block, set())
    assert expected <= set(map(stage_of, planned))
    project.write()
    assert project.idle()


WALKED = ("datasets", "runs", "report")
"""Blocks whose edits are also made, undone and looked at: a store and all that is trained on it, one run, nothing."""


@pytest.mark.long
@pytest.mark.parametrize("block", WALKED)
def test_repro_trains_what_snakemake_predicts_and_brings_back_what_was(fresh, block):
    changes, _ = EDITS[block]
    tables = {path.name: path.read_bytes() for path in (fresh.folder / "results/tables").iterdir()}
    fresh.write(**changes)
    predicted = trainings(fresh.planned())
    ran = fresh.run("dvc", "repro")
    assert trained(ran) == predicted
    assert fresh.idle()
    fresh.write()
    back = fresh.run("dvc", "repro")
    assert not trained(back)
    assert fresh.idle()
    assert {path.name: path.read_bytes() for path in (fresh.folder / "results/tables").iterdir()} == tables


@pytest.mark.long
def test_a_run_added_to_the_parameters_is_picked_up_by_both(fresh):
    train = {"visits": {"example_a": ["segmentation"]}, "cycles": 1, "horizon_cycles": 1, "lock": [], "momentum": None}
    run = {"title": "UPerNet", "role": "baseline", "train": train}
    fresh.write(runs=fresh.content["runs"] | {"mine": run})
    assert {"visits@mine", "pretrain@mine", "score@mine"} <= fresh.status() & own(fresh.planned())
    assert trainings(fresh.planned()) == {"mine: training cycle_1"}
    fresh.run("dvc", "repro")
    assert fresh.idle()
    assert "UPerNet" not in (fresh.folder / "results/tables/table1_datasets.md").read_text()
    assert json.loads((fresh.folder / "results/metrics/summary.json").read_text())["mine"]
    fresh.write()
    fresh.run("dvc", "repro")
    assert fresh.idle()


@pytest.mark.long
def test_after_a_revert_another_metric_trains_only_what_starts_from_its_choice_and_a_longer_run_goes_on(fresh):
    fresh.write(pretrain__batch_size=3)
    fresh.run("dvc", "repro")
    fresh.write()
    fresh.run("dvc", "repro")
    started = {"transfer: training cycle_1"}  # from the state that validation chooses by this metric
    fresh.write(evaluate__iou=0.5)
    assert trainings(fresh.planned()) == started
    assert trained(fresh.run("dvc", "repro")) <= started
    fresh.write(evaluate__iou=0.5, runs__foundation_x__train__cycles=3)
    longer = {"foundation_x: training cycle_3"}
    assert longer <= trainings(fresh.planned()) <= longer | started
    assert longer <= trained(fresh.run("dvc", "repro")) <= longer | started
    assert fresh.idle()


def test_another_parameter_file_is_not_recorded(project):
    before = (project.folder / "dvc.lock").read_bytes()
    ran = project.run("fxcore", "record", "--params", str(TINY), check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("fxcore record: nothing recorded: the parameters are those of ")
    assert (project.folder / "dvc.lock").read_bytes() == before


def test_a_part_of_the_targets_is_not_recorded(project):
    before = (project.folder / "dvc.lock").read_bytes()
    project.write(report__panels=3)
    said = project.snakemake("--", "results/figures/panels_localization.png")
    assert "nothing recorded: only results/figures/panels_localization.png was asked for" in said
    ran = project.run("fxcore", "record", check=False)
    assert ran.returncode == 2
    assert "nothing recorded: some work is left" in ran.stderr
    assert (project.folder / "dvc.lock").read_bytes() == before
    project.write()
    project.run("dvc", "checkout", "--force")
    project.run("fxcore", "certify")
    assert project.idle()


def test_a_clone_syncs_what_was_pushed_and_has_nothing_to_do(project, tmp_path):
    project.run("dvc", "remote", "add", "--default", "--local", "here", str(tmp_path / "remote"))
    project.run("dvc", "push")
    project.commit()
    clone = tmp_path / "clone"
    project.git("clone", "-q", str(project.folder), str(clone))
    shutil.copy(project.folder / ".dvc/config.local", clone / ".dvc/config.local")
    theirs = object.__new__(Project)
    theirs.folder, theirs.content = clone, project.content
    ran = theirs.run("fxcore", "sync")
    assert "Snakemake has nothing to do" in ran.stderr
    assert theirs.idle()
    theirs.write(report__panels=2)
    refused = theirs.run("fxcore", "sync", check=False)
    assert refused.returncode == 2
    assert "report: dvc.lock is not of the files here" in refused.stderr
