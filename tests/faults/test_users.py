"""Two at once: two jobs on one output, two users on one folder. One works, the other hears so in one line."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from tests.faults.conftest import ROOT, Made

NOBODY = 65534
LOCKED = {
    "normalize example_a": ("data/example_a/72", "making the store of example_a"),
    "pretrain foundation_x cycle_1": ("foundation_x", "training foundation_x"),
    "few-shot transfer": ("few_shot/transfer", "training transfer on few images"),
    "ssl vit 32": ("cxrlt/vit/32.safetensors", "training vit at 32 pixels"),
    "head linear": ("cxrlt/heads/linear.safetensors", "training head linear"),
}
"""Jobs that leave unfinished work, which another would spoil."""
TWINS = ("split", "visits", "score", "evaluate", "summary", "table", "figure", "index", "keep-backbone")
"""Jobs that leave nothing but what they write whole."""


@pytest.fixture(scope="module")
def shared_folder(made, tmp_path_factory):
    return made.copy(tmp_path_factory.mktemp("shared") / "run")


@pytest.mark.long
@pytest.mark.parametrize("name", LOCKED)
def test_of_two_jobs_on_one_output_one_works(made, shared_folder, name):
    job = next(job for job in made.jobs if job.name == name)
    work, doing = LOCKED[name]
    shared_folder.remove(job)
    lock = shared_folder.folder / ROOT / "work" / f"{work}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        ended = shared_folder.run(job)
        assert (ended.code, ended.said.splitlines()[-1]) == (
            2,
            f"fxcore {job.rule}: another job is {doing}; wait for that one, or stop it",
        )
        assert shared_folder.content(job) == {}
    assert shared_folder.run(job).code == 0
    assert shared_folder.content(job) == made.content(job)


@pytest.mark.long
@pytest.mark.parametrize("rule", TWINS)
def test_two_jobs_that_write_the_same_at_once(made, shared_folder, rule):
    job = made.of(rule)[0]
    for _ in range(3):
        shared_folder.remove(job)
        ended = shared_folder.run(job, twin=True)
        assert ended.code == 0, ended.said
        assert shared_folder.content(job) == made.content(job)
        assert shared_folder.leftovers() == []


@pytest.fixture
def foreign(made) -> Made:
    """Results that another user may read and not write, where they can be reached."""
    if os.getuid():
        pytest.skip("becoming another user takes root")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        copy = made.copy(Path(folder) / "run")
        shutil.rmtree(copy.folder / ROOT / "logs")
        yield copy


@pytest.mark.long
def test_a_second_user_is_refused_in_one_line_and_changes_nothing(made, foreign):
    for job in {job.rule: job for job in made.jobs}.values():
        if job.rule == "phantom":  # forty folders deep in what is not the user's: it is the first line that counts
            continue
        ended = made.nursery.run(job.argv, foreign.folder, user=NOBODY)
        last = ended.said.splitlines()[-1]
        assert ended.code == 2, ended.said
        assert last.startswith(f"fxcore {job.rule}: ")
        assert last.endswith("make room or rights there, and start again")
        assert "Permission denied" in last
        assert "Traceback" not in ended.said
        assert foreign.content(job) == made.content(job)
