"""The challenge's metrics against scikit-learn, loops and hand counts; and groups of classes as the challenge's data has them."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from fxcore.cxrlt.metrics import Frequency, group_means, groups, metrics
from fxcore.evaluation.bootstrap import class_mean, replicates
from fxcore.evaluation.classification import Labelled

SEED = st.integers(0, 2**32 - 1)


def _labelled(scores, labels):
    scores, labels = (np.asarray(one, dtype=float).reshape(len(one), -1) for one in (scores, labels))
    return Labelled(scores, labels, np.ones(labels.shape, dtype=bool))


def _one(name, data):
    return metrics(data)[name].statistic(np.ones((1, len(data.scores))))[0, 0]


@st.composite
def _cases(draw):
    """Scores with ties, labels of which some are unknown and some classes are empty, and how often each image counts."""
    random = np.random.default_rng(draw(SEED))
    images, classes, levels = draw(st.integers(0, 40)), draw(st.integers(1, 3)), draw(st.integers(1, 12))
    shape = (images, classes)
    labels = random.random(shape) < random.choice([0.0, 0.1, 0.5, 1.0], classes)
    data = Labelled(random.integers(0, levels + 1, shape) / levels, labels.astype(float), random.random(shape) < 0.8)
    return data, random.integers(0, 4, images)


def _each(data, times):
    """Scores and labels of each class, an image as often as it counts."""
    for scores, labels, known in zip(data.scores.T, data.labels.T, data.known.T, strict=True):
        yield tuple(np.repeat(one[known], times[known]) for one in (scores, labels))


def _ap(scores, labels):
    return average_precision_score(labels, scores) if labels.any() else np.nan


def _auc(scores, labels):
    return roc_auc_score(labels, scores) if len(set(labels)) == 2 else np.nan


def _f1(scores, labels):
    chosen = scores >= 0.5
    return f1_score(labels, chosen) if labels.any() or chosen.any() else np.nan


def _error(stated, right):
    """Bin by bin."""
    if not len(stated):
        return np.nan
    error = 0.0
    for low, high in itertools.pairwise(np.arange(16) / 15):
        inside = (stated >= low) & ((stated < high) | (high == 1.0))
        if inside.any():
            error += inside.mean() * abs(stated[inside].mean() - right[inside].mean())
    return error


ORACLES = {
    "map": _ap,
    "mauc": _auc,
    "mf1": _f1,
    "ece": _error,
    "ece_confidence": lambda scores, labels: _error(np.maximum(scores, 1 - scores), (scores >= 0.5) == labels),
    "ece_board": lambda scores, labels: _error(scores, (scores >= 0.5) == labels),
}


@pytest.mark.parametrize("name", ORACLES)
@given(_cases())
def test_metrics_are_what_others_find_also_with_ties_weights_and_empty_classes(name, case):
    data, times = case
    found = metrics(data)[name].statistic(times[None].astype(float))[0]
    expected = [ORACLES[name](scores, labels) for scores, labels in _each(data, times)]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_headline_comes_first_and_nothing_is_left_out():
    assert list(metrics(_labelled([0.1, 0.9], [0, 1]))) == list(ORACLES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ece", (3 * abs(0.1 - 1 / 3) + abs(0.9 - 1)) / 4),
        ("ece_confidence", abs(0.9 - 3 / 4)),  # all four are 0.9 sure of their label, three are right
        ("ece_board", (3 * abs(0.1 - 2 / 3) + abs(0.9 - 1)) / 4),
    ],
)
def test_calibration_errors_by_hand(name, expected):
    assert _one(name, _labelled([0.1, 0.1, 0.1, 0.9], [0, 0, 1, 1])) == pytest.approx(expected)


def test_the_boards_error_is_great_where_a_rare_class_is_perfectly_calibrated():
    # one in fifty is positive, and so say the probabilities; 49 of 50 are rightly called negative
    rare = _labelled(np.full(50, 0.02), np.arange(50) == 0)
    assert [_one(name, rare) for name in ("ece", "ece_confidence", "ece_board")] == pytest.approx([0, 0, 0.96])


def test_f1_by_hand_counts_half_as_predicted():
    # two found, one missed, one false: 2 · 2 / (2 · 2 + 1 + 1)
    assert _one("mf1", _labelled([0.5, 0.9, 0.49, 0.7, 0.1], [1, 1, 1, 0, 0])) == pytest.approx(4 / 6)


def test_a_class_without_a_number_says_why():
    nan = np.nan
    scores = [[0.4, 0.6, nan, 0.6, 0.6], [0.1, 0.1, 0.9, 0.1, 0.1]]
    labels = [[0, 0, 1, 1, 0], [0, 0, 0, 1, 0]]
    known = np.array([[1, 1, 1, 1, 0]] * 2, dtype=bool)
    broken, empty = "NaN scores in 1 of 2 images", "no positives"
    expected = {
        "map": [empty, empty, broken, "", empty],
        "mauc": [empty, empty, broken, "no negatives", empty],
        "mf1": ["no positives and none predicted", "", broken, "", "no positives and none predicted"],
        "ece": ["", "", broken, "", "no known labels"],
    }
    expected |= {"ece_confidence": expected["ece"], "ece_board": expected["ece"]}
    for name, metric in metrics(Labelled(np.array(scores), np.array(labels, dtype=float), known)).items():
        values = metric.statistic(np.ones((1, 2)))[0]
        reasons = [why if np.isnan(value) else "" for value, why in zip(values, metric.reasons, strict=True)]
        assert reasons == expected[name], name


POSITIVES = [
    *(3409, 65376, 199, 4239, 74738, 168, 15371, 37256, 3661, 29628, 1169, 2803, 11568, 2965, 3986, 646),
    *(727, 10087, 778, 129, 2338, 77482, 5288, 7531, 34292, 66401, 616, 3272, 704, 46660, 516, 13858),
    *(1631, 903, 8919, 172, 2046, 86079, 3336, 2078),
]
"""Of the challenge's 40 classes, in its order: positives among 258,871 training images."""


