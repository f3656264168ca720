"""Figure 3: a line a run, its best value marked, published values in the caption alone."""

from types import SimpleNamespace

import pytest

from fxcore.errors import InputError
from fxcore.params.runs import Run
from fxcore.passes import Task
from fxcore.report.finetuned import shown
from fxcore.report.finetuning import figure3_finetuning
from tests.report.study import STUDY


def _candidates(*values, branch="student", dataset="vindr_cxr_local"):
    task = "localization"
    return [
        {"cycle": cycle, "branch": branch, "dataset": dataset, "task": task, "value": value} for cycle, value in values
    ]


CHOICES = {
    "disease_random": {"candidates": _candidates((2, 0.125), (1, 0.0625), (3, 0.09375))},
    "disease_fx": {
        # the teacher stands for a run that has one, whatever the student reaches
        "candidates": _candidates((1, 0.9)) + _candidates((1, 0.25), (2, 0.5), (3, None), branch="teacher")
    },
    "disease_head": {"candidates": _candidates((1, None))},
}


@pytest.fixture
def drawn(tiny, handmade):
    return figure3_finetuning(handmade(tiny(**STUDY), choices=CHOICES))


def test_a_line_a_run_in_percent_with_its_best_value_ringed(drawn):
    (axis,) = drawn.figure.axes
    lines = [
        (line.get_label(), list(line.get_xdata()), list(line.get_ydata()))
        for line in axis.get_lines()
        if not line.get_label().startswith("_")
    ]
    assert lines == [
        ("DINO: best 12.5 after cycle 2", [1, 2, 3], [6.25, 12.5, 9.375]),
        ("Foundation X, full: best 50.0 after cycle 2", [1, 2], [25, 50]),
        ("Foundation X, head only: undefined on validation", [], []),
    ]
    rings = [line for line in axis.get_lines() if line.get_label().startswith("_")]
    assert [(list(ring.get_xdata()), list(ring.get_ydata())) for ring in rings] == [([2], [12.5]), ([2], [50])]
    assert (axis.get_title(loc="left"), axis.get_ylabel()) == ("VinDr-CXR local labels, localization", "mAP40")


def test_published_values_are_in_the_caption_alone(drawn):
    assert "15.5 (full), 14.3 (head), 12.25 (baseline)" in drawn.caption
    assert "read off the plot" in drawn.caption
    assert drawn.caption.startswith("Phantom data")
    texts = [text.get_text() for text in drawn.figure.findobj(lambda one: hasattr(one, "get_text"))]
    assert not [text for text in texts if "15.5" in text or "12.25" in text]


def test_without_runs_there_is_no_figure(tiny, handmade):
    with pytest.raises(InputError, match="none with shown_in: figure3_finetuning"):
        figure3_finetuning(handmade(tiny(finetune={}, few_shot={})))


def test_a_run_is_shown_for_the_tasks_that_it_has_on_a_dataset_not_on_another():
    train = {"visits": {"a": ["localization"], "b": ["segmentation"]}, "cycles": 1, "horizon_cycles": 1}
    block = {"title": "x", "role": "finetune", "shown_in": "table4_organs", "train": train}
    results = SimpleNamespace(slice=SimpleNamespace(runs={"x": Run.model_validate(block)}))
    assert shown(results, "table4_organs", "a", Task.LOCALIZATION) == ["x"]
    assert shown(results, "table4_organs", "a", Task.SEGMENTATION) == []
    assert shown(results, "table4_organs", "c") == []
    assert shown(results, "table4_organs") == ["x"]
    assert shown(results, "table5_transfer") == []
