"""Tables as text: escaped, dash where there is nothing, and a reason beside it."""

import csv
from dataclasses import replace

import pytest

from fxcore import cli
from fxcore.errors import InputError
from fxcore.passes import Task
from fxcore.paths import TABLE_KINDS
from fxcore.report import render
from fxcore.report.gaps import undefined
from fxcore.report.pretraining import table3_pretraining
from fxcore.report.render import Table, interval

TABLE = Table(
    "T",
    "caption",
    [{"name": "a|b_c & 50 % <i>", "value": 1.5}],
    ("name", "value"),
    [("a|b_c & 50 % <i>", "1.5")],
)


def test_markdown_escapes_what_would_break_a_table():
    assert render.markdown(TABLE).splitlines()[-1] == r"| a\|b\_c \& 50 % \<i\> | 1.5 |"


def test_latex_escapes_its_special_characters():
    assert r"a|b\_c \& 50 \% <i> & 1.5 \\" in render.latex(TABLE)


def test_csv_is_the_truth(tmp_path):
    render.write(TABLE, *(tmp_path / f"t.{kind}" for kind in TABLE_KINDS))
    with (tmp_path / "t.csv").open() as source:
        assert list(csv.DictReader(source)) == [{"name": "a|b_c & 50 % <i>", "value": "1.5"}]


def test_a_cell_without_positives_says_so():
    assert undefined({}) == ""
    reasons = {"Hernia": "no positives", "Mass": "NaN scores in 1 of 9 images", "Edema": "no positives"}
    assert undefined(reasons) == "no positives in test: Hernia, Edema; NaN scores in 1 of 9 images in test: Mass"


def test_cells_for_readers():
    assert interval({"x": 91.23, "x_low": 80.0, "x_high": 95.0}, "x") == "91.2 [80.0, 95.0]"
    assert interval({"x": 91.23, "x_low": None, "x_high": None}, "x") == "91.2"
    assert interval({"x": None, "x_low": None, "x_high": None}, "x") == "–"
    assert interval({"x": 1.23, "x_low": -0.5, "x_high": 3.0}, "x", "+") == "+1.2 [-0.5, +3.0]"


def _branch(metric, value, low=None, high=None, undefined=None):
    found = {"value": value, "low": low, "high": high, "undefined": undefined or {}}
    return {"images": 1000, "patients": 9, metric: found}


JOINT = {
    "siim_acr": {
        "classification": {
            "metric": "auc",
            "choice": "student",
            "student": _branch("auc", 0.91234, 0.8, 0.95, {"Pneumothorax": "no positives"}),
            "teacher": _branch("auc", 0.9),
            "untrained": _branch("auc", 0.5, 0.45, 0.55),
            "gain": {"value": 0.4, "low": 0.35, "high": 0.45},
            "differences": {
                "other": {"value": 0.5, "low": 0.4, "high": 0.6},
                "alone": {"value": 0.015, "low": -0.0025, "high": 0.03},
            },
        },
    },
    "tbx11k": {
        "localization": {
            "metric": "map40",
            "choice": "student",
            "student": _branch("map40", 0.25),
            "untrained": _branch("map40", None, undefined={"Tuberculosis": "no positives"}),
            "gain": {"value": None, "low": None, "high": None},
        },
    },
}
ALONE = {
    "siim_acr": {"classification": {"metric": "auc", "choice": "student", "student": _branch("auc", 0.885, 0.8, 0.9)}}
}
SEEN = {
    "joint": {"siim_acr": {"classification": 1200}, "tbx11k": {"localization": 30}},
    "alone": {"siim_acr": {"classification": 1100}},
}


def _results(tiny, handmade, **more):
    phantom = {"source": "phantom", "phantom": {"train": 1, "val": 1, "test": 1}}
    length = {"cycles": 1, "horizon_cycles": 1}
    visits = {"siim_acr": ["classification"], "tbx11k": ["localization"]}
    alone = {"visits": {"siim_acr": ["classification"]}, **length}
    runs = {
        "joint": {"title": "Joint", "role": "joint", "train": {"visits": visits, **length}},
        "alone": {"title": "Alone", "role": "baseline", "train": alone},
    }
    params = tiny(datasets={"siim_acr": phantom, "tbx11k": phantom}, runs=runs, report={}, **more)
    annotated = {"annotated": {task: {"train": 12} for task in Task}}
    return handmade(
        params, metrics={"joint": JOINT, "alone": ALONE}, seen=SEEN, counts=dict.fromkeys(visits, annotated)
    )


def _table3(tiny, handmade):
    return table3_pretraining(_results(tiny, handmade))


def test_table_3_has_a_record_of_percent_for_each_dataset_and_task(tiny, handmade):
    first, second = _table3(tiny, handmade).records
    assert first == {
        "dataset": "SIIM-ACR",
        "key": "siim_acr",
        "task": "classification",
        "metric": "auc",
        "untrained": 50.0,
        "untrained_low": 45.0,
        "untrained_high": 55.0,
        "baseline": 88.5,
        "baseline_low": 80.0,
        "baseline_high": 90.0,
        "teacher": 90.0,
        "teacher_low": None,
        "teacher_high": None,
        "student": 91.23,
        "student_low": 80.0,
        "student_high": 95.0,
        "choice": 91.23,
        "choice_low": 80.0,
        "choice_high": 95.0,
        "difference": 1.5,
        "difference_low": -0.25,
        "difference_high": 3.0,
        "gain": 40.0,
        "gain_low": 35.0,
        "gain_high": 45.0,
        "published_baseline": 95.01,
        "published_foundation_x": 96.44,
        "test_images": 1000,
        "test_patients": 9,
        "images_seen_baseline": 1100,
        "images_seen_joint": 1200,
        "run": "joint",
        "baseline_run": "alone",
        "note": "no positives in test: Pneumothorax",
    }
    assert {column: value for column, value in second.items() if value is None}.keys() == {
        *("baseline", "teacher", "untrained", "gain", "difference"),
        *(f"{name}_low" for name in ("baseline", "teacher", "untrained", "gain", "student", "choice", "difference")),
        *(f"{name}_high" for name in ("baseline", "teacher", "untrained", "gain", "student", "choice", "difference")),
        *("images_seen_baseline", "baseline_run"),
    }
    assert second["student"] == second["choice"] == 25.0


