"""`dvc metrics diff` between two commits names the run, dataset and task that moved, and nothing that stayed."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fxcore.evaluation.summary import summary
from fxcore.files import write_json
from tests.conftest import PROJECT

BIN = Path(sys.executable).parent


@pytest.fixture
def run(tmp_path):
    """A command in a repository that has the project's stage of metrics and nothing else."""

    def execute(*command):
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    theirs = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    stage = {"cmd": "false", "outs": theirs["stages"]["evaluate"]["outs"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluate": stage}, "metrics": theirs["metrics"]}))
    execute("git", "init", "-q")
    execute("git", "config", "user.email", "test@example.org")
    execute("git", "config", "user.name", "test")
    execute(str(BIN / "dvc"), "init", "-q")
    return execute


def _commit(run, root, **values):
    """Record the metrics of a joint run on one dataset and of a baseline, 0..1."""
    files = {}
    for name, of_run in values.items():
        files[name] = root / f"{name}.json"
        cells = {
            task: {"metric": "m", "choice": "teacher", "teacher": {"m": {"value": value}}}
            for task, value in of_run.items()
        }
        write_json(files[name], {"test": {"tbx11k": cells}})
    folder = root / "results" / "metrics"
    summary(files, {}, None, {}, folder / "summary.json", folder / "validation.csv")
    run(str(BIN / "dvc"), "commit", "-q", "--force")
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "state")


def test_a_diff_names_what_moved_and_by_how_much(run, tmp_path):
    _commit(run, tmp_path, joint={"classification": 0.75, "localization": 0.5}, alone={"localization": 0.25})
    _commit(run, tmp_path, joint={"classification": 0.75, "localization": 0.625}, alone={"localization": None})
    lines = run(str(BIN / "dvc"), "metrics", "diff", "HEAD~1", "HEAD", "--md").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| results")]
    assert sorted(cells) == [
        ["results/metrics/summary.json", "alone.tbx11k.localization", "25.0", "-", "-"],
        ["results/metrics/summary.json", "joint.tbx11k.localization", "50.0", "62.5", "12.5"],
    ]
