"""The schedule against the counts the paper's tables imply, worked out by hand."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore.passes import Granularity, Mode, Pass, Task, fraction, passes, stages

CLS, LOC, SEG = Task
PAPER = [
    *[(name, frozenset({CLS})) for name in ("chexpert", "nih14", "vindr_cxr", "shenzhen", "mimic_cxr")],
    ("tbx11k", frozenset({CLS, LOC})),
    ("node21", frozenset({CLS, LOC})),
    ("candid_ptx", frozenset(Task)),
    ("rsna_pneumonia", frozenset({CLS, LOC})),
    ("chestx_det", frozenset(Task)),
    ("siim_acr", frozenset(Task)),
]
DATASETS = st.lists(
    st.tuples(st.sampled_from("abcdefg"), st.frozensets(st.sampled_from(Task), min_size=1)),
    min_size=1,
    unique_by=lambda one: one[0],
)


def test_a_paper_cycle_has_29_passes():
    # 11 classification + 6 localization and 3 segmentation, each locked then released
    assert len(passes(PAPER, cycles=1)) == 11 + 2 * 6 + 2 * 3


def test_candid_ptx_follows_the_lock_release_table():
    visits = [(p.task, p.mode, float(p.fraction)) for p in passes(PAPER, 1) if p.dataset == "candid_ptx"]
    assert visits == [
        (CLS, Mode.RELEASE, 1.0),
        (LOC, Mode.LOCK, 0.5),
        (LOC, Mode.RELEASE, 1.0),
        (SEG, Mode.LOCK, 0.5),
        (SEG, Mode.RELEASE, 1.0),
    ]


def test_datasets_come_in_the_order_of_the_paper():
    assert list(dict.fromkeys(one.dataset for one in passes(PAPER, 1))) == [name for name, _ in PAPER]


def test_more_cycles_extend_and_never_change_the_passes_before():
    assert passes(PAPER, 5)[: 3 * 29] == passes(PAPER, 3)


def test_a_dataset_listed_twice_is_named():
    with pytest.raises(ValueError, match="siim_acr listed twice"):
        passes([*PAPER, PAPER[-1]], 1)


def test_a_dataset_without_a_task_is_named():
    with pytest.raises(ValueError, match=r"datasets\.idle\.tasks is empty"):
        passes([("idle", frozenset())], 1)


@pytest.mark.parametrize(
    ("images", "batch_size", "part", "expected"),
    [
        (100, 24, 1, 4),  # the incomplete fifth batch is dropped
        (100, 24, Fraction(1, 2), 2),
        (120, 24, Fraction(1, 2), 2),  # half of five batches, rounded down, as the authors count
        (10, 24, 1, 1),  # fewer images than a batch are still trained on
        (30, 24, Fraction(1, 2), 1),
    ],
)
def test_updates_of_a_pass(images, batch_size, part, expected):
    one = Pass(0, 0, "a", LOC, Mode.RELEASE, Fraction(part))
    assert one.updates(images, batch_size) == expected


def test_a_fraction_is_what_is_written_not_the_nearest_binary_number():
    assert fraction(0.1) == Fraction(1, 10)
    # 0.1 as binary is a little more than a tenth; of ten batches exactly one must remain
    assert Pass(0, 0, "a", LOC, Mode.LOCK, fraction(0.3)).updates(10, 1) == 3


@given(DATASETS, st.integers(1, 4), st.sampled_from(Granularity), st.integers(1, 3))
def test_stages_cut_the_passes_and_change_nothing(datasets, cycles, granularity, together):
    plan = passes(datasets, cycles)
    cut = stages(plan, granularity, together)
    assert tuple(one for stage in cut for one in stage.passes) == plan
    assert [stage.number for stage in cut] == list(range(1, len(cut) + 1))
    assert len({stage.name for stage in cut}) == len(cut)


def test_number_of_stages_at_each_granularity():
    plan = passes(PAPER, 4)
    assert len(stages(plan, Granularity.PASS)) == 4 * 29
    assert len(stages(plan, Granularity.DATASET)) == 4 * 11
    assert len(stages(plan, Granularity.CYCLE)) == 4
    assert len(stages(plan, Granularity.CYCLE, 2)) == 2


TWO = [("a", frozenset({CLS, LOC})), ("b", frozenset({SEG}))]
"""Five passes a cycle: a's classification, lock and release of its localization, lock and release of b's segmentation."""


@pytest.mark.parametrize(
    ("granularity", "together", "names"),
    [
        (Granularity.CYCLE, 1, ["cycle_1", "cycle_2", "cycle_3", "cycle_4"]),
        (Granularity.CYCLE, 2, ["cycle_2", "cycle_4"]),
        (Granularity.CYCLE, 4, ["cycle_4"]),
        (
            Granularity.DATASET,
            2,  # cycles together are for stages of cycles only
            ["cycle_0-01", "cycle_1", "cycle_1-01", "cycle_2", "cycle_2-01", "cycle_3", "cycle_3-01", "cycle_4"],
        ),
        (
            Granularity.PASS,
            1,
            [f"cycle_{cycle}-{n:02d}" if n < 5 else f"cycle_{cycle + 1}" for cycle in range(4) for n in range(1, 6)],
        ),
    ],
)
def test_a_stage_is_named_by_how_far_the_run_is_afterwards(granularity, together, names):
    assert [stage.name for stage in stages(passes(TWO, 4), granularity, together)] == names


@given(DATASETS, st.integers(1, 3), st.sampled_from(Granularity))
def test_names_of_stages_do_not_depend_on_the_number_of_cycles(datasets, cycles, granularity):
    short, long = (stages(passes(datasets, number), granularity) for number in (cycles, cycles + 2))
    assert long[: len(short)] == short
    assert short[-1].name == f"cycle_{cycles}"


def test_with_heads_only_every_pass_is_a_lock_pass_over_all_of_the_data():
    of = passes([("a", frozenset(Task))], 2, heads_only=True)
    assert [(one.task, one.mode, one.fraction) for one in of] == 2 * [(task, Mode.LOCK, Fraction(1)) for task in Task]
