"""Who trains, chooses and tests: by the release's lists, by published ones, and so that no group is on both sides."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore.data.assign import assign
from fxcore.data.holdout import part, position
from fxcore.params.splits import Holdout
from fxcore.passes import Split
from fxcore.slices.data import SplitRule

TRAIN, VAL, TEST = map(str, Split)
HOLDOUT = Holdout(val=0.1, test=0.2)
NONE = np.empty((0, 2), dtype=np.int64)


def _images(*rows):
    """Rows of dataset, image, group, official split, and published split."""
    columns = ["dataset", "image", "group", "official", "published"]
    table = pd.DataFrame([(*row, *[None] * (5 - len(row))) for row in rows], columns=columns)
    return table.astype({"dataset": "category"}).assign(usable=True)


def _split(images, policy="leak_free", pairs=NONE, seed=0, holdout=HOLDOUT, **policies):
    rules = {
        key: SplitRule(policy=policies.get(key, policy), holdout=holdout) for key in images["dataset"].cat.categories
    }
    return assign(images, rules, np.array(pairs, dtype=np.int64).reshape(-1, 2), seed)


def _free(number, dataset="a", groups=None):
    groups = groups or number
    return _images(*((dataset, f"{at}", f"{dataset}:{at % groups}") for at in range(number)))


def test_a_release_without_splits_gives_about_its_parts_by_name():
    images = _free(3000)
    splits = _split(images)["split"]
    assert splits.tolist() == [str(part(position(group, 0), 0.1, 0.2)) for group in images["group"]]
    counts = Counter(splits)
    # Binomial: 600 ± 22 and 300 ± 16, one standard deviation.
    assert counts[TEST] == pytest.approx(600, abs=88)
    assert counts[VAL] == pytest.approx(300, abs=66)


def test_another_seed_is_another_choice():
    images = _free(300)
    assert _split(images, seed=1)["split"].tolist() != _split(images)["split"].tolist()


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.lists(st.integers(0, 60), max_size=20),
    st.sampled_from(["leak_free", "official"]),
)
def test_added_images_move_no_old_one(old, new, policy):
    rows = [("a", f"{at}", f"a:{group}") for at, group in enumerate(old)]
    more = [("a", f"new {at}", f"a:{group}") for at, group in enumerate(new)]
    before = _split(_images(*rows), policy)["split"].tolist()
    after = _split(_images(*more, *rows), policy)["split"].tolist()
    assert after[len(more) :] == before


def test_groups_stay_together():
    found = _split(images := _free(400, groups=90))
    assert found.groupby(images["group"])["split"].nunique().max() == 1


def test_a_release_with_training_and_test_gives_validation_from_training():
    images = _images(*(("a", f"{at}", f"a:{at}", TRAIN if at < 1000 else TEST) for at in range(1500)))
    for policy in ("leak_free", "official"):
        splits = _split(images, policy)["split"]
        assert set(splits[1000:]) == {TEST}
        expected = [VAL if position(f"a:{at}", 0) < 0.1 else TRAIN for at in range(1000)]
        assert splits[:1000].tolist() == expected
        assert 60 < expected.count(VAL) < 140


def test_a_release_with_all_three_keeps_them():
    images = _images(*(("a", f"{at}", f"a:{at}", (TRAIN, VAL, TEST)[at % 3]) for at in range(30)))
    for policy in ("leak_free", "official"):
        assert _split(images, policy)["split"].tolist() == images["official"].tolist()


def test_what_another_dataset_tests_trains_nowhere():
    images = _images(
        ("a", "test", "p1", TEST),
        ("a", "val", "p2", VAL),
        ("a", "train", "p3", TRAIN),
        ("b", "its train", "p1", TRAIN),
        ("b", "its val", "p1", VAL),
        ("b", "train of val", "p2", TRAIN),
        ("b", "train of train", "p3", TRAIN),
        ("b", "its test", "p3", TEST),
        ("c", "free of test", "p1"),
        ("c", "free of val", "p2"),
        ("c", "free of b's test", "p3"),
    )
    found = _split(images)
    assert dict(zip(images["image"], found["split"], strict=True)) == {
        "test": TEST,
        "val": VAL,
        "train": None,  # b tests its patient
        "its train": None,
        "its val": None,
        "train of val": None,
        "train of train": None,
        "its test": TEST,
        "free of test": TEST,
        "free of val": VAL,
        "free of b's test": TEST,
    }
    why = dict(zip(images["image"], found["why"], strict=True))
    assert why["train"] == "of a group in test of b"
    assert why["its train"] == why["its val"] == "of a group in test of a"
    assert why["train of val"] == "of a group in val of a"


def test_by_the_release_each_dataset_is_alone():
    images = _images(("a", "1", "p", TEST), ("b", "2", "p", TRAIN), ("b", "3", "q", VAL), ("b", "4", "r", TEST))
    assert _split(images, "official")["split"].tolist() == [TEST, TRAIN, VAL, TEST]


def test_datasets_of_other_policies_do_not_count_for_leak_free():
    images = _images(("a", "1", "p", TEST), ("b", "2", "p", TRAIN), ("b", "3", "q", VAL), ("b", "4", "r", TEST))
    assert _split(images, a="official")["split"].tolist() == [TEST, TRAIN, VAL, TEST]


def test_pictures_that_are_one_join_their_groups():
    images = _images(
        ("a", "1", "a:1", TEST), ("b", "x", "b:x", TRAIN), ("b", "y", "b:y", TRAIN), ("b", "z", "b:z", VAL),
        ("b", "t", "b:t", TEST),
    )  # fmt: skip
    found = _split(images, pairs=[[0, 1], [1, 2]])
    assert found["split"].tolist() == [TEST, None, None, VAL, TEST]
    assert found["group"].tolist() == ["a:1", "a:1", "a:1", "b:z", "b:t"]
    assert _split(images, "official", pairs=[[0, 1]])["split"].tolist() == [TEST, TRAIN, TRAIN, VAL, TEST]


def test_free_groups_that_are_joined_go_to_the_strictest_of_their_places():
    places = {f"a:{at}": part(position(f"a:{at}", 0), 0.1, 0.2) for at in range(200)}
    train = next(name for name, of in places.items() if of is Split.TRAIN)
    test = next(name for name, of in places.items() if of is Split.TEST)
    images = _images(("a", "1", train), ("a", "2", test))
    assert _split(images, pairs=[[0, 1]])["split"].tolist() == [TEST, TEST]


def test_published_lists_replace_the_release_and_leave_out_what_they_do_not_list():
    images = _images(
        ("a", "1", "p", TRAIN, TEST),
        ("a", "2", "p", TRAIN, TRAIN),  # by image: one patient on both sides, as published
        ("a", "3", "q", TEST, VAL),
        ("a", "4", "r", TEST),
    )
    found = _split(images, "published")
    assert found["split"].tolist() == [TEST, TRAIN, VAL, None]
    assert found["why"].tolist() == [None, None, None, "in no published list"]


def test_what_cannot_be_used_is_in_no_split_and_joins_nothing():
    images = _images(("a", "1", "p", TEST), ("b", "2", "p", TRAIN), ("b", "3", "q", TEST), ("b", "4", "r", VAL))
    images.loc[0, "usable"] = False
    assert _split(images)["split"].tolist() == [None, TRAIN, TEST, VAL]


@given(st.data())
def test_leak_free_holds_whatever_the_lists_say(data):
    number = data.draw(st.integers(1, 40))
    rows = [
        (
            data.draw(st.sampled_from("abc")),
            f"{at}",
            f"g{data.draw(st.integers(0, 12))}",
            data.draw(st.sampled_from([None, TRAIN, VAL, TEST])),
        )
        for at in range(number)
    ]
    pairs = data.draw(st.lists(st.tuples(st.integers(0, number - 1), st.integers(0, number - 1)), max_size=6))
    images = _images(*rows)
    found = _split(images, pairs=[sorted(pair) for pair in pairs])
    placed = found[found["split"].notna()]
    of_group = placed.groupby("group")["split"].agg(set)
    assert all(len(splits) == 1 for splits in of_group)
    for left, right in pairs:
        assert found["group"][left] == found["group"][right]
    tests = images["official"] == TEST
    assert (found.loc[tests, "split"] == TEST).all()
