"""A disk that is full, at every write of every kind of job: one line that says which file and what to do; what was there stays.

A write is refused from the k-th on, for every k; states, which a library writes, also at sizes that a seed decides; and once the
disk really is full.
"""

from __future__ import annotations

import errno
import os
import random
import re
import subprocess

import pytest

from tests.faults.conftest import Ended, Job, Made

EVERY = ("normalize", "split", "visits", "corpus", "leakage", "ssl", "keep", "keep-backbone", "score", "evaluate")
EVERY += ("evaluate-head", "evaluate-few-shot", "release", "head", "pretrain", "summary", "table", "figure", "index")
"""Rules of which a job is tried at every write."""
WRITES = 200
"""Of all of these together; more, as long as tables and states are no smaller."""
SIZES = 30
"""Limits that are tried on files of states."""


def one_line(ended: Ended, job: Job, error: int) -> None:
    """Whether the job ended in one line that says what is full and what to do."""
    assert ended.code == 2, f"{job.name}: {ended.said}"
    *before, last = ended.said.splitlines()
    pattern = rf"^fxcore {job.rule}: .+ \(.*{os.strerror(error)}.*\); make room or rights there, and start again$"
    assert re.search(pattern, last), f"{job.name}: {ended.said}"
    assert not [line for line in before if "Traceback" in line or "Error" in line], ended.said


@pytest.fixture(scope="module")
def filled(made, tmp_path_factory):
    return made.copy(tmp_path_factory.mktemp("filled") / "run")


def smallest(made: Made, rule: str) -> Job:
    """The job of a rule that writes least often."""
    return min(made.of(rule), key=lambda job: job.grown)


@pytest.mark.long
def test_there_are_some_hundred_writes(made):
    assert sum(smallest(made, rule).grown for rule in EVERY) >= WRITES


@pytest.mark.long
@pytest.mark.parametrize("rule", EVERY)
def test_refused_at_every_write(made, filled, rule):
    job = smallest(made, rule)
    expected = made.content(job)
    assert job.grown
    refused = 0
    filled.remove(job)
    for at in range(1, job.grown + 1):
        ended = filled.run(job, full=at)
        if ended.code == 0:  # of the disk that is full only the log had need
            filled.remove(job)
            continue
        one_line(ended, job, errno.ENOSPC)
        refused += 1
        assert filled.content(job).items() <= expected.items()
        assert filled.leftovers() == []
    assert refused > job.grown / 3
    assert filled.run(job).code == 0
    assert filled.content(job) == expected


@pytest.mark.long
def test_states_are_refused_at_any_size(made, filled):
    schedule, refused = random.Random(3), 0  # noqa: S311 - no secret
    jobs = made.of("pretrain", "ssl", "head", "keep-backbone", "release")
    while refused < SIZES:
        job = schedule.choice(jobs)
        expected = made.content(job)
        most = max(len(content) for content in expected.values())
        filled.remove(job)
        ended = filled.run(job, limit=schedule.randint(1000, most - 1))
        one_line(ended, job, errno.EFBIG)
        refused += 1
        assert filled.content(job).items() <= expected.items()
        assert filled.leftovers() == []
        assert filled.run(job).code == 0
        assert filled.content(job) == expected


@pytest.mark.long
def test_the_whole_experiment_on_a_disk_that_fills_up(made, tmp_path):
    """It grows a little whenever it is full; the experiment goes on, and ends with the same files."""
    folder, size = tmp_path / "disk", 64
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system of a given size can be mounted here; that takes root")
    try:
        (folder / "local.yaml").write_text("autosave: 0\n")
        disk, refused = Made(folder, made.jobs, made.nursery), 0
        for job in made.jobs:
            while (ended := disk.run(job)).code:
                one_line(ended, job, errno.ENOSPC)
                assert disk.content(job).items() <= made.content(job).items()
                refused, size = refused + 1, size + 3072
                subprocess.run(["mount", "-o", f"remount,size={size}k", str(folder)], check=True)
            assert disk.content(job) == made.content(job), job.name
        assert refused >= 10
        assert disk.leftovers() == []
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
