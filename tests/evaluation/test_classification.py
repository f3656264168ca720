"""Metrics of class probabilities against scikit-learn and hand counts."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from fxcore.evaluation.bootstrap import observed
from fxcore.evaluation.classification import Labelled, auc, average_precision, brier, metrics, thresholds

SEED = st.integers(0, 2**32 - 1)


def _labelled(scores, labels, known=None):
    scores, labels = (np.asarray(one, dtype=float).reshape(len(one), -1) for one in (scores, labels))
    known = np.ones(labels.shape) if known is None else np.asarray(known).reshape(labels.shape)
    return Labelled(scores, labels, known.astype(bool))


def _random(seed, images, levels, classes=1):
    """Scores with ties, labels of which some are unknown, and how often each image counts."""
    random = np.random.default_rng(seed)
    scores, labels = (random.integers(0, levels, (images, classes)) / levels, random.integers(0, 2, (images, classes)))
    return Labelled(scores, labels, random.random((images, classes)) < 0.8), random.integers(0, 4, images)


def _repeated(data, times):
    """Scores and labels of the only class, an image as often as it counts."""
    known = data.known[:, 0]
    return (np.repeat(one[known, 0], times[known]) for one in (data.scores, data.labels))


def _one(metric, weights):
    return metric.statistic(np.asarray(weights, dtype=float)[None])[0, 0]


@given(SEED, st.integers(0, 60), st.integers(1, 12))
def test_auc_is_scikit_learns_also_with_ties_and_weights(seed, images, levels):
    data, times = _random(seed, images, levels)
    scores, labels = _repeated(data, times)
    expected = roc_auc_score(labels, scores) if len(set(labels)) == 2 else np.nan
    assert _one(auc(data), times) == pytest.approx(expected, nan_ok=True)


@given(SEED, st.integers(0, 60), st.integers(1, 12))
def test_average_precision_is_scikit_learns_also_with_ties_and_weights(seed, images, levels):
    data, times = _random(seed, images, levels)
    scores, labels = _repeated(data, times)
    expected = average_precision_score(labels, scores) if labels.any() else np.nan
    assert _one(average_precision(data), times) == pytest.approx(expected, nan_ok=True)


@given(SEED, st.integers(0, 60), st.integers(1, 12))
def test_brier_score_is_scikit_learns(seed, images, levels):
    data, times = _random(seed, images, levels)
    scores, labels = _repeated(data, times)
    expected = brier_score_loss(labels, scores, pos_label=1) if len(labels) else np.nan
    assert _one(brier(data), times) == pytest.approx(expected, nan_ok=True)


@given(SEED, st.integers(0, 60), st.integers(1, 40))
def test_calibration_error_is_what_a_loop_over_bins_finds(seed, images, levels):
    data, times = _random(seed, images, levels)
    scores, labels = _repeated(data, times)
    edges, expected = np.arange(16) / 15, 0.0
    for low, high in itertools.pairwise(edges):
        inside = (scores >= low) & ((scores < high) | (high == 1.0))
        if inside.any():
            expected += inside.mean() * abs(scores[inside].mean() - labels[inside].mean())
    found = _one(metrics(data, None)["ece"], times)
    assert found == pytest.approx(expected if len(labels) else np.nan, nan_ok=True)


def test_calibration_error_by_hand():
    # a bin of two whose labels average 0.5, off by 0.4, and one of one, off by 0.2
    data = _labelled([0.9, 0.9, 0.2], [1, 0, 0])
    assert _one(metrics(data, None)["ece"], np.ones(3)) == pytest.approx((2 * 0.4 + 0.2) / 3)


@given(SEED, st.integers(2, 40), st.integers(1, 12))
def test_the_threshold_is_the_highest_of_the_greatest_youden_index(seed, images, levels):
    data, _ = _random(seed, images, levels)
    known = data.known[:, 0]
    scores, labels = data.scores[known, 0], data.labels[known, 0]
    (found,) = thresholds(data)
    if len(set(labels)) < 2:
        assert np.isnan(found)
        return
    false, true, levels = roc_curve(labels, scores, drop_intermediate=False)
    index = (true - false)[1:]  # the first is infinity: nothing above it
    assert found == levels[1:][np.isclose(index, index.max())].max()


def test_operating_points_come_from_validation():
    # Youden at 0.6 on validation: both positives at or above, one of three negatives too; at 0.8 one positive and no negative
    validation = _labelled([0.9, 0.6, 0.7, 0.5, 0.1], [1, 1, 0, 0, 0])
    assert thresholds(validation).tolist() == [0.6]
    test = _labelled([0.6, 0.59, 0.95, 0.3, 0.61, 0.2, 0.1, 0.7], [1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 0])
    found = metrics(test, validation)
    assert _one(found["sensitivity"], np.ones(8)) == pytest.approx(2 / 4)
    assert _one(found["specificity"], np.ones(8)) == pytest.approx(2 / 3)
    assert _one(found["sensitivity"], [3, 1, 0, 0, 1, 1, 1, 1]) == pytest.approx(3 / 4)


def test_without_predictions_for_validation_there_are_no_operating_points():
    assert list(metrics(_labelled([0.1, 0.9], [0, 1]), None)) == ["auc", "ap", "ece", "brier"]


def test_images_without_a_known_label_never_count():
    scores, labels = [0.1, 0.9, 0.5, 0.99], [0, 1, 0, 0]
    assert observed(auc(_labelled(scores, labels, [1, 1, 1, 0])).statistic, 4) == 1.0
    assert observed(auc(_labelled(scores, labels)).statistic, 4) == pytest.approx(2 / 3)


NAN = np.nan
SCORES = [[0.2, 0.3, 0.1, 0.5, 0.5], [0.8, 0.1, NAN, 0.5, 0.5], [0.5, 0.2, NAN, 0.5, 0.5]]
LABELS = [[0, 0, 0, 1, 1], [1, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
KNOWN = [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 0]]


def test_a_class_without_a_number_says_why_and_is_left_out_of_the_mean():
    data = _labelled(SCORES, LABELS, KNOWN)
    found = metrics(data, data)
    nan = "NaN scores in 2 of 3 images"
    expected = {
        "auc": ["", "no positives", nan, "no negatives", "no positives"],
        "ap": ["", "no positives", nan, "", "no positives"],
        "sensitivity": ["", *(f"{why} in validation" for why in ("no positives", nan, "no negatives", "no positives"))],
        "specificity": ["", *(f"{why} in validation" for why in ("no positives", nan, "no negatives", "no positives"))],
        "ece": ["", "", nan, "", "no known labels"],
        "brier": ["", "", nan, "", "no known labels"],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, metric in found.items():
            values = metric.statistic(np.ones((1, 3)))[0]
            reasons = [why if np.isnan(value) else "" for value, why in zip(values, metric.reasons, strict=True)]
            assert reasons == expected[name], name
    assert observed(found["auc"].statistic, 3) == 1.0


def test_a_class_whose_test_lacks_what_validation_has_says_so():
    validation, test = _labelled([0.1, 0.9], [0, 1]), _labelled([0.1, 0.9], [0, 0])
    found = metrics(test, validation)
    assert np.isnan(_one(found["sensitivity"], np.ones(2)))
    assert found["sensitivity"].reasons == ["no positives"]
    assert _one(found["specificity"], np.ones(2)) == 0.5


@given(SEED, st.integers(1, 20), st.integers(1, 4))
def test_classes_and_resamples_do_not_mix(seed, images, classes):
    data, times = _random(seed, images, 5, classes)
    weights = np.stack([np.ones(images), times]).astype(float)
    for name, metric in metrics(data, data).items():
        together = metric.statistic(weights)
        assert together.shape == (2, classes)
        for label in range(classes):
            alone = Labelled(*(one[:, [label]] for one in (data.scores, data.labels, data.known)))
            for row, some in zip(together, weights, strict=True):
                np.testing.assert_allclose(row[label], _one(metrics(alone, alone)[name], some), rtol=1e-9, atol=1e-12)
