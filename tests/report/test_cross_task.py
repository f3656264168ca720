"""Figure 2: which points are focused and which unfocused, by hand."""

import pytest

from fxcore.paths import FIGURE_KINDS
from fxcore.report.cross_task import cross_task
from fxcore.report.figure import write

CLS, SEG = ["example_a", "classification"], ["example_a", "segmentation"]


def _snapshot(number, after, of, value):
    return {"pass": number, "cycle": 1, "after": after, "of": of, "value": value}


SNAPSHOTS = [
    _snapshot(1, CLS, CLS, 0.5),
    _snapshot(1, CLS, SEG, 0.25),
    _snapshot(5, SEG, CLS, 0.375),
    _snapshot(5, SEG, SEG, 0.75),
    _snapshot(6, CLS, CLS, 0.625),
    _snapshot(6, CLS, SEG, None),
    _snapshot(10, SEG, CLS, 0.5625),
    _snapshot(10, SEG, SEG, 0.6875),
]


def _drawn(handmade, params, snapshots, **more):
    return cross_task(handmade(params, choices={"foundation_x": {"snapshots": snapshots}}, **more))


def _figure(handmade, params, snapshots, **more):
    return _drawn(handmade, params, snapshots, **more).figure


def _lines(axis):
    """Points of each line by its label."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axis.get_lines()}


def test_a_point_is_focused_exactly_after_a_pass_on_its_own_cell(handmade, tiny):
    figure = _figure(handmade, tiny(), SNAPSHOTS)
    drawn = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title(loc="left") for axis in drawn] == ["Example A, classification", "Example A, segmentation"]
    assert [axis.get_ylabel() for axis in drawn] == ["AUC", "Dice"]
    of_classification, of_segmentation = map(_lines, drawn)
    assert of_classification["after its own pass (focused)"] == ([1, 6], [50, 62.5])
    assert of_classification["after other passes (unfocused)"] == ([5, 10], [37.5, 56.25])
    assert of_segmentation["after its own pass (focused)"] == ([5, 10], [75, 68.75])
    assert of_segmentation["after other passes (unfocused)"] == ([1], [25])  # undefined after pass 6
    assert [lines["best focused"][1] for lines in (of_classification, of_segmentation)] == [[62.5] * 2, [75] * 2]


def test_the_same_task_of_another_dataset_does_not_focus(handmade, tiny):
    params = tiny()
    params = params.model_copy(update={"datasets": params.datasets | {"example_b": params.datasets["example_a"]}})
    other = ["example_b", "classification"]
    figure = _figure(handmade, params, [_snapshot(1, CLS, CLS, 0.5), _snapshot(2, other, CLS, 0.25)])
    lines = _lines(figure.axes[0])
    assert lines["after its own pass (focused)"] == ([1], [50])
    assert lines["after other passes (unfocused)"] == ([2], [25])


def test_four_cells_fill_two_rows_of_three_and_leave_two_empty(handmade, tiny):
    params = tiny()
    params = params.model_copy(update={"datasets": params.datasets | {"example_b": params.datasets["example_a"]}})
    cells = [CLS, SEG, ["example_b", "classification"], ["example_b", "localization"]]
    figure = _figure(handmade, params, [_snapshot(1, CLS, of, 0.5) for of in cells])
    assert [axis.axison for axis in figure.axes] == [True] * 4 + [False] * 2
    assert figure.axes[3].get_ylabel() == "mAP40"
    # three cells have no focused point, so no best one
    assert [len(axis.get_lines()) for axis in figure.axes[:4]] == [3, 2, 2, 2]


@pytest.mark.parametrize(("synthetic", "kind"), [(True, "Phantom data"), (False, "Real radiographs")])
def test_the_figure_says_what_the_pictures_are(handmade, tiny, synthetic, kind):
    figure = _figure(handmade, tiny(), SNAPSHOTS, synthetic=synthetic)
    assert figure.get_suptitle().startswith(kind)


def test_without_snapshots_the_figure_says_how_to_take_them(handmade, tiny):
    figure = _figure(handmade, tiny(runs__foundation_x__train__snapshots=None), [])
    assert [text.get_text() for text in figure.texts] == [
        "Foundation X takes no snapshots: set runs.foundation_x.train.snapshots"
    ]
    assert figure.axes == []


def test_the_caption_says_whose_teacher_on_which_images(handmade, tiny):
    caption = _drawn(handmade, tiny(), SNAPSHOTS).caption
    assert caption.startswith(
        "Phantom data: synthetic pictures, not radiographs. Foundation X's teacher on the validation images of Example A,"
    )
    assert "one seed" in caption
    assert caption.endswith("Split: the release's own.")  # the index of a folder has a column for it


def test_equal_figures_are_equal_files(handmade, tiny, tmp_path):
    for name in ("one", "two"):
        write(_drawn(handmade, tiny(), SNAPSHOTS), *(tmp_path / name / f"figure.{kind}" for kind in FIGURE_KINDS))
    for kind in FIGURE_KINDS:
        first, second = ((tmp_path / name / f"figure.{kind}").read_bytes() for name in ("one", "two"))
        assert first == second
        assert len(first) > (100 if kind == "md" else 1000)
