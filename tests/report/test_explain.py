"""What is behind a number, on results written by hand: every fact comes from the file it should come from."""

import csv
import hashlib
from pathlib import Path

import pytest

from fxcore import cli, paths
from fxcore.errors import InputError
from fxcore.files import read_json, write_json
from fxcore.planning.contents import FIGURES, TABLES
from fxcore.report.explain import _of_figure, describe, explain, stale
from tests.report.study import STUDY

PHANTOM = {"source": "phantom", "phantom": {"train": 1, "val": 1, "test": 1}}
LENGTH = {"cycles": 2, "horizon_cycles": 2}
VISITS = {"siim_acr": ["classification", "segmentation"], "tbx11k": ["classification"]}
COUNTS = {"train": 6, "val": 1, "test": 2}


def _candidate(branch, cycle, value, task="classification", dataset="siim_acr"):
    return {"branch": branch, "cycle": cycle, "dataset": dataset, "task": task, "value": value}


CHOICES = {
    "joint": {
        "metric": {"classification": "auc", "segmentation": "dice"},
        "candidates": [
            _candidate("student", 1, 0.5),
            _candidate("student", 2, 0.75),
            _candidate("teacher", 1, 0.875),
            _candidate("teacher", 2, None),
            _candidate("teacher", 1, 0.125, "segmentation"),
        ],
        "chosen": {
            "siim_acr": {
                "classification": {"student": 2, "teacher": 1, "choice": "teacher"},
                "segmentation": {"teacher": 1, "choice": "teacher"},
            }
        },
        "snapshots": [{"of": ["siim_acr", "segmentation"]}],
        "commit": "joint-scored",
        "params": {"iou": 0.5},
    },
    "alone": {
        "metric": {"classification": "auc"},
        "candidates": [_candidate("student", 2, 0.25)],
        "chosen": {"siim_acr": {"classification": {"student": 2, "choice": "student"}}},
        "commit": "alone-scored",
        "params": {"iou": 0.5},
    },
}
ROW = {"dataset": "SIIM-ACR", "key": "siim_acr", "task": "classification", "teacher": "90.0", "teacher_low": "80.0"}
ROW |= {"teacher_high": "95.0", "empty": "", "run": "joint", "baseline_run": "alone"}


@pytest.fixture
def results(tiny, handmade):
    runs = {
        "joint": {"title": "Joint", "role": "joint", "train": {"visits": VISITS, **LENGTH}},
        "alone": {
            "title": "Alone",
            "role": "baseline",
            "train": {"visits": {"siim_acr": ["classification"]}, **LENGTH},
        },
    }
    others = {"finetune": {}, "few_shot": {}, "release": ["joint"]}
    made = handmade(tiny(datasets=dict.fromkeys(VISITS, PHANTOM), runs=runs, report={}, **others), choices=CHOICES)
    for run in runs:
        write_json(
            paths.metrics(made.root, run), {"provenance": {"commit": f"{run}-evaluated", "params": {"resamples": 20}}}
        )
        names = ("cycle_1.safetensors", "cycle_2.safetensors", "snapshots/cycle_2.safetensors")
        provenance = {"commit": f"{run}-trained", "params": {"seed": 7, "run": run}}
        kept = {"provenance": provenance, "files": {name: f"sha of {run} {name}" for name in names}}
        write_json(paths.kept(made.root, run) / "manifest.json", kept)
        paths.predictions(made.root, run).write_bytes(f"predictions of {run}".encode())
    manifest = paths.store(made.root, "siim_acr", made.slice.store_size) / "manifest.json"
    facts = {"adapter": "siim_acr", "adapter_version": 3, "commit": "normalized"}
    annotated = {"classification": COUNTS, "segmentation": COUNTS | {"train": 5}}
    sources = {f"{number}.csv": f"sha of {number}" for number in range(7)}
    write_json(manifest, read_json(manifest) | facts | {"sources": sources})
    counts = paths.split(made.root, "siim_acr", "json")
    write_json(counts, read_json(counts) | {"images": COUNTS, "annotated": annotated})
    table = paths.table(made.root, "table3_pretraining", "csv")
    table.parent.mkdir()
    with table.open("w", newline="") as sink:
        writer = csv.DictWriter(sink, list(ROW))
        writer.writeheader()
        writer.writerow(ROW)
    return made


def _explain(results, *asked):
    return explain(results, *asked, TABLES, FIGURES)


def test_a_row_of_a_table_leads_to_its_runs_and_what_validation_chose_of_each(results):
    facts = _explain(results, "table3_pretraining", "siim_acr", "classification")
    assert facts["rows"] == [ROW]
    assert list(facts["runs"]) == ["joint", "alone"]
    joint = facts["runs"]["joint"]
    assert (joint["title"], joint["role"], joint["columns"], joint["choice"]) == ("Joint", "joint", ["run"], "teacher")
    weights = paths.kept(results.root, "joint")
    assert joint["chosen"] == {
        branch: {
            "cycle": cycle,
            "validation": value,
            "file": str(weights / f"cycle_{cycle}.safetensors"),
            "sha256": f"sha of joint cycle_{cycle}.safetensors",
        }
        for branch, cycle, value in (("student", 2, 0.75), ("teacher", 1, 0.875))
    }
    assert joint["params"]["value"] == {"seed": 7, "run": "joint"}
    assert joint["commits"] == {"trained": "joint-trained", "scored": "joint-scored", "evaluated": "joint-evaluated"}
    assert joint["predictions"]["sha256"] == hashlib.sha256(b"predictions of joint").hexdigest()
    assert "snapshots" not in joint
    assert facts["runs"]["alone"]["columns"] == ["baseline_run"]


