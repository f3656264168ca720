"""Predictions beside the truth: what a reader tells classes apart by, and a picture of nothing that says so."""

import pandas as pd
import pytest
from matplotlib.text import Text

from fxcore import paths, tablefile
from fxcore.report.panels import KINDS, panels
from fxcore.report.results import FigureResults
from fxcore.report.style import COLOURS
from fxcore.slices.make import figure_slice

ENDS = ["truth", "prediction"]


@pytest.mark.parametrize("name", ["panels_localization", "panels_segmentation"])
def test_classes_have_numbers_where_there_are_more_of_them_than_colours(name):
    few, many = list("abcdefg"), list("abcdefgh")
    assert len(few) == len(COLOURS)
    legend = KINDS[name].legend
    assert [one.get_label() for one in legend(tuple(few))] == [*few, *ENDS]
    handles = legend(tuple(many))
    assert [one.get_label() for one in handles] == [*(f"{at} {one}" for at, one in enumerate(many, 1)), *ENDS]
    assert handles[0].get_color() == handles[7].get_color()


@pytest.mark.parametrize("task", ["localization", "segmentation"])
def test_a_task_that_nothing_trains_for_is_said_in_the_picture(tiny, tmp_path, task):
    train = {"visits": {"example_a": ["classification"]}, "cycles": 1, "horizon_cycles": 1}
    params = tiny(runs={"joint": {"title": "Joint", "role": "joint", "train": train}})
    tablefile.write(paths.predictions(tmp_path, "joint"), pd.DataFrame({"task": ["classification"], "split": ["test"]}))
    drawn = panels(KINDS[f"panels_{task}"], FigureResults(tmp_path, figure_slice(params)))
    said = f"Joint is not trained for {task}."
    assert drawn.caption == said
    assert [one.get_text() for one in drawn.figure.findobj(Text) if one.get_text()] == [said]
