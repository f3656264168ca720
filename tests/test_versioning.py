"""What certifying removes and what recording refuses; both tools at work together: tests/workflow/test_dvc.py."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from fxcore import paths, versioning
from fxcore.errors import InputError
from fxcore.machine import Machine
from fxcore.plan import Plan
from fxcore.slices.make import train_slice
from fxcore.training.state import write
from tests.conftest import TINY, changed

JOINT, ALONE = "foundation_x", "example_a_localization"


def _params(tiny, root, **changes):
    return tiny(results_root=str(root), pretrain__stage="pass", **changes)


def _leave(params, run, stages, snapshots=True):
    """Files of some stages of a run, as training with some parameters leaves them."""
    root = Path(params.results_root)
    facts = {"provenance": {"params": json.loads(train_slice(params, run).canonical())}}
    for stage in stages:
        write(paths.state(root, run, stage), {"w": torch.zeros(3)}, facts)
        history = paths.history(root, run, stage)
        history.parent.mkdir(parents=True, exist_ok=True)
        history.touch()
        if snapshots:
            write(paths.snapshots(root, run, stage), {}, facts)


def _files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def _of(run, stages, snapshots=True):
    found = {f"checkpoints/{run}/{stage}.safetensors" for stage in stages}
    found |= {f"training/{run}/{stage}.csv" for stage in stages}
    return found | ({f"checkpoints/{run}/snapshots/{stage}.safetensors" for stage in stages} if snapshots else set())


def _remove(params):
    removed = versioning.remove_strays(Plan(params, Machine()))
    return {str(path.relative_to(params.results_root)) for path in removed}


def test_states_of_other_parameters_than_the_last_go_with_snapshots_and_history_and_nothing_else(tiny, tmp_path):
    old, new = _params(tiny, tmp_path, seed=8), _params(tiny, tmp_path)
    _leave(old, JOINT, ["cycle_0-01", "cycle_1"])
    _leave(new, JOINT, ["cycle_0-02", "cycle_1-04", "cycle_2"])
    # no stage of this plan, a run without its last state, and what else lies about
    _leave(old, JOINT, ["cycle_3"])
    _leave(old, ALONE, ["cycle_0-01"], snapshots=False)
    (tmp_path / "checkpoints" / "notes.txt").touch()
    before = _files(tmp_path)
    assert _remove(new) == _of(JOINT, ["cycle_0-01", "cycle_1"])
    assert _files(tmp_path) == before - _of(JOINT, ["cycle_0-01", "cycle_1"])
    assert _remove(new) == set()


def test_the_last_state_decides_and_not_the_parameters_of_the_file(tiny, tmp_path):
    old, new = _params(tiny, tmp_path, seed=8), _params(tiny, tmp_path)
    _leave(old, JOINT, ["cycle_1", "cycle_2"])
    assert _remove(new) == set()
    _leave(new, JOINT, ["cycle_1"])
    assert _remove(new) == _of(JOINT, ["cycle_1"])
    assert _files(tmp_path) == _of(JOINT, ["cycle_2"])


def test_snapshots_alone_may_be_strays(tiny, tmp_path):
    old, new = _params(tiny, tmp_path, seed=8), _params(tiny, tmp_path)
    _leave(old, JOINT, ["cycle_1"])
    _leave(new, JOINT, ["cycle_1", "cycle_2"], snapshots=False)
    stray = {f"checkpoints/{JOINT}/snapshots/cycle_1.safetensors"}
    assert _remove(new) == stray
    assert _files(tmp_path) == _of(JOINT, ["cycle_1", "cycle_2"], snapshots=False)


def test_a_run_that_trains_longer_keeps_its_states(tiny, tmp_path):
    _leave(_params(tiny, tmp_path), JOINT, ["cycle_1", "cycle_2"])
    longer = _params(tiny, tmp_path, runs__foundation_x__train__cycles=4)
    assert _remove(longer) == set()  # cycle_4 is not there yet
    _leave(longer, JOINT, ["cycle_3", "cycle_4"])
    assert _remove(longer) == set()  # the length of a run is no parameter of its states


def test_runs_do_not_judge_each_other(tiny, tmp_path):
    params = _params(tiny, tmp_path)
    _leave(params, JOINT, ["cycle_1", "cycle_2"])
    _leave(params, ALONE, ["cycle_1"], snapshots=False)
    assert _remove(params) == set()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a parameter file whose results lie where DVC knows them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(versioning, "_run", _no_tool)

    def make(**changes):
        content = changed(yaml.safe_load(TINY.read_text()), {"results_root": "results", **changes})
        Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    make()
    return make


def _no_tool(*arguments):
    raise AssertionError(arguments)


@pytest.mark.usefixtures("project")
def test_other_parameters_are_not_recorded():
    Path("other.yaml").write_text(Path("params.yaml").read_text())
    with pytest.raises(InputError, match=r"nothing recorded: the parameters are those of other\.yaml, and DVC knows"):
        versioning.record("other.yaml", [])


@pytest.mark.usefixtures("project")
def test_a_part_of_the_targets_is_not_recorded():
    with pytest.raises(InputError, match=r"nothing recorded: only results/index\.md was asked for; make everything"):
        versioning.record("params.yaml", ["all", "results/index.md"])


def test_results_elsewhere_are_not_recorded(project):
    project(results_root="results-tiny")
    with pytest.raises(InputError, match="nothing recorded: results_root is results-tiny, and DVC knows results only"):
        versioning.record("params.yaml", [])


@pytest.mark.usefixtures("project")
def test_without_dvc_nothing_is_recorded():
    with pytest.raises(InputError, match="nothing recorded: this folder is no DVC repository; make it one with: dvc"):
        versioning.record("./params.yaml", ["all"])


def _tools(monkeypatch, said=""):
    """Every tool says the same; what was run."""
    ran = []

    def run(*arguments):
        ran.append(arguments)
        return said

    monkeypatch.setattr(versioning, "_run", run)
    return ran


@pytest.mark.usefixtures("project")
def test_a_run_with_work_left_is_not_recorded(monkeypatch):
    Path(".dvc").mkdir()
    ran = _tools(monkeypatch, "total 3")
    with pytest.raises(InputError, match="nothing recorded: some work is left; finish it with: snakemake --cores all"):
        versioning.record("params.yaml", [])
    assert [arguments[0] for arguments in ran] == ["snakemake"]


@pytest.mark.usefixtures("project")
def test_a_complete_run_is_recorded(monkeypatch):
    Path(".dvc").mkdir()
    ran = _tools(monkeypatch, "Nothing to be done (all requested files are present and up to date).")
    assert versioning.record("params.yaml", []).startswith("recorded with DVC; to keep it: git add dvc.lock")
    assert [arguments[:2] for arguments in ran] == [("snakemake", "--cores"), ("dvc", "commit")]


@pytest.mark.usefixtures("project")
def test_after_a_complete_run_there_is_a_report_and_a_line_why_nothing_was_recorded(monkeypatch):
    ran = _tools(monkeypatch)
    said = versioning.finished(Plan.load("params.yaml"), "params.yaml", ["all"])
    assert said.splitlines() == [
        "results/report.html shows every table and figure with what made it",
        "nothing recorded: this folder is no DVC repository; make it one with: dvc init",
    ]
    (report,) = ran
    assert report[:4] == ("snakemake", "--nolock", "--report", "results/report.html")


@pytest.mark.usefixtures("project")
def test_after_a_part_of_a_run_there_is_neither_report_nor_record():
    target = "results/tables/table1_datasets.csv"
    said = versioning.finished(Plan.load("params.yaml"), "params.yaml", [target])
    ending = f"only {target} was asked for; make everything with: snakemake --cores all"
    assert said == f"no report: {ending}\nnothing recorded: {ending}\n"


@pytest.mark.usefixtures("project")
def test_nothing_can_be_brought_back_where_nothing_was_recorded():
    with pytest.raises(InputError, match=r"^dvc\.lock is missing: nothing was recorded here"):
        versioning.sync()


@pytest.mark.usefixtures("project")
def test_results_of_other_files_are_not_certified(monkeypatch):
    Path("dvc.lock").touch()
    ran = _tools(monkeypatch, json.dumps({"report": ["changed deps"], "score@a": []}))
    with pytest.raises(InputError, match=r"^report, score@a: dvc\.lock is not of the files here"):
        versioning.sync()
    assert [arguments[:2] for arguments in ran] == [("dvc", "pull"), ("dvc", "status")]


def test_a_tool_that_fails_is_quoted_with_its_last_words():
    with pytest.raises(InputError, match=r"^json\.tool nowhere: .*No such file or directory: 'nowhere'"):
        versioning._run("json.tool", "nowhere")
