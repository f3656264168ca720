"""The tiny experiment made job by job, undisturbed, to hold disturbed jobs against."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fxcore.files import read_json
from fxcore.paths import MANIFEST
from fxcore.training.pretrain import MEASURED
from tests.conftest import PROJECT, TINY
from tests.faults.nursery import Ended, Nursery
from tests.workflow.conftest import SNAKEMAKE

ROOT = "results"


@dataclass(frozen=True)
class Job:
    """A job as Snakemake plans it; undisturbed, the files it makes, its steps, and how many of them take room on the disk."""

    argv: list[str]
    outputs: tuple[str, ...] = ()
    steps: int = 0
    grown: int = 0

    @property
    def rule(self) -> str:
        return self.argv[0]

    @property
    def name(self) -> str:
        return " ".join(word for word in self.argv[:4] if not word.startswith(("-", "{", ROOT)))


@dataclass(frozen=True)
class Made:
    """An experiment: its folder, its jobs in order, and the process that runs them."""

    folder: Path
    jobs: list[Job]
    nursery: Nursery

    def copy(self, folder: Path) -> Made:
        """Another, with the same results, to be disturbed."""
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        return Made(folder, self.jobs, self.nursery)

    def of(self, *rules: str) -> list[Job]:
        return [job for job in self.jobs if job.rule in rules]

    def run(self, job: Job, **fault: object) -> Ended:
        return self.nursery.run(job.argv, self.folder, **fault)

    def remove(self, job: Job) -> None:
        """What the job made."""
        for name in job.outputs:
            (self.folder / name).unlink(missing_ok=True)

    def content(self, job: Job) -> dict[str, bytes]:
        """Those of the job's files that are there, by name; histories without their measures of time."""
        return {name: _content(self.folder / name) for name in job.outputs if (self.folder / name).exists()}

    def files(self) -> dict[str, int]:
        """When each file of the results was written, but for logs and unfinished work."""
        found = ((path.relative_to(self.folder), path) for path in (self.folder / ROOT).rglob("*") if path.is_file())
        return {str(name): path.stat().st_mtime_ns for name, path in found if name.parts[1] not in ("work", "logs")}

    def leftovers(self) -> list[str]:
        """What no job left on purpose."""
        return [str(path) for path in self.folder.rglob("*.part")]


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".csv" and MEASURED[0].encode() in content:
        return pd.read_csv(path).drop(columns=list(MEASURED)).to_csv().encode()
    if path.parts[-3] == "kept" and path.name == MANIFEST:
        found = read_json(path)
        found["files"] = {name: of for name, of in found["files"].items() if not name.endswith(".csv")}
        return json.dumps(found).encode()
    return content


def planned(folder: Path) -> list[Job]:
    """All jobs of the tiny experiment, in an order in which they can run; results are in the folder of whoever runs them."""
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(TINY.read_text()) | {"results_root": ROOT}, sort_keys=False))
    command = [SNAKEMAKE, "--cores", "all", "-n", "-p", "--forceall", "--config", f"params={file}"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = re.findall(r"^Shell command: python -m fxcore (.*?)$", ran.stdout + ran.stderr, flags=re.MULTILINE)
    return [Job(shlex.split(command)) for command in found]


def _made(found: Made, job: Job) -> Job:
    before = found.files()
    ended = found.run(job)
    assert ended.code == 0, f"{job.name}: {ended.said}"
    after = found.files()
    written = sorted(name for name in after if after[name] != before.get(name))
    return Job(job.argv, tuple(written), ended.steps, ended.grown)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="session")
def made(nursery, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    (folder / "run").mkdir()
    (folder / "run" / "local.yaml").write_text("autosave: 0\n")
    found = Made(folder / "run", planned(folder), nursery)
    return replace(found, jobs=[_made(found, job) for job in found.jobs])
