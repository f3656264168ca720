"""Table 6 as a picture: means, intervals and draws where they belong."""

import pytest

from fxcore.errors import InputError
from fxcore.report.few_shot_curve import few_shot
from tests.report.study import STUDY, number
from tests.report.test_few_shot import FEW, FOUND


def _line(axis, label):
    (line,) = [one for one in axis.get_lines() if one.get_label() == label]
    return [round(x) for x in line.get_xdata()], list(line.get_ydata())


def test_a_line_an_initialisation_at_the_numbers_of_images(tiny, handmade):
    drawn = few_shot(handmade(tiny(**STUDY | {"few_shot": FEW}), few_shot=FOUND))
    (axis,) = drawn.figure.axes
    assert _line(axis, "Random") == ([3, 6], [50, 70])
    assert _line(axis, "Foundation X") == ([3, 6], [75, 72])
    (bar,) = [line for line in axis.get_lines() if list(line.get_ydata()) == [70, 80]]  # the only one with an interval
    assert len(set(bar.get_xdata())) == 1
    assert "grey dots are the draws" in drawn.caption


def test_lines_stand_apart_at_one_number_of_images(tiny, handmade):
    drawn = few_shot(handmade(tiny(**STUDY | {"few_shot": FEW}), few_shot=FOUND))
    places = [line.get_xdata()[0] for line in drawn.figure.axes[0].get_lines() if not line.get_label().startswith("_")]
    assert len(set(places)) == 3
    assert sum(places) / 3 == pytest.approx(3)


def test_draws_are_dots_and_one_draw_is_none(tiny, handmade):
    runs = {"few_shot": FEW | {"runs": ["clavicle_random"], "samples": [3, 6]}}
    facts = {name: value for name, value in FOUND["clavicle_random"].items() if name != "samples"}
    three = number(0.5) | {"draws": [0.25, 0.75, None], "sd": 0.35, "differences": {}}
    six = number(0.625) | {"draws": [0.625], "sd": None, "differences": {}}
    found = {"clavicle_random": facts | {"samples": {"3": three, "6": six}}}
    drawn = few_shot(handmade(tiny(**STUDY | runs), few_shot=found))
    dots = [list(line.get_ydata()) for line in drawn.figure.axes[0].get_lines() if line.get_marker() == "."]
    assert dots == [[25, 75], []]


def test_without_runs_there_is_no_figure(tiny, handmade):
    with pytest.raises(InputError, match=r"few_shot\.runs is empty"):
        few_shot(handmade(tiny(few_shot={})))
