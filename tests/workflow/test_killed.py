"""Snakemake and all its jobs, killed at random and started again: the tables are those of a run that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.workflow.conftest import SNAKEMAKE, Experiment
from tests.workflow.test_dvc import Project

KILLS, SECONDS = 3, (4.0, 13.0)
"""How often, and how long after each start; the whole takes about a minute on two cores."""


def kill_session(leader: int) -> list[str]:
    """End every process of a session at once, also those started meanwhile; the command lines of those that were there."""
    ended: list[str] = []
    while alive := [path for path in Path("/proc").glob("[0-9]*") if _session(path) == leader]:
        for path in alive:
            try:
                ended.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
                os.kill(int(path.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended by itself
    return ended


def _session(path: Path) -> int | None:
    """The session of a process that runs; None of one that has ended."""
    try:
        state, _, _, session, *_ = (path / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(session)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_three_times_it_makes_the_same_tables(experiment, tmp_path, seed):
    # In a project of its own: unlocking would take the lock of other tests.
    project, made = Project(tmp_path / "project"), Experiment(tmp_path)
    command = [SNAKEMAKE, "--cores", "all", "--config", f"params={made.params()}"]
    times = random.Random(seed)  # noqa: S311 - no secret
    ended: list[str] = []
    for _ in range(KILLS):
        with (tmp_path / "said").open("w") as said:
            process = subprocess.Popen(
                command, cwd=project.folder, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
        time.sleep(times.uniform(*SECONDS))
        assert process.poll() is None, (tmp_path / "said").read_text()
        ended += kill_session(process.pid)
        process.wait()
        refused = project.run(*command, check=False)
        assert refused.returncode != 0
        assert "--unlock" in refused.stdout + refused.stderr
        project.run(*command, "--unlock")
    assert any(" -m fxcore " in one for one in ended), "no job was killed"
    project.run(*command)
    names = sorted(path.name for path in (experiment.results / "tables").iterdir())
    assert sorted(path.name for path in (made.results / "tables").iterdir()) == names
    for name in names:
        assert (made.results / "tables" / name).read_bytes() == (experiment.results / "tables" / name).read_bytes()
