"""The tiny experiment, run once through Snakemake for all tests of the workflow."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import PROJECT, TINY, changed

SNAKEMAKE = str(Path(sys.executable).parent / "snakemake")


@dataclass(frozen=True)
class Experiment:
    """The tiny preset with results in a folder of their own."""

    folder: Path

    def params(self, **changes: Any) -> Path:
        """A parameter file for this experiment with changes: `report__panels=2`."""
        content = changed(yaml.safe_load(TINY.read_text()), {"results_root": str(self.folder / "results"), **changes})
        file = self.folder / f"params-{abs(hash(repr(changes)))}.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    def run(self, *options: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        """Snakemake in the project folder, as a user runs it."""
        command = [SNAKEMAKE, "--cores", "all", *options, "--config", f"params={self.params(**changes)}"]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)

    def jobs(self, **changes: Any) -> dict[str, int]:
        """How many jobs of each rule a dry run would execute."""
        return planned(self.run("-n", **changes))

    @property
    def results(self) -> Path:
        return self.folder / "results"


def planned(ran: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """How many jobs of each rule a dry run says it would execute."""
    assert ran.returncode == 0, ran.stderr
    rows = re.findall(r"^([a-z_]+)\s+(\d+)$", ran.stdout + ran.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
    made = Experiment(tmp_path_factory.mktemp("tiny"))
    ran = made.run()
    assert ran.returncode == 0, ran.stderr
    return made