def test_rows_of_table_3_for_readers(tiny, handmade):
    table = _table3(tiny, handmade)
    assert [dict(zip(table.header, row, strict=True)) for row in table.rows] == [
        {
            "dataset": "SIIM-ACR",
            "task": "classification",
            "metric": "AUC",
            "baseline": "88.5 [80.0, 90.0]",
            "Joint (teacher)": "90.0",
            "Δ": "+1.5 [-0.2, +3.0]",
            "gain over untrained": "+40.0 [+35.0, +45.0]",
            "student": "91.2 [80.0, 95.0]",
            "choice": "91.2 [80.0, 95.0]",
            "published baseline": "95.01",
            "published Foundation X": "96.44",
            "test images (patients)": "1,000 (9)",
            "images seen (baseline, joint)": "1,100, 1,200",
            "note": "no positives in test: Pneumothorax",
        },
        {
            "dataset": "TBX11K",
            "task": "localization",
            "metric": "mAP40",
            "baseline": "–",
            "Joint (teacher)": "–",
            "Δ": "–",
            "gain over untrained": "–",
            "student": "25.0",
            "choice": "25.0",
            "published baseline": "78.08",
            "published Foundation X": "81.80",
            "test images (patients)": "1,000 (9)",
            "images seen (baseline, joint)": "–, 30",
            "note": "no teacher: the run has no teacher; no untrained: no positives in test: Tuberculosis; no baseline, Δ: the"
            " parameters have no single-task run of this dataset and task; no gain: one of the two compared has no number;"
            " published: the printed difference does not follow from the printed values (+3.72)",
        },
    ]
    assert table.caption.startswith("Phantom data: synthetic pictures, not radiographs. Test split, percent, with 95 %")


def test_what_could_not_be_had_is_told_apart_from_what_nobody_asked_for(tiny, handmade):
    # no teacher, no baseline: as the parameters say; the untrained network's metric and the gain over it are undefined
    assert _table3(tiny, handmade).missing == [
        "tbx11k localization, untrained: no positives in test: Tuberculosis",
        "tbx11k localization, gain: one of the two compared has no number",
    ]


def test_a_table_that_lacks_numbers_is_refused_with_the_first_of_them():
    render.complete(TABLE)
    with pytest.raises(InputError, match=r"^T: 1 cell has no number: a b, c: why$"):
        render.complete(replace(TABLE, missing=["a b, c: why"]))
    with pytest.raises(InputError, match=r"^T: 2 cells have no number; the first: a b, c: why$"):
        render.complete(replace(TABLE, missing=["a b, c: why", "d e, f: why"]))


def test_a_strict_table_is_not_written_and_says_so_in_one_line(tiny, handmade, capsys):
    results = _results(tiny, handmade)
    command = ["table", "table3_pretraining", "--results", str(results.root), "--params", results.slice.canonical()]
    assert cli.main([*command, "--strict"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "fxcore table: Table 3. Pretraining: 2 cells have no number; the first: tbx11k localization, untrained: no positives in"
        " test: Tuberculosis"
    ]
    assert not (results.root / "tables").exists()
    assert cli.main(command) == 0
    assert len(list((results.root / "tables").iterdir())) == 4


def test_captions_name_the_runs_shown_that_may_test_what_they_train_on_and_no_others(tiny, handmade):
    results = _results(tiny, handmade, splits={"allow_leakage": {"alone": "few patients"}})
    options = ["--results", str(results.root), "--params", results.slice.canonical()]
    for table in ("table2_schedule", "table3_pretraining"):
        assert cli.main(["table", table, *options]) == 0
    schedule, measured = (
        (results.root / f"tables/{name}.md").read_text() for name in ("table2_schedule", "table3_pretraining")
    )
    assert "Alone (alone) may test groups that it trains on: few patients." in measured
    assert "may test groups" not in schedule


def test_the_page_of_a_table_needs_no_other_file():
    page = render.html(TABLE)
    assert "<td>a|b_c &amp; 50 % &lt;i&gt;</td><td>1.5</td>" in page
    assert "<p>caption</p>" in page
    assert "src=" not in page
    assert "href=" not in page


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["chexpert"], "Split: the release's own."),
        (
            ["chexpert", "node21", "nih14", "chexpert"],
            "Split: the release's own (CheXpert); validation and test held out by patient (NODE21); the release's own test set,"
            " validation held out by patient (NIH ChestX-ray14). Where a release names no patients, each image counts as one.",
        ),
    ],
)
def test_captions_say_who_split_the_data(tiny, handmade, keys, said):
    phantom = {"source": "phantom", "phantom": {"train": 1, "val": 1, "test": 1}}
    visits = {key: ["classification"] for key in ("chexpert", "node21", "nih14")}
    train = {"visits": visits, "cycles": 1, "horizon_cycles": 1}
    runs = {"joint": {"title": "Joint", "role": "joint", "train": train}}
    params = tiny(datasets=dict.fromkeys(visits, phantom), runs=runs, report={})
    assert handmade(params).split(keys) == said
