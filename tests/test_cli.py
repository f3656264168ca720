"""The command line and the outline of the work."""

import errno
import subprocess
import sys

import pytest
import yaml

from fxcore import cli
from fxcore.errors import InputError
from fxcore.params import experiment
from fxcore.planning import outline
from fxcore.planning.work import Sizes
from tests.conftest import PROJECT, TINY


def _python(code):
    return subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "module",
    [
        *(
            "fxcore",
            "fxcore.planning.plan",
            "fxcore.cli",
            "fxcore.planning.outline",
            "fxcore.planning.costs",
            "fxcore.versioning",
            "fxcore.data.visits",
        ),
        *("fxcore.evaluation.evaluate", "fxcore.evaluation.summary", "fxcore.report.table", "fxcore.report.figure"),
    ],
)
def test_importing_what_needs_no_network_imports_no_torch(module):
    ran = _python(f"import sys, {module}; sys.exit(bool({{'torch', 'timm', 'torchvision'}} & set(sys.modules)))")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "module", ["fxcore.planning.plan", "fxcore.cli", "fxcore.data.normalize", "fxcore.data.retrieve"]
)
def test_what_downloads_is_imported_only_to_download(module):
    ran = _python(f"import sys, {module}; sys.exit(bool({{'requests', 'pooch'}} & set(sys.modules)))")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--params", str(TINY)]])
def test_commands_for_people_import_no_torch(arguments):
    code = f"import sys\nfrom fxcore import cli\ntry: cli.main({arguments})\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    assert _python(code).returncode == 0


