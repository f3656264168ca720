"""Tables as text: escaped, dash where there is nothing, and a reason beside it."""

import csv

from fxcore.report import render
from fxcore.report.render import Table
from fxcore.report.table import _cell, _note, _numbers, _table3_row

TABLE = Table(
    "T",
    "caption",
    [{"name": "a|b_c & 50 % <i>", "value": 1.5}],
    ("name", "value"),
    [("a|b_c & 50 % <i>", "1.5")],
)


def test_markdown_escapes_what_would_break_a_table():
    assert render.markdown(TABLE).splitlines()[-1] == r"| a\|b\_c & 50 % &lt;i&gt; | 1.5 |"


def test_latex_escapes_its_special_characters():
    assert r"a|b\_c \& 50 \% <i> & 1.5 \\" in render.latex(TABLE)


def test_csv_is_the_truth(tmp_path):
    render.write(TABLE, *(tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex")))
    with (tmp_path / "t.csv").open() as source:
        assert list(csv.DictReader(source)) == [{"name": "a|b_c & 50 % <i>", "value": "1.5"}]


CELL = {
    "choice": "student",
    "student": {"auc": {"value": 0.91234, "low": 0.8, "high": None, "undefined": ["Hernia"]}},
}


def test_numbers_are_percent_and_what_is_missing_stays_missing():
    assert _numbers("x", CELL, "student", "auc") == {"x": 91.23, "x_low": 80.0, "x_high": None}
    assert _numbers("x", CELL, "teacher", "auc") == {"x": None, "x_low": None, "x_high": None}
    assert _numbers("x", CELL, "choice", "auc")["x"] == 91.23
    assert _numbers("x", {}, "choice", "auc")["x"] is None


def test_a_cell_without_positives_says_so():
    assert _note([]) == ""
    assert _note(CELL["student"]["auc"]["undefined"]) == "no positives, or no negatives, in test: Hernia"


def test_cells_for_readers():
    assert _cell({"x": 91.23, "x_low": 80.0, "x_high": 95.0}, "x") == "91.2 [80.0, 95.0]"
    assert _cell({"x": 91.23, "x_low": None, "x_high": None}, "x") == "91.2"
    assert _cell({"x": None, "x_low": None, "x_high": None}, "x") == "–"


def test_a_row_without_a_baseline_has_no_difference():
    one = {
        "dataset": "D",
        "task": "localization",
        "metric": "map40",
        "note": "",
        "test_images": 1000,
        "test_patients": 9,
    }
    one |= {"images_seen_baseline": None, "images_seen_joint": 1200}
    for column in ("baseline", "teacher", "student", "choice"):
        value = None if column == "baseline" else 50.0
        one |= {column: value, f"{column}_low": None, f"{column}_high": None}
    assert _table3_row(one) == (
        "D",
        "localization",
        "mAP40",
        "–",
        "50.0",
        "–",
        "50.0",
        "50.0",
        "1,000 (9)",
        "–, 1,200",
        "",
    )
