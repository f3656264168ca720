"""What recording refuses and what certifying brings back; both tools at work together: tests/workflow/test_dvc.py."""

import json
from pathlib import Path

import pytest
import yaml

from fxcore import versioning
from fxcore.errors import InputError
from fxcore.files import write_json
from fxcore.planning.plan import Plan
from tests.conftest import TINY, changed


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
@pytest.mark.parametrize("before", [None, "stages: {}"])
def test_what_a_killed_commit_cut_short_is_put_back_before_the_next(monkeypatch, before):
    Path(".dvc").mkdir()
    lock, found = Path("dvc.lock"), []
    if before is not None:
        lock.write_text(before)

    def run(*command):
        if command[0] == "snakemake":
            return "Nothing to be done"
        found.append(lock.read_text() if lock.exists() else None)
        lock.write_text("")
        if len(found) < 3:
            Path(".dvc/tmp/rwlock").write_text("")
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(versioning, "_run", run)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            versioning.record("params.yaml", [])
    versioning.record("params.yaml", [])
    assert found == [before] * 3
    assert list(Path(".dvc/tmp").iterdir()) == []


@pytest.mark.usefixtures("project")
def test_a_strict_run_is_asked_strictly_whether_work_is_left(monkeypatch):
    Path(".dvc").mkdir()
    ran = _tools(monkeypatch, "Nothing to be done")
    plan, _ = Plan.of({"strict": "true"})
    assert "recorded with DVC" in versioning.finished(plan, "params.yaml", [])
    dry_run = next(arguments for arguments in ran if "--dry-run" in arguments)
    assert dry_run[-4:] == ("--config", "strict=true", "--", "all")


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
@pytest.mark.parametrize(
    ("phase", "targets", "expected"),
    [
        (None, [], {"foundation_x", "example_a_localization"}),
        (None, ["results/metrics/summary.json"], {"foundation_x", "example_a_localization"}),
        ("train", ["results/kept/foundation_x/manifest.json"], {"foundation_x"}),
        ("visits", ["results/visits/foundation_x.json"], set()),
        ("data", [], set()),
        ("score", [], set()),
    ],
)
def test_certifying_brings_back_runs_that_dvc_has_verified_and_no_others(monkeypatch, phase, targets, expected):
    for run in ("foundation_x", "example_a_localization"):
        folder = Path("results/kept") / run
        folder.mkdir(parents=True)
        (folder / "cycle_1.safetensors").touch()
        write_json(folder / "manifest.json", {"provenance": {}, "files": {"cycle_1.safetensors": ""}})
    ran = _tools(monkeypatch)
    versioning.certify(phase, targets)
    assert {path.parent.name for path in Path("results").glob("checkpoints/*/cycle_1.safetensors")} == expected
    (touched,) = ran
    assert touched[touched.index("--") + 1 :] == tuple(targets)


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
