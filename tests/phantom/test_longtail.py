"""Which studies have which classes: shares and an order worked out from the release's counts, whoever asks."""

from collections import Counter

import pytest

from fxcore.data.adapters import cxr_lt_2024, cxr_lt_2024_gold
from fxcore.passes import Split
from fxcore.phantom.longtail import BLOCK, COUNTS, classes, finding, reported, share
from fxcore.phantom.studies import VIEWS

NAMES = list(COUNTS)
ALL_KINDS = {"Fracture", "Nodule"}
"""Classes that are nearly always of a kind; in some blocks their kinds are more than they would be themselves."""


def _positives(split, studies, of=classes):
    return Counter(name for place in range(studies) for name in of(split, place))


def _studies(images):
    """How many studies in a row have so many images."""
    taken = studies = 0
    while taken < images:
        taken += len(VIEWS[studies % len(VIEWS)])
        studies += 1
    return studies


def test_counts_are_those_of_the_release_most_first():
    assert sorted(COUNTS) == sorted(cxr_lt_2024.FINDINGS)
    assert list(COUNTS.values()) == sorted(COUNTS.values(), reverse=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Support Devices", 1 / 3),
        ("Nodule", 0.0536),  # (7531 / 86079) ** 0.75 / 3 = 0.16107 / 3
        ("Lobar Atelectasis", 0.00254),  # (129 / 86079) ** 0.75 / 3 = 0.00762 / 3
    ],
)
def test_shares_by_hand(name, expected):
    assert share(name) == pytest.approx(expected, rel=0.005)


def test_whole_blocks_have_each_class_in_its_share():
    # 20 blocks are 900 studies; of a rare class, one comes in the first block and then as often as its share says
    found = _positives(Split.TRAIN, 20 * BLOCK)
    for name in NAMES:
        more = 0.1 * 900 * share(name) if name in ALL_KINDS else 0
        assert 900 * share(name) - 1 <= found[name] <= 900 * share(name) + 1 + more, name
    assert [name for name in sorted(NAMES, key=lambda one: -found[one]) if found[name] > 5] == [
        name for name in NAMES if found[name] > 5
    ]


@pytest.mark.parametrize(("split", "images", "studies"), [("train", 240, 147), ("val", 80, 49), ("test", 120, 73)])
def test_each_class_is_in_each_split_of_the_default_size(split, images, studies):
    # 18 images in 11 studies: 240 = 13 · 18 + 6 images need 4 more studies, 80 = 4 · 18 + 8 need 5, 120 = 6 · 18 + 12 need 7
    assert _studies(images) == studies
    for of in (classes, reported):
        found = _positives(Split(split), studies, of)
        assert set(found) == set(NAMES)
    assert set(_positives(Split.TEST, 60)) == set(NAMES)  # and in so few studies of task 2


def test_the_tail_is_long():
    found = _positives(Split.TRAIN, 147)
    assert [name for name in NAMES if found[name] >= 14][:9] == NAMES[:9]
    assert 40 <= found["Support Devices"] <= 55
    rare = [name for name in NAMES if found[name] <= 2]
    assert set(NAMES[-8:]) <= set(rare) <= set(NAMES[-13:])


def test_normal_is_alone_and_every_kind_beside_the_class_it_is_a_kind_of():
    parents = {}
    for name in NAMES:
        if name != "Normal":
            parents.setdefault(finding(name), name)
    assert (parents["opacity"], parents["fracture"], parents["effusion"]) == (
        "Lung Opacity",
        "Fracture",
        "Pleural Effusion",
    )
    for place in range(200):
        shown = classes(Split.TRAIN, place)
        assert "Normal" not in shown or shown == {"Normal"}
        drawn = Counter(finding(name) for name in shown - {"Normal"})
        assert all(parents[one] in shown and number <= 2 for one, number in drawn.items())


def test_reports_are_wrong_in_one_class_of_task_2_and_only_where_there_is_a_gold_standard():
    wrong = Counter()
    for place in range(300):
        assert reported(Split.TRAIN, place) == classes(Split.TRAIN, place)
        differ = reported(Split.TEST, place) ^ classes(Split.TEST, place)
        assert len(differ) == ("Normal" not in classes(Split.TEST, place))
        wrong.update(differ)
    assert set(wrong) <= set(cxr_lt_2024_gold.FINDINGS) - {"Normal"}
    assert 0.02 < sum(wrong.values()) / (300 * 26) < 0.04
    assert wrong["Support Devices"] > wrong["Hernia"]


def test_splits_differ():
    assert [classes(Split.TRAIN, place) for place in range(45)] != [classes(Split.VAL, place) for place in range(45)]
