"""Want of memory: the kernel kills a process of a job; the job ends, and goes on when started again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Job, Made

ROOTS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
LIMITS = ("memory.limit_in_bytes", "memory.max")
MEGABYTE = 1 << 20


@pytest.fixture
def group():
    """Groups of processes with a limit of memory, by the megabyte."""
    made: list[Path] = []

    def make(megabytes: int) -> Path:
        for root, name in zip(ROOTS, LIMITS, strict=True):
            folder = root / f"fxcore-faults-{len(made)}-{megabytes}"
            try:
                folder.mkdir()
            except OSError:
                continue
            if (folder / name).exists():
                made.append(folder)
                (folder / name).write_text(str(megabytes * MEGABYTE))
                return folder
            folder.rmdir()
        pytest.skip("no group of processes with a limit of memory can be made here; that takes root and cgroups")

    yield make
    for folder in made:
        folder.rmdir()


@pytest.fixture(scope="module")
def starved(made, tmp_path_factory):
    return made.copy(tmp_path_factory.mktemp("starved") / "run")


def named(made: Made, name: str, *more: str) -> Job:
    job = next(job for job in made.jobs if job.name == name)
    return Job([*job.argv, *more], job.outputs)


def _goes_on(made: Made, starved: Made, job: Job) -> None:
    assert starved.content(job).items() <= made.content(job).items()
    ended = starved.run(job)
    assert ended.code == 0, ended.said
    assert starved.content(job) == made.content(job)


@pytest.mark.long
@pytest.mark.parametrize("name", ["pretrain foundation_x cycle_1", "score foundation_x", "head linear", "ssl vit 32"])
def test_the_kernel_kills_a_job_for_want_of_memory(made, starved, group, name):
    job = named(made, name)
    starved.remove(job)
    ended = starved.run(job, group=str(group(12)))
    assert ended.code == -signal.SIGKILL, ended.said
    _goes_on(made, starved, job)


@pytest.mark.long
def test_the_kernel_kills_a_process_that_decodes(made, starved, group):
    job = named(made, "normalize example_a", "--threads", "2")
    starved.remove(job)
    ended = starved.run(job, group=str(group(48)))
    assert ended.code in (2, -signal.SIGKILL), ended.said  # one of the processes it started, or itself
    if ended.code == 2:
        assert "died, probably for want of memory; give the machine more" in ended.said.splitlines()[-1]
    _goes_on(made, starved, job)
