"""The tiny experiment, run once through Snakemake for all tests of the workflow."""

from __future__ import annotations

import os
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


OFFLINE = """
import os, sys

def refuse(event, arguments):
    away = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        away = int(arguments[0].family) in (2, 10)  # IPv4 and IPv6; processes of one machine talk through other kinds
    if away:
        with open(os.environ["OFFLINE_LOG"], "a") as log:
            log.write(f"{event} {arguments[1:]} by {sys.argv}\\n")
        raise OSError("this process is offline")

sys.addaudithook(refuse)
"""
"""Imported by every Python that starts with it on its path: no socket leads to the network, and who tries is written down."""


def offline(folder: Path) -> dict[str, str]:
    """An environment whose processes, and those they start, are offline; attempts are in `folder/attempts`."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(OFFLINE)
    where = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": where, "OFFLINE_LOG": str(folder / "attempts")}


@dataclass(frozen=True)
class Experiment:
    """The tiny preset with results in a folder of their own; nothing of it reaches a network."""

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
        return subprocess.run(
            command, cwd=PROJECT, env=offline(self.folder / "offline"), capture_output=True, text=True
        )

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
