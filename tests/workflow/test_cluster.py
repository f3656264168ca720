"""The cluster profiles: through the generic one jobs are submitted for real, each as a process of its own on this machine."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conftest import PROJECT
from tests.workflow.conftest import SNAKEMAKE, Experiment
from tests.workflow.test_workflow import RULES

PROFILES = PROJECT / "workflow/profiles"
SUBMITTED = PROJECT / ".snakemake/submitted"


@dataclass(frozen=True)
class Submitted:
    """What the generic profile's scripts leave of a job."""

    job: str
    pid: int
    asked: str
    status: str

    @classmethod
    def read(cls, folder: Path) -> Submitted:
        found = re.search(r"--target-jobs (\S+) ", (folder / "log").read_text())
        texts = [(folder / name).read_text().strip() for name in ("pid", "asked", "status")]
        return cls(found[1], int(texts[0]), *texts[1:])


def submit(made: Experiment, *targets: str) -> tuple[list[Submitted], str]:
    """Run Snakemake through the generic profile, on a machine without GPUs; the jobs it submitted, and what it said."""
    before = set(SUBMITTED.glob("job.*"))
    command = [SNAKEMAKE, "--workflow-profile", str(PROFILES / "generic"), "--config", f"params={made.params()}"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run([*command, "--", *targets], cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return [Submitted.read(one) for one in set(SUBMITTED.glob("job.*")) - before], ran.stderr


def test_each_job_is_submitted_as_a_process_of_its_own_and_makes_the_same(experiment, tmp_path):
    from fxcore.training.state import load

    made = Experiment(tmp_path)
    state = "checkpoints/example_a_localization/cycle_1.safetensors"
    jobs, said = submit(made, str(made.results / state))
    assert sorted(one.job for one in jobs) == [
        "normalize:dataset=example_a",
        "phantom:dataset=example_a",
        "pretrain:run=example_a_localization,stage=cycle_1",
        "split_example_a:",
        "visits:run=example_a_localization",
    ]
    assert len({one.pid for one in jobs}) == len(jobs)
    assert {one.status for one in jobs} == {"0"}
    assert said.count("with external jobid 'job.") == len(jobs)
    asked = {one.job.partition(":")[0]: one.asked for one in jobs}
    # a quarter of an hour, and twelve images with all the time they may take: less than a minute
    assert re.fullmatch(r"threads=\d+ mem_mb=\d{5} runtime=16 gpu=0", asked["pretrain"])
    assert asked["visits"] == "threads=1 mem_mb=8000 runtime=240 gpu=0"
    for name in ("images.npy", "masks.npy", "boxes.parquet"):
        path = f"data/example_a/72/{name}"
        assert (made.results / path).read_bytes() == (experiment.results / path).read_bytes(), name
    mine, theirs = (load(one.results / state).tensors for one in (made, experiment))
    assert mine.keys() == theirs.keys()
    assert all(value.equal(theirs[name]) for name, value in mine.items())


@pytest.mark.long
def test_the_whole_experiment_through_a_queue_makes_the_same_tables(experiment, tmp_path):
    made = Experiment(tmp_path)
    jobs, _ = submit(made)
    # every job of the rules, but `all`
    assert {one.job.partition(":")[0].removesuffix("_example_a") for one in jobs} == set(RULES) - {"retrieve"}
    assert len(jobs) == len({one.job for one in jobs})
    for table in (experiment.results / "tables").iterdir():
        assert (made.results / "tables" / table.name).read_bytes() == table.read_bytes(), table.name


def _script(name, *arguments):
    return subprocess.run([PROFILES / "generic" / name, *arguments], cwd=PROJECT, capture_output=True, text=True)


@pytest.mark.parametrize(("does", "state"), [("exit 0", "success"), ("exit 3", "failed")])
def test_a_submitted_script_is_running_until_it_ends(tmp_path, does, state):
    script, gate = tmp_path / "job.sh", tmp_path / "gate"
    os.mkfifo(gate)
    script.write_text(f"#!/bin/sh\nread line <{gate}\n{does}\n")
    script.chmod(0o755)
    job = _script("submit", "1", "100", "5", "0", str(script)).stdout.strip()
    assert _script("status", job).stdout == "running\n"
    gate.write_text("go\n")
    while (said := _script("status", job).stdout) == "running\n":
        pass
    assert said == f"{state}\n"


def test_a_cancelled_job_ends_with_what_it_started(tmp_path):
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! >{tmp_path}/child\nwait\n")
    script.chmod(0o755)
    job = _script("submit", "1", "100", "5", "0", str(script)).stdout.strip()
    child = tmp_path / "child"
    while not (child.exists() and child.read_text().strip()):
        pass
    assert _script("cancel", job).returncode == 0
    while (said := _script("status", job).stdout) == "running\n":
        pass
    assert said == "failed\n"
    assert not _alive(int(child.read_text()))


def _alive(pid):
    """Whether a process runs; one that ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", ["generic", "slurm"])
def test_a_profile_says_what_jobs_without_resources_get_and_names_rules_that_exist(name):
    profile = yaml.safe_load((PROFILES / name / "config.yaml").read_text())
    assert {"mem_mb", "runtime"} <= set(profile["default-resources"])
    assert set(profile.get("set-resources", {})) <= set(RULES)


@pytest.mark.parametrize("rule", ["normalize", "pretrain", "score"])
def test_rules_with_much_to_do_ask_for_memory_and_time(rule):
    assert "mem_mb=plan.memory," in RULES[rule]
    assert re.search(r"runtime=plan\.(data\.)?minutes_to_\w+,", RULES[rule])


def test_slurms_profile_is_one_that_snakemake_reads(experiment):
    # its executor is not installed here; everything else of the profile is
    command = [SNAKEMAKE, "-n", "--workflow-profile", str(PROFILES / "slurm"), "--executor", "local", "--cores", "1"]
    ran = subprocess.run(
        [*command, "--config", f"params={experiment.params()}"], cwd=PROJECT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "Nothing to be done" in ran.stdout + ran.stderr
