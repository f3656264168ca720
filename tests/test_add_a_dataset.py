"""The page on adding a format, followed to the letter in a copy of the project."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import BESIDE, PROJECT, TINY

PAGE = (PROJECT / "docs/how-to/add-a-dataset.md").read_text()
PYTHON = dict(re.findall(r"whole of\s+`(fxcore/[\w/]+\.py)`:\n\n```python\n(.*?)```", PAGE, flags=re.DOTALL))
REGISTRY, PARAMS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
COMMANDS = re.search(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)[1].splitlines()


@pytest.fixture
def project(tmp_path):
    """A copy of the project with the page's files in it."""
    for name in ("fxcore", "workflow", "profiles"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "Snakefile", tmp_path)
    for name, content in PYTHON.items():
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(content)
    with (tmp_path / "fxcore/data/registry.yaml").open("a") as registry:
        registry.write(f"\n{REGISTRY}")
    content = yaml.safe_load(TINY.read_text()) | yaml.safe_load(PARAMS) | BESIDE | {"report": {}}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return tmp_path


def _run(project, command):
    program, *words = shlex.split(command)
    tool = {"fxcore": [sys.executable, "-m", "fxcore"], "snakemake": [str(Path(sys.executable).parent / "snakemake")]}
    environment = os.environ | {"PYTHONPATH": str(project)}
    ran = subprocess.run([*tool[program], *words], cwd=project, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_page_has_an_adapter_a_writer_and_three_commands():
    assert list(PYTHON) == ["fxcore/data/adapters/toy_cxr.py", "fxcore/phantom/native/toy_cxr.py"]
    assert [command.split()[0] for command in COMMANDS] == ["fxcore", "fxcore", "snakemake"]


def test_the_page_followed_to_the_letter(project):
    draw, check, store = COMMANDS
    _run(project, draw)
    found = json.loads(_run(project, check))["toy_cxr"]
    expected = json.loads((project / "results-toy/phantoms/toy_cxr/expected.json").read_text())
    assert found["counts"] == expected
    assert found["counts"]["images"] == {"none": 16}
    _run(project, store)
    manifest = json.loads((project / "results-toy/data/toy_cxr/72/manifest.json").read_text())
    assert manifest["images"] == 16
    # of sixteen pictures one or two may have light corners, which is more than 2 %
    assert {one["number"] for one in manifest["checks"] if one["status"] != "ok"} <= {8}


@pytest.mark.parametrize("name", PYTHON)
def test_its_code_reads_as_the_rest_does(project, name):
    ruff = Path(sys.executable).parent / "ruff"
    for words in (["check"], ["format", "--check"]):
        ran = subprocess.run(
            [ruff, *words, "--config", PROJECT / "pyproject.toml", project / name], capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout
