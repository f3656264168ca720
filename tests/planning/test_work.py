"""How much work an experiment is, before and after its stores are made; worked out by hand."""

from math import ceil

import pytest

from fxcore import yamlfile
from fxcore.machine import Machine
from fxcore.params import experiment
from fxcore.params.registry import registry
from fxcore.params.splits import Holdout
from fxcore.passes import Split, Task
from fxcore.planning import resources
from fxcore.planning.costs import store
from fxcore.planning.plan import Plan
from fxcore.planning.work import Images, Sizes, Work
from fxcore.slices.make import train_slice
from tests.conftest import PROJECT

CLS, LOC, SEG = Task


@pytest.fixture
def paper(tmp_path):
    return experiment.load(PROJECT / "presets/paper.yaml").model_copy(update={"results_root": str(tmp_path)})


def _work(params, run):
    return Sizes(params).work(run, train_slice(params, run).passes(params.runs[run].train.cycles))


def test_expected_images_are_those_of_the_specification(shared):
    spec = {one["key"]: one["counts"] for one in yamlfile.load(shared("spec/datasets.yaml"))["datasets"]}
    # without the test images that have no labels
    images = {key: counts["images"] for key, counts in spec.items()} | {"tbx11k": 6600 + 1800}
    images |= {"cxr_lt_2024_gold": 406}  # of the test images of cxr_lt_2024
    assert {key: known.expected.images for key, known in registry().items()} == images
    for key, known in registry().items():
        splits = known.expected.splits
        assert not splits or sum(splits.values()) == known.expected.images, key
        if len(splits) == 3:
            assert splits == {split: spec[key]["official"][split] for split in Split}, key


def test_what_a_release_does_not_split_is_held_out():
    known, holdout = registry(), Holdout(val=0.1, test=0.2)
    assert known["chexpert"].images(holdout) == {Split.TRAIN: 223414, Split.VAL: 234, Split.TEST: 668}
    assert known["nih14"].images(holdout) == {Split.TRAIN: 86524 - 8652, Split.VAL: 8652, Split.TEST: 25596}
    assert known["shenzhen"].images(holdout) == {Split.TRAIN: 662 - 132 - 66, Split.VAL: 66, Split.TEST: 132}


def test_a_cycle_of_the_paper_counts_35717_updates(paper):
    # images // 24 for classification, then for localization and segmentation its half, rounded down, and the whole
    cls = 9308 + 3244 + 562 + 19 + 15373 + 247 + 142 + 561 + 778 + 113 + 400
    loc = 247 + 142 + 561 + 778 + 113 + 400 + 123 + 71 + 280 + 389 + 56 + 200
    seg = 561 + 113 + 400 + 280 + 56 + 200
    assert cls + loc + seg == 35717
    assert _work(paper, "foundation_x") == Work(150 * 35717, 150 * 35717 * 24, expected=True)
    assert _work(paper, "shenzhen_classification") == Work(150 * 19, 150 * 19 * 24, expected=True)


def test_what_is_counted_in_a_store_is_not_expected(tiny, stores, tmp_path):
    params = tiny(results_root=str(tmp_path))
    assert Sizes(params).annotated("example_a", SEG) == Images(12)
    folder = tmp_path / "splits"
    folder.mkdir(parents=True)
    (folder / "example_a.json").symlink_to(stores["example_a"].folder / "split.json")
    counts = Sizes(params).counts("example_a")
    assert Sizes(params).all("example_a") == Images(sum(counts["images"].values())) == Images(24)
    assert [Sizes(params).annotated("example_a", LOC, split) for split in Split] == [Images(12), Images(6), Images(6)]


def test_a_dataset_that_nobody_knows_is_unknown(tmp_path):
    real = experiment.load(PROJECT / "tests/presets/cxr_real.yaml").model_copy(update={"results_root": str(tmp_path)})
    assert _work(real, real.joint) is None
    assert Sizes(real).scored(real.joint) is None
    assert store(real, Sizes(real), "cxr_main") is None


def test_a_store_is_expected_to_be_as_large_as_it_becomes(tiny, stores, tmp_path):
    params = tiny(results_root=str(tmp_path))
    expected = store(params, Sizes(params), "example_a")
    # 24 images of 72 × 72 bytes, each with two masks of 72 rows of nine bytes
    assert expected == Images(24 * (72 * 72 + 2 * 72 * 9), expected=True)
    head = 128  # of a NumPy file
    written = [(stores["example_a"].folder / name).stat().st_size - head for name in ("images.npy", "masks.npy")]
    assert sum(written) == expected.number


def test_scoring_predicts_what_validation_chooses_among_and_the_test_set(tiny):
    sizes = Sizes(tiny(runs__foundation_x__train__cycles=4, runs__foundation_x__train__keep_every=2, evaluate__every=4))
    # of the kept cycles 2 and 4 the last is tried, by student and teacher, on three tasks' 6 images; 4 × 2 snapshots on two
    # tasks' 6; student, teacher and the untrained network predict three tasks' 6 test images
    assert sizes.scored("foundation_x") == 2 * 3 * 6 + 8 * 2 * 6 + 3 * 3 * 6
    # one cycle, one branch, one task; on test also the untrained network
    assert sizes.scored("example_a_localization") == 6 + 2 * 6


class Wildcards:
    run = "foundation_x"
    stage = "cycle_1"
    dataset = "mimic_cxr"


def test_jobs_ask_for_the_time_that_their_images_take(paper):
    images = 24 * 35717
    plan = Plan(paper, Machine(images_per_second=50))
    assert [plan.minutes_to_train(Wildcards, attempt) for attempt in (1, 2)] == [
        ceil(15 + 2 * images / 50 / 60),
        2 * ceil(15 + 2 * images / 50 / 60),
    ]
    assert plan.minutes_to_train(Wildcards, 9) == 3 * 24 * 60
    # 377,110 images at ten a second and thread
    assert plan.data.minutes_to_normalize(Wildcards, threads=8, attempt=1) == ceil(15 + 2 * 377110 / 80 / 60)
    assert plan.memory(Wildcards, threads=8, attempt=2) == 2 * (12000 + 8 * 2000)


def test_without_a_known_size_jobs_ask_for_the_longest_time():
    assert resources.minutes(None, 20, 1) == resources.LONGEST_MINUTES
