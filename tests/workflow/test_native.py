"""A store and the native files that it was made from: which change of them makes it again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import BESIDE, FOLDER_PARAMS, PROJECT, TINY, FolderDataset

SNAKEMAKE = Path(sys.executable).parent / "snakemake"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A dataset of a user's own, and its store."""
    folder = tmp_path_factory.mktemp("own")
    dataset = FolderDataset(folder / "native")
    dataset.write()
    content = yaml.safe_load(TINY.read_text()) | {"results_root": str(folder / "results"), "report": {}}
    content["datasets"] = {"mine": FOLDER_PARAMS | {"folder": str(folder / "native")}}
    train = {"visits": {"mine": ["classification"]}, "cycles": 1, "horizon_cycles": 1}
    content |= BESIDE | {"runs": {"joint": {"title": "J", "role": "joint", "train": train}}}
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert _data(file).returncode == 0
    return folder


def _data(file, *words):
    command = [SNAKEMAKE, "--cores", "all", *words, "--config", f"params={file}", "phase=data"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


def _is_made_again(project):
    planned = _data(project / "params.yaml", "-n")
    assert planned.returncode == 0, planned.stderr
    return "Nothing to be done" not in planned.stdout + planned.stderr


def test_a_store_stays_while_its_native_disk_is_not_there(project):
    assert not _is_made_again(project)
    (project / "native").rename(project / "away")
    try:
        assert not _is_made_again(project)
    finally:
        (project / "away").rename(project / "native")
    assert not _is_made_again(project)


def test_another_time_alone_changes_nothing_and_another_content_does_whatever_its_time(project):
    index = project / "native/index.csv"
    before, times = index.read_bytes(), (index.stat().st_atime, index.stat().st_mtime)
    os.utime(index)
    assert not _is_made_again(project)
    index.write_bytes(before.replace(b",train,1", b",train,0", 1))
    os.utime(index, (0, 0))  # as an archive may give it, older than the store
    assert _is_made_again(project)
    index.write_bytes(before)
    os.utime(index, times)
    assert not _is_made_again(project)
