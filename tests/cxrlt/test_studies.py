"""Averages, partners and ensembles by hand, and what they keep whatever the order of images."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore.cxrlt.studies import average, ensemble, partners
from fxcore.errors import InputError


def _table(*rows):
    return pd.DataFrame(rows, columns=["study", "image", "label", "score"])


def test_every_image_gets_the_mean_of_its_study():
    table = _table(
        ("s1", "a", "Edema", 0.2),
        ("s2", "b", "Edema", 0.5),
        ("s1", "c", "Edema", 0.6),
        ("s1", "a", "Hernia", 0.0),
        ("s2", "b", "Hernia", 0.3),
        ("s1", "c", "Hernia", 0.1),
    )
    found = average(table.set_index(np.arange(6) * 10))
    assert found["score"].tolist() == pytest.approx([0.4, 0.5, 0.4, 0.05, 0.3, 0.05])
    assert found.index.tolist() == [0, 10, 20, 30, 40, 50]
    assert found.drop(columns="score").to_numpy().tolist() == table.drop(columns="score").to_numpy().tolist()
    assert table["score"].tolist() == [0.2, 0.5, 0.6, 0.0, 0.3, 0.1]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_averages_do_not_depend_on_the_order_of_rows(studies, seed):
    random = np.random.default_rng(seed)
    images = [f"i{number}" for number in range(len(studies))]
    table = _table(*((s, i, label, random.random()) for s, i in zip(studies, images, strict=True) for label in "xy"))
    found = average(table)
    shuffled = average(table.sample(frac=1, random_state=seed)).loc[table.index]
    np.testing.assert_allclose(shuffled["score"], found["score"], rtol=1e-12)
    for place, row in table.iterrows():
        beside = table[(table["study"] == row["study"]) & (table["label"] == row["label"])]["score"]
        # a study of one image is unchanged to the last digit
        assert found["score"][place] == (row["score"] if len(beside) == 1 else pytest.approx(beside.mean()))


def test_siblings_come_from_another_table_and_an_image_in_both_counts_once():
    gold = _table(("s1", "a", "Edema", 0.2), ("s2", "b", "Edema", 0.4))
    test = _table(
        ("s1", "a", "Edema", 0.9),  # the gold image itself, scored again
        ("s1", "c", "Edema", 0.6),
        ("s1", "c", "Fissure", 1.0),  # a class that gold has not
        ("s3", "d", "Edema", 1.0),
    )
    found = average(gold, test)
    assert found["image"].tolist() == ["a", "b"]
    assert found["score"].tolist() == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize("siblings", [None, _table((None, "z", "Edema", 0.9))])
def test_images_of_no_known_study_stand_alone(siblings):
    found = average(_table((None, "a", "Edema", 0.2), (None, "b", "Edema", 0.4), ("s", "c", "Edema", 0.5)), siblings)
    assert found["score"].tolist() == [0.2, 0.4, 0.5]
    none = average(_table((None, "a", "Edema", 0.2)), siblings)
    assert none["score"].tolist() == [0.2]


def test_a_score_that_is_no_number_is_not_passed_over():
    found = average(_table(("s", "a", "Edema", np.nan), ("s", "b", "Edema", 0.4), ("t", "c", "Edema", 0.5)))
    np.testing.assert_array_equal(found["score"], [np.nan, np.nan, 0.5])


def test_at_evaluation_the_partner_is_the_next_of_the_study():
    studies = np.array(["a", "b", "a", "c", "a", "b", None, None], dtype=object)
    assert partners(studies, None).tolist() == [2, 5, 4, 3, 0, 1, 6, 7]


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=15), st.none() | st.integers(0, 2**32))
def test_a_partner_is_another_image_of_the_study_where_there_is_one(studies, seed):
    studies = np.array(studies, dtype=object)
    found = partners(studies, seed)
    np.testing.assert_array_equal(found, partners(studies, seed))
    for image, partner in enumerate(found):
        alone = studies[image] is None or np.count_nonzero(studies == studies[image]) == 1
        assert (partner == image) == alone
        assert studies[partner] == studies[image]


def test_in_training_all_others_are_drawn_equally_often():
    studies = np.array(["a", "b", "a", "a", "a"])
    drawn = np.stack([partners(studies, seed) for seed in range(3000)])
    for image, others in {0: [2, 3, 4], 2: [0, 3, 4], 4: [0, 2, 3]}.items():
        values, counts = np.unique(drawn[:, image], return_counts=True)
        assert values.tolist() == others
        assert counts == pytest.approx(1000, abs=100)
    assert (drawn[:, 1] == 1).all()


def _scored(**scores):
    rows = [("d", row, label) for row in (0, 1) for label in ("Edema", "Hernia")]
    table = pd.DataFrame(rows, columns=["dataset", "row", "label"])
    return {head: table.assign(score=of) for head, of in scores.items()}


def test_an_ensemble_is_the_mean_of_heads_row_by_row():
    tables = _scored(a=[0.1, 0.2, 0.3, 0.4], b=[0.3, 0.2, 0.1, 1.0], c=[0.2, 0.2, 0.2, 0.1])
    found = ensemble(tables | {"b": tables["b"].iloc[[3, 1, 0, 2]]})
    assert found["score"].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.5])
    assert found.drop(columns="score").equals(tables["a"].drop(columns="score"))
    assert tables["a"]["score"].tolist() == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda table: table.iloc[1:],
        lambda table: table.assign(row=table["row"] + 1),
        lambda table: table.assign(label="Edema"),
        lambda table: table.assign(dataset="e"),
        lambda table: pd.concat([table, table.iloc[:1]]),
        lambda table: pd.concat([table.iloc[1:], table.iloc[1:2]]),
    ],
    ids=["a row less", "other rows", "other classes", "another dataset", "one twice", "one for another"],
)
def test_an_ensemble_of_different_rows_is_refused(wrong):
    tables = _scored(a=0.1, b=0.2)
    with pytest.raises(InputError, match=r"^b: predictions are of other images or classes than those of a, .*again$"):
        ensemble(tables | {"b": wrong(tables["b"])})
