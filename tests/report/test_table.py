"""Tables that say what an experiment is, from handmade counts."""

from matplotlib.text import Text

from fxcore.passes import Task
from fxcore.report.method import figure1_method
from fxcore.report.table import table2_schedule
from fxcore.slices.make import figure_slice, train_slice

COUNTS = {"example_a": {"annotated": {task: {"train": 12} for task in Task}}}


def test_a_run_that_trains_its_heads_alone_has_a_schedule_of_lock_passes_over_all_of_the_data(handmade, tiny):
    # Three tasks, twice: no release pass, and nothing of a lock pass' half.
    changes = {"tune": "head", "repeats": 2, "snapshots": None, "momentum": None}
    params = tiny(**{f"runs__foundation_x__train__{name}": value for name, value in changes.items()})
    results = handmade(params, counts=COUNTS, of=figure_slice)
    table = table2_schedule(results)
    assert [(one["task"], one["mode"], one["fraction"]) for one in table.records] == [
        *(("classification", "lock", 1.0), ("localization", "lock", 1.0), ("segmentation", "lock", 1.0)),
    ] * 2
    assert [one["trains"] for one in table.records[:3]] == [
        *("classification head", "localization decoder", "segmentation head"),
    ]
    trained = train_slice(params, "foundation_x").passes(1)
    assert [one["mode"] for one in table.records] == [str(one.mode) for one in trained]
    drawn = figure1_method(results)
    assert "One cycle: 6 passes, from left to right" in [text.get_text() for text in drawn.figure.findobj(Text)]