def test_the_data_are_those_of_the_manifest(results):
    data = _explain(results, "table3_pretraining", "siim_acr", "classification")["data"]
    assert data["sha256"] == hashlib.sha256(Path(data["file"]).read_bytes()).hexdigest()
    assert (data["synthetic"], data["adapter_version"], data["store_size"]) == (True, 3, results.slice.store_size)
    assert data["images"] == COUNTS
    assert len(data["sources"]) == 7


def test_people_read_the_same_in_short(results):
    text = describe(_explain(results, "table3_pretraining", "siim_acr", "classification"))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("SIIM-ACR (siim_acr), classification, in ")
    for line in (
        "teacher 90.0 [80.0, 95.0]",
        "joint: Joint, joint (run)",
        "teacher after cycle 1, by validation: auc 87.50, the better branch there",
        "student after cycle 2, by validation: auc 75.00",
        "alone: Alone, baseline (baseline_run)",
        "student after cycle 2, by validation: auc 25.00",
        "commits trained alone-trained, scored alone-scored, evaluated alone-evaluated",
        "siim_acr: SIIM-ACR, phantom data: synthetic pictures, not radiographs",
        "images 6 train, 1 val, 2 test; annotated for the task: 6 train, 1 val, 2 test",
        "source 4.csv sha256 sha of 4",
        "and 2 more files (all: --json)",
    ):
        assert line in lines, text
    assert not any(line.startswith(("empty", "run ", "source 5")) for line in lines)


def test_what_was_made_with_other_parameters_than_there_are_now_is_said(results):
    facts = _explain(results, "table3_pretraining", "siim_acr", "classification")
    facts["data"]["params"] = {"key": "siim_acr", "phantom": {"train": 5, "val": 2}}
    same = {"seed": 7, "run": "joint", "iou": 0.5, "resamples": 20, "cycles": 2}
    other = {"seed": 9, "run": "alone", "iou": 0.5, "resamples": 50, "cycles": 3}
    assert stale(facts, {"joint": same, "alone": other}, {"key": "siim_acr", "phantom": {"train": 6}}) == [
        "alone: seed was 7, is now 9",
        "alone: resamples was 20, is now 50",
        "alone: cycles was 2, is now 3",
        "siim_acr: phantom.train was 5, is now 6",
        "siim_acr: phantom.val was 2, is now null",
    ]
    told = describe(facts | {"stale": ["alone: seed was 7, is now 9"]}).splitlines()
    assert told[-2:] == [
        "Made with other parameters than there are now; made anew by: snakemake --cores all",
        "  alone: seed was 7, is now 9",
    ]


def test_figure_2_is_explained_by_the_joint_run_and_its_snapshots(results):
    facts = _explain(results, "figure2_cross_task", "siim_acr", "segmentation")
    assert list(facts["runs"]) == ["joint"]
    assert [one["sha256"] for one in facts["runs"]["joint"]["snapshots"]] == [
        "sha of joint snapshots/cycle_2.safetensors"
    ]
    assert "  snapshots " in describe(facts)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("table9", "siim_acr", "classification"),
            r"^table9: no such table or figure; there are table1_datasets, .*segmentation$",
        ),
        (
            ("table3_pretraining", "siim", "classification"),
            r"^table3_pretraining has no dataset siim; it has siim_acr$",
        ),
        (
            ("table3_pretraining", "siim_acr", "localization"),
            r"^table3_pretraining has no localization of siim_acr; it has classification$",
        ),
        (
            ("figure2_cross_task", "siim_acr", "classification"),
            r"^figure2_cross_task has no classification of siim_acr; it has segmentation$",
        ),
        (
            ("panels_segmentation", "tbx11k", "classification"),
            r"^panels_segmentation has no dataset tbx11k; it has siim_acr$",
        ),
        (
            ("ablation", "siim_acr", "classification"),
            r"ablation\.csv: not readable .*; make it with: snakemake --cores all$",
        ),
    ],
)
def test_what_is_not_there_is_one_line_that_says_what_is(results, asked, said):
    with pytest.raises(InputError, match=said):
        _explain(results, *asked)


def test_a_table_without_datasets_and_tasks_says_so(results):
    paths.table(results.root, "ablation", "csv").write_text("claim,verdict\nx,y\n")
    with pytest.raises(InputError, match="ablation is not by dataset and task"):
        _explain(results, "ablation", "siim_acr", "classification")


def test_the_command_ends_with_one_line_and_2(tmp_path, capsys):
    assert cli.main(["explain", "table9", "a", "b", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("figure", "runs"),
    [
        ("figure3_finetuning", ["disease_random", "disease_fx", "disease_head"]),
        ("few_shot", ["clavicle_random", "clavicle_fx"]),
    ],
)
def test_figures_of_fine_tuning_are_of_its_runs(tiny, handmade, figure, runs):
    few = {"few_shot": {"runs": ["clavicle_random", "clavicle_fx"]}}
    found = list(_of_figure(handmade(tiny(**STUDY | few)), figure))
    assert [row["run"] for row in found] == runs
    cells = {(row["key"], row["task"]) for row in found}
    assert cells == {("vindr_cxr_local", "localization") if "3" in figure else ("jsrt_clavicle", "segmentation")}
