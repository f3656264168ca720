"""The habits of the house, held by tests: linters, types, sizes, layers."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

BIN = Path(sys.executable).parent
FILES = sorted(PROJECT.glob("fxcore/**/*.py"))
LAYERS = ("data", "models", "training", "evaluation", "cxrlt", "report")
"""Each imports only from those before it; `phantom` stands beside `data`."""


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["mypy"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_linters_and_types(command):
    ran = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") < 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


def test_rule_files_stay_small():
    for path in PROJECT.glob("workflow/rules/*.smk"):
        assert path.read_text().count("\n") < 200


def test_the_map_of_the_house_names_every_folder_and_module():
    text = (PROJECT / "docs/explanation/architecture.md").read_text().partition("## The house")[2].partition("\n## ")[0]
    named = {Path(word).stem for word in re.findall(r"`([^`]+)`", text)}
    there = {path.stem for path in (PROJECT / "fxcore").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert sorted(there - named - {"__init__", "__main__", "__pycache__"}) == []


def layer_of(path):
    return path.relative_to(PROJECT / "fxcore").parts[0]


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if layer_of(path) in (*LAYERS, "phantom")],
    ids=lambda path: str(path.relative_to(PROJECT)),
)
def test_a_layer_imports_only_from_those_before_it(path):
    layer = layer_of(path)
    allowed = LAYERS[: LAYERS.index(layer) + 1] if layer in LAYERS else ("data", "phantom")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fxcore."):
            other = node.module.split(".")[1]
            assert other not in (*LAYERS, "phantom") or other in allowed, node.module
            assert other not in ("planning", "commands", "cli"), node.module


def test_no_path_of_a_machine_and_no_registry_is_committed():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    words = ["/ho" + "me/", "/wo" + "rk/", "/ro" + "ot/", "py" + "pi.org", "index" + "-url"]
    for name in filter(None, listed.split("\0")):
        if not name.endswith((".png", ".pdf")) and (PROJECT / name).exists():
            text = (PROJECT / name).read_text()
            assert not [word for word in words if word in text], name
