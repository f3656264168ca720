"""A hundred SIGKILLs from seeded schedules: in writers of states, stores and results, of Snakemake and its jobs, of recording.

What was disturbed is started again in place, and ends with the bytes of what nobody disturbed; meanwhile nothing half-written
stands under a declared name.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.faults.conftest import Job, Made
from tests.workflow.conftest import SNAKEMAKE
from tests.workflow.test_dvc import Project

STATES = ("pretrain", "ssl", "head", "few-shot", "release", "keep", "keep-backbone")
STORES = ("phantom", "normalize", "split", "visits", "leakage", "corpus")
RESULTS = ("score", "evaluate", "evaluate-few-shot", "evaluate-head", "summary", "table", "figure", "index")
INSIDE = {STATES: 35, STORES: 25, RESULTS: 15}
"""Kills at a step of a job that a seed decides, by what it writes."""
TOGETHER, ALONE, ONE_JOB, RECORDING = 7, 3, 5, 10
"""Kills of Snakemake with all its jobs, of Snakemake alone, of one of its jobs, of recording; at moments that a seed decides."""
SECONDS = (3.5, 8.5)
"""From a start of Snakemake to its end."""


def test_they_are_a_hundred():
    assert sum(INSIDE.values()) + TOGETHER + ALONE + ONE_JOB + RECORDING == 100


@pytest.fixture(scope="module")
def disturbed(made, tmp_path_factory):
    return made.copy(tmp_path_factory.mktemp("disturbed") / "run")


def kill(disturbed: Made, made: Made, job: Job, schedule: random.Random, most: int) -> int:
    """Kill a job again and again, and then let it end; how often it was killed."""
    expected = made.content(job)
    disturbed.remove(job)
    kills = 0
    while kills < most and (not kills or schedule.random() < 0.5):
        ended = disturbed.run(job, kill=schedule.randint(1, job.steps))
        if not ended.killed:  # having less left to do than at first, it ended before that step
            assert ended.code == 0, ended.said
            break
        kills += 1
        whole = disturbed.content(job)
        assert whole.items() <= expected.items(), job.name
    ended = disturbed.run(job)
    assert ended.code == 0, f"{job.name}: {ended.said}"
    assert disturbed.content(job) == expected, job.name
    return kills


@pytest.mark.long
@pytest.mark.parametrize("rules", INSIDE, ids=["states", "stores", "results"])
def test_killed_in_the_middle_of_a_job(made, disturbed, rules):
    schedule, kills = random.Random(f"{rules}"), 0  # noqa: S311 - no secret
    jobs = made.of(*rules)
    assert {job.rule for job in jobs} == set(rules)
    while kills < INSIDE[rules]:
        kills += kill(disturbed, made, schedule.choice(jobs), schedule, INSIDE[rules] - kills)
    assert kills == INSIDE[rules]
    assert disturbed.leftovers() == []


def processes(leader: int) -> dict[int, str]:
    """Processes of a session that run, with their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session, *_ = (path / "stat").read_text().rpartition(")")[2].split()
            if int(session) == leader and state != "Z":
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended by itself
    return found


def end(leader: int) -> None:
    """End every process of a session, also those started meanwhile."""
    while alive := processes(leader):
        for pid in alive:
            strike(pid)


def strike(pid: int) -> bool:
    """Whether there was a process to be killed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


class Disturbed(Project):
    """A project whose Snakemake is killed."""

    def start(self, *command: str) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        environment.pop("FXCORE_NATIVE", None)
        with (self.folder / ".said").open("w") as said:
            return subprocess.Popen(
                command, cwd=self.folder, stdout=said, stderr=said, text=True, start_new_session=True, env=environment
            )

    @property
    def said(self) -> str:
        return (self.folder / ".said").read_text()

    def unlock(self) -> None:
        """What `snakemake --unlock` does."""
        for lock in (self.folder / ".snakemake" / "locks").glob("*"):
            lock.unlink()

    def refuses_a_second(self) -> None:
        """A second Snakemake beside a first, or after one that was killed, says what locks the folder, and the first works on."""
        snakemake = self.start(SNAKEMAKE, "--cores", "all")
        while not list((self.folder / ".snakemake").glob("locks/*")):
            time.sleep(0.1)
        assert "--unlock" in self.snakemake(check=False)
        assert snakemake.poll() is None
        end(snakemake.pid)
        snakemake.wait()
        assert "--unlock" in self.snakemake(check=False)
        self.run(SNAKEMAKE, "--unlock")

    def killed(self, how: str, seconds: float) -> bool:
        """Start Snakemake, and after some seconds kill it with all its jobs, `alone`, or only `one job`; whether something was hit."""
        snakemake = self.start(SNAKEMAKE, "--cores", "all")
        time.sleep(seconds)
        jobs = [pid for pid, line in processes(snakemake.pid).items() if " -m fxcore " in line]
        if snakemake.poll() is not None:
            assert "another job is" in self.said, self.said  # of the Snakemake before, which was killed alone
            return False
        if how == "one job":
            hit = bool(jobs) and strike(jobs[-1])
            if not hit:
                end(snakemake.pid)
        else:
            hit = strike(snakemake.pid)
            if how == "together":
                end(snakemake.pid)
        assert snakemake.wait() != 0 or not hit
        self.unlock()
        return hit


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Disturbed(tmp_path_factory.mktemp("killed") / "project")


@pytest.mark.long
def test_snakemake_and_its_jobs_killed_make_the_same_tables(made, project):
    project.refuses_a_second()
    schedule = random.Random(10)  # noqa: S311 - no secret
    todo = ["together"] * TOGETHER + ["alone"] * ALONE + ["one job"] * ONE_JOB
    schedule.shuffle(todo)
    hits = 0
    for how in todo:
        while not project.killed(how, schedule.uniform(*SECONDS)):
            pass
        hits += 1
    assert hits == TOGETHER + ALONE + ONE_JOB
    last = project.snakemake()
    assert "recorded with DVC" in last
    tables = {path.name: path.read_bytes() for path in (project.folder / "results/tables").iterdir()}
    assert tables == {path.name: path.read_bytes() for path in (made.folder / "results/tables").iterdir()}
    assert [path for path in (project.folder / "results").rglob("*.part") if "work" not in path.parts] == []


@pytest.mark.long
def test_recording_killed_and_done_again_records_the_same(project):
    if not (project.folder / "dvc.lock").exists():
        pytest.skip("there is no complete run to record")
    record = [sys.executable, "-m", "fxcore", "record"]
    expected = yaml.safe_load((project.folder / "dvc.lock").read_text())
    (project.folder / "dvc.lock").unlink()
    shutil.rmtree(project.folder / ".dvc/cache")
    schedule, kills, longest = random.Random(5), 0, 12.0  # noqa: S311 - no secret
    while kills < RECORDING:
        process = project.start(*record)
        began = time.monotonic()
        try:
            process.wait(schedule.uniform(2.0, longest))
            longest = min(longest, time.monotonic() - began)  # so long it takes
        except subprocess.TimeoutExpired:
            kills += 1
            end(process.pid)
            process.wait()
    assert "recorded with DVC" in project.run(*record).stderr
    assert yaml.safe_load((project.folder / "dvc.lock").read_text()) == expected
    assert project.status() == set()
    cached = [path for path in (project.folder / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert cached
    for path in cached:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        assert f"{path.parent.name}{path.name.removesuffix('.dir')}" == digest