def test_the_challenge_has_9_head_15_medium_and_16_tail_classes():
    found = groups({str(place): count / 258871 for place, count in enumerate(POSITIVES)}, head=0.1, tail=0.01)
    assert [list(found.values()).count(group) for group in ("head", "medium", "tail")] == [9, 15, 16]


def test_a_share_at_a_bound_is_medium_and_groups_are_text():
    found = groups({"a": 0.11, "b": 0.1, "c": 0.01, "d": 0.009}, head=0.1, tail=0.01)
    assert json.loads(json.dumps(found)) == {"a": "head", "b": "medium", "c": "medium", "d": "tail"}


def test_the_mean_of_a_group_is_over_its_classes_that_have_a_value():
    random = np.random.default_rng(0)
    labels = (random.random((60, 4)) < [0.5, 0.5, 0.3, 0.0]).astype(float)  # the last has no positives
    data = _labelled(random.random((60, 4)), labels)
    values = replicates({"map": metrics(data)["map"].statistic}, np.arange(60) // 2, 20, 0)["map"]
    shares = groups({"a": 0.5, "b": 0.5, "c": 0.05, "d": 0.05}, 0.1, 0.01)
    found = group_means(values, ["a", "b", "c", "d"], shares)
    own = [average_precision_score(truth, scores) for truth, scores in zip(labels.T[:3], data.scores.T, strict=False)]
    assert {group: mean.classes for group, mean in found.items()} == {"head": 2, "medium": 1, "tail": 0}
    assert found[Frequency.HEAD].values[0] == pytest.approx((own[0] + own[1]) / 2)
    assert found[Frequency.MEDIUM].values[0] == pytest.approx(own[2])
    assert np.isnan(found[Frequency.TAIL].values).all()
    # of the same resamples as the mean over all classes
    together = (2 * found[Frequency.HEAD].values + found[Frequency.MEDIUM].values) / 3
    assert together.shape == (21,)
    np.testing.assert_allclose(together, class_mean(values))
