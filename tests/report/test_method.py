"""Figure 1: what is drawn is what the parameters say, and nothing lies on anything else."""

from itertools import combinations

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from fxcore.params.experiment import load
from fxcore.passes import Task
from fxcore.report.canvas import INKS
from fxcore.report.method import figure1_method
from fxcore.slices.make import figure_slice
from tests.conftest import PROJECT


def _words(drawn):
    return [text.get_text() for text in drawn.figure.findobj(Text) if text.get_text()]


def _blocks(drawn, task):
    """The passes of a task from left to right: width, and whether they are locked; white underlays have no edge."""
    patches = [one for one in drawn.figure.findobj(Rectangle) if to_hex(one.get_edgecolor()) == INKS[task].lower()]
    return [(one.get_width(), bool(one.get_hatch())) for one in sorted(patches, key=lambda one: one.get_x())]


@pytest.fixture
def paper(handmade):
    return figure1_method(handmade(load(PROJECT / "presets/paper.yaml"), of=figure_slice))


def test_the_paper_has_eleven_six_and_three_heads_for_student_and_teacher(paper):
    words = _words(paper)
    assert [words.count(head) for head in ("11 heads", "6 decoders\n6 heads", "3 heads")] == [2, 2, 2]
    assert words.count("backbone (swin_base_patch4_window7_224), shared by all") == 2
    assert "image\n224 × 224" in words
    assert "teacher\nfollows after\neach pass,\nmomentum\n0.8" in words
    assert "consistency:\nfeatures" in words


def test_a_cycle_of_the_paper_is_29_passes_and_a_lock_pass_is_half_as_wide(paper):
    assert "One cycle: 29 passes, from left to right" in _words(paper)
    blocks = {task: _blocks(paper, task) for task in Task}
    assert [len(of) for of in blocks.values()] == [11, 12, 6]
    assert not any(locked for _, locked in blocks[Task.CLASSIFICATION])
    assert [locked for _, locked in blocks[Task.LOCALIZATION]] == [True, False] * 6
    (lock, _), (release, _) = blocks[Task.SEGMENTATION][:2]
    gap = 0.24  # between blocks, the same for both
    assert (lock + gap) / (release + gap) == pytest.approx(0.5)


def test_heads_are_numbered_as_in_table_1(paper):
    words = _words(paper)
    wanted = [f"C{number}" for number in range(1, 12)] + [f"L{number}" for number in range(1, 7)] + ["S1", "S2", "S3"]
    assert [word for word in wanted if words.count(word) != 1] == []


@pytest.mark.parametrize("file", ["presets/paper.yaml", "params.yaml", "tests/presets/tiny.yaml"])
def test_no_words_lie_on_other_words_or_leave_the_page(handmade, file):
    drawn = figure1_method(handmade(load(PROJECT / file), of=figure_slice))
    drawn.figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn.figure.findobj(Text) if text.get_text()]
    page = drawn.figure.bbox
    assert [words for words, box in boxes if box.x0 < 0 or box.x1 > page.x1 or box.y0 < 0 or box.y1 > page.y1] == []
    assert [(one, other) for (one, mine), (other, its) in combinations(boxes, 2) if mine.overlaps(its)] == []


def test_without_a_teacher_there_is_a_student_alone(handmade, tiny):
    params = tiny(runs__foundation_x__train__momentum=None, runs__foundation_x__train__snapshots=None)
    drawn = figure1_method(handmade(params, of=figure_slice))
    words = _words(drawn)
    assert "Student" in words
    assert "Teacher" not in words
    assert "The run has no teacher." in drawn.caption


def test_what_the_parameters_change_is_drawn(handmade, tiny):
    params = tiny(
        model__projector={"width": 48},
        model__localization__decoder="shared",
        pretrain__detached=["localization"],
        pretrain__views=2,
        runs__foundation_x__train__lock=["classification"],
        runs__foundation_x__train__momentum={"start": 0.5, "end": 1.0},
    )
    drawn = figure1_method(handmade(params, of=figure_slice))
    words = _words(drawn)
    assert "classification\nmean over last map\nprojector (48)" in words
    assert "1 decoder\n1 head" in words
    assert "consistency:\nbackbone maps,\nencoder tokens\nno gradient" in words
    assert "teacher\nfollows after\neach pass,\nmomentum\n0.5 to 1" in words
    assert [locked for _, locked in _blocks(drawn, Task.CLASSIFICATION)] == [True, False]
    assert "a view of its own in classification is shown to the teacher" in drawn.caption


def test_without_consistency_nothing_joins_the_branches(handmade, tiny):
    words = _words(figure1_method(handmade(tiny(pretrain__consistency=0.0), of=figure_slice)))
    assert "Teacher" in words
    assert not [word for word in words if "consistency" in word]