def test_plan_counts_passes_stages_updates_and_images(tmp_path, capsys):
    file = tmp_path / "params.yaml"
    file.write_text(TINY.read_text().replace("results-tiny", str(tmp_path / "results")))
    assert cli.main(["plan", "--params", str(file)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    # a cycle: 3 updates; 1 and 3; 1 and 3, of 12 images in batches of 4 (as many masks as images are expected before the store is made)
    assert rows[1] == ["foundation_x", "joint", "2", "5", "2", "1", "22", "88"]
    assert rows[2] == ["example_a_localization", "baseline", "1", "1", "1", "1", "3", "12"]
    assert rows[3] == ["transfer", "finetune", "1", "1", "1", "1", "3", "12"]
    assert rows[4] == ["all", "28", "112"]


def test_plan_lists_every_pass_of_a_run(capsys):
    assert cli.main(["plan", "--params", str(TINY), "--run", "foundation_x"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[1:6] for row in rows[1:4]] == [
        ["classification", "release", "1", "1", "100"],
        ["localization", "lock", "2", "1", "50"],
        ["localization", "release", "3", "1", "100"],
    ]
    assert len(rows) == 1 + 10


def test_unknown_sizes_are_said_and_not_guessed():
    real = experiment.load(PROJECT / "tests/presets/cxr_real.yaml").model_copy(update={"results_root": "nowhere"})
    text = outline.describe(real, Sizes(real))
    assert text.splitlines()[1].split()[-2:] == ["?", "?"]
    assert "? is known once the dataset's images are split" in text


def test_an_unknown_run_is_said():
    with pytest.raises(InputError, match="--run other: no such run; known: foundation_x, example_a_localization"):
        outline.describe(experiment.load(TINY), Sizes(experiment.load(TINY)), "other")


def test_sizes_that_only_the_registry_knows_are_marked(tmp_path):
    paper = experiment.load(PROJECT / "presets/paper.yaml").model_copy(update={"results_root": str(tmp_path)})
    lines = outline.describe(paper, Sizes(paper)).splitlines()
    # of 464 images (of 662 without a fifth and a tenth) 19 whole batches of 24, 150 times
    assert next(line for line in lines if line.startswith("shenzhen")).split()[-2:] == ["~2,850", "~68,400"]
    # JSRT's 247 without a fifth and a tenth, under another key than the release's: 7 whole batches of 173, 100 times
    assert next(line for line in lines if line.startswith("jsrt_lung_random")).split()[-2:] == ["~700", "~16,800"]
    assert lines[1 + len(paper.trained)].split()[0] == "all"
    assert lines[3 + len(paper.trained)].startswith(
        "~ is expected of datasets of the size that fxcore/data/registry.yaml gives"
    )


def test_plan_says_what_an_experiment_costs(tmp_path, capsys):
    file = tmp_path / "params.yaml"
    file.write_text(TINY.read_text().replace("results-tiny", str(tmp_path / "results")))
    assert cli.main(["plan", "--params", str(file), "--tflops", "1e-6"]) == 0
    head, *rows, total, _, training, disk, hours = capsys.readouterr().out.splitlines()
    assert head.split()[-6:] == ["training", "hours", "(estimate)", "states", "snapshots", "disk"]
    # a teacher after the classification and the released segmentation of both cycles
    assert [row.split()[-4:-2] for row in (*rows, total)] == [["2", "4"], ["1", "0"], ["1", "0"], ["4", "4"]]
    *_, operations, unit, spent, _, _, kept, kept_unit = total.split()
    assert unit == "GFLOP"
    assert float(spent) == pytest.approx(float(operations) * 1e9 / 1e6 / 3600, rel=0.01)
    assert training.startswith("training: operations of matrix products and convolutions")
    assert disk.startswith(f"disk: {kept} {kept_unit} of kept states, and up to ")
    assert "; ~156 kB of stores; " in disk  # 24 images of 72 × 72 bytes and twice 72 × 9
    assert hours.startswith("hours: an estimate")


def test_plan_says_what_each_pass_costs(capsys):
    assert cli.main(["plan", "--params", str(TINY), "--costs", "--run", "example_a_localization"]) == 0
    head, row, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[-3:] == ["updates", "images", "training"]
    assert row.split()[-4:-2] == ["3", "12"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (171_960_000_000, "172 GB"), (3.3e19, "33 EB"), (2e24, "2e+03 ZB")],
)
def test_amounts_have_three_digits_and_a_prefix(value, said):
    assert outline.amount(value, "B") == said


def test_bad_input_is_one_line_in_terminal_and_log_and_exit_code_2(tmp_path, capsys):
    log = tmp_path / "logs" / "x.log"
    slice_ = '{"key": "a"}'
    assert cli.main(["normalize", "a", "--params", slice_, "--results", str(tmp_path), "--log", str(log)]) == 2
    line = "fxcore normalize: --params: store_size is missing; give a value (and 1 more)\n"
    assert capsys.readouterr().err == line
    assert log.read_text() == line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "a file: refused by the system (No space left on device); make room or rights",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a/b"),
            "/a/b: refused by the system (Permission denied); make room or rights",
        ),
        (MemoryError(), "no more memory; give the machine more, or set fewer threads or smaller batches"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes\nmore"),
            "DefaultCPUAllocator: can't allocate",
        ),
        (
            RuntimeError("CUDA out of memory. Tried to allocate"),
            "CUDA out of memory. Tried to allocate; give the machine",
        ),
    ],
)
def test_what_the_machine_refuses_is_one_line(tmp_path, monkeypatch, capsys, error, said):
    def refuse(*_):
        raise error

    monkeypatch.setattr("fxcore.report.index.index", refuse)
    assert cli.main(["index", "--results", str(tmp_path), "--log", str(tmp_path / "x.log")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fxcore index: {said}")
    assert line.endswith(", and start again")


@pytest.mark.parametrize(("rank", "waited"), [("0", []), ("1", [5.0])])
def test_of_processes_that_fail_alike_the_first_speaks_before_the_others(tmp_path, monkeypatch, capsys, rank, waited):
    log, seconds = tmp_path / "x.log", []
    log.write_text("said by the first\n")
    monkeypatch.setattr("time.sleep", seconds.append)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    command = ["pretrain", "a", "--stage", "cycle_1", "--params", "{}", "--results", str(tmp_path), "--log", str(log)]
    assert cli.main(command) == 2
    assert seconds == waited
    line = capsys.readouterr().err
    assert line.startswith("fxcore pretrain: --params: ")
    assert log.read_text() == ("said by the first\n" if rank == "1" else "") + line


def test_a_job_can_be_run_by_hand_from_a_parameter_file(tmp_path):
    assert cli.main(["phantom", "example_a", "--params", str(TINY), "--results", str(tmp_path)]) == 0
    assert cli.main(["normalize", "example_a", "--params", str(TINY), "--results", str(tmp_path)]) == 0
    assert (tmp_path / "data/example_a/72/manifest.json").exists()
    assert cli.main(["split", "example_a", "--params", str(TINY), "--results", str(tmp_path)]) == 0
    assert (tmp_path / "splits/example_a.parquet").exists()
    assert cli.main(["visits", "foundation_x", "--params", str(TINY), "--results", str(tmp_path)]) == 0
    assert (tmp_path / "visits/foundation_x.json").exists()


def test_by_hand_results_lie_where_the_parameter_file_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = yaml.safe_load(TINY.read_text())["results_root"]
    assert root != "results"
    assert cli.main(["phantom", "example_a", "--params", str(TINY)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [root]
    assert (tmp_path / root / "phantoms" / "example_a").is_dir()


def test_the_generated_reference_is_the_committed_one(tmp_path):
    assert cli.main(["reference", "--out", str(tmp_path / "reference")]) == 0
    for made in (tmp_path / "reference").iterdir():
        assert made.read_text() == (PROJECT / "docs/reference" / made.name).read_text(), (
            "run `make reference` and commit"
        )


def test_every_field_of_the_parameters_is_explained():
    page = (PROJECT / "docs/reference/parameters.md").read_text()
    unexplained = [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert unexplained == []
