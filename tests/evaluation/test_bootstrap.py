"""Intervals against theory: of means, of AUC and its differences (DeLong), by patient; and how often they cover the truth."""

import numpy as np
import pytest
from scipy.stats import norm

from fxcore.evaluation.bootstrap import class_mean, interval, observed, replicates
from fxcore.evaluation.classification import Labelled, auc
from fxcore.evaluation.metric import Ratio


def _mean(values):
    return Ratio(np.asarray(values)[:, None], np.ones((len(values), 1)))


def _interval(statistic, patients, resamples=1000, confidence=0.95, seed=0):
    found = replicates({"it": statistic}, patients, resamples, seed)["it"]
    return interval(class_mean(found), confidence)


def _labelled(scores, labels):
    scores, labels = (np.asarray(one, dtype=float).reshape(len(one), -1) for one in (scores, labels))
    return Labelled(scores, labels, np.ones(labels.shape, dtype=bool))


def test_the_interval_of_a_mean_is_the_one_of_theory():
    values = np.random.default_rng(5).normal(3.0, 2.0, 400)
    found = _interval(_mean(values), np.arange(400), 2000, seed=1)
    error = values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.2 * error
    )


def test_images_of_a_patient_stay_together():
    # ten equal images of each of twelve patients carry the information of twelve images, not of 120
    values = np.repeat(np.random.default_rng(2).normal(size=12), 10)
    patients = np.repeat([f"p{i}" for i in range(12)], 10)

    def width(of):
        found = _interval(_mean(values), of, seed=3)
        return found.high - found.low

    assert width(patients) == pytest.approx(np.sqrt(10) * width(np.arange(120)), rel=0.25)


@pytest.mark.parametrize("images", [0, 1])
def test_no_interval_from_less_than_two_patients(images):
    found = _interval(_mean(np.ones(images)), np.arange(images), 100)
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(found.value) == (images == 0)


def test_no_interval_where_most_resamples_are_undefined():
    labels = [1.0] + [0.0] * 9
    statistic = auc(_labelled(np.arange(10) / 10, labels)).statistic
    found = _interval(statistic, np.array([0] + [1] * 9), 200)
    assert found.value == 0.0
    assert np.isnan(found.low)  # half of the resamples of two patients lack one of them


def test_all_statistics_see_the_same_patients_whoever_is_beside_them():
    one, other = _mean(np.random.default_rng(0).normal(size=50)), _mean(np.arange(50.0))
    alone = replicates({"one": one}, np.arange(50), 50, 9)["one"]
    both = replicates({"other": other, "one": one}, np.arange(50), 50, 9)
    assert alone.shape == (51, 1)
    np.testing.assert_array_equal(alone, both["one"])
    assert not np.array_equal(alone, replicates({"one": one}, np.arange(50), 50, 10)["one"])


def test_resamples_do_not_depend_on_how_many_are_computed_at_once(monkeypatch):
    statistics = {"it": _mean(np.arange(40.0))}
    together = replicates(statistics, np.arange(40) // 3, 30, 4)["it"]
    monkeypatch.setattr("fxcore.evaluation.bootstrap._AT_ONCE", 100)  # two at a time
    np.testing.assert_allclose(replicates(statistics, np.arange(40) // 3, 30, 4)["it"], together, rtol=1e-13)


def test_every_resample_draws_as_many_patients_as_there_are():
    patients = np.array(["a", "a", "b", "c", "c", "c"])
    counts = replicates({"weights": lambda weights: weights}, patients, 200, 0)["weights"]
    assert counts[0].tolist() == [1] * 6
    assert (counts[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (counts[:, [0, 3, 3]] == counts[:, [1, 4, 5]]).all()
    assert counts[1:, 2].mean() == pytest.approx(1.0, abs=0.2)


def test_the_mean_is_of_the_classes_that_have_a_number():
    values = np.array([[0.2, 0.4, np.nan], [np.nan, np.nan, np.nan], [0.5, np.nan, np.nan]])
    np.testing.assert_allclose(class_mean(values), [0.3, np.nan, 0.5])
    assert observed(lambda _: values[:1], 7) == pytest.approx(0.3)


def _delong(scores, labels):
    """Variance of the difference of two correlated AUCs (DeLong et al. 1988, equations 5 and 6), by all pairs."""
    positive, negative = labels == 1, labels == 0
    parts = []
    for one in scores:
        order = np.sign(one[positive][:, None] - one[negative][None, :]) / 2 + 0.5
        parts.append((order.mean(axis=1), order.mean(axis=0)))
    of_positives, of_negatives = (np.cov([part[side] for part in parts]) for side in (0, 1))
    covariance = of_positives / positive.sum() + of_negatives / negative.sum()
    return covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]


def test_the_interval_of_a_difference_of_aucs_is_delongs():
    random = np.random.default_rng(11)
    labels = (random.random(1500) < 0.3).astype(float)
    common = labels + random.normal(size=1500)  # what both models see
    scores = [common + random.normal(size=1500), common + 0.5 * random.normal(size=1500)]
    first, second = (
        replicates({"auc": auc(_labelled(one, labels)).statistic}, np.arange(1500), 2000, 0)["auc"] for one in scores
    )
    found = interval(class_mean(second - first), 0.95)
    error = np.sqrt(_delong(scores, labels))
    assert (second - first)[1:].std() == pytest.approx(error, rel=0.06)
    assert (found.low, found.high) == pytest.approx(
        (found.value - 1.96 * error, found.value + 1.96 * error), abs=0.2 * error
    )


@pytest.mark.parametrize("images", [1, 3])
def test_intervals_of_an_auc_cover_the_truth_as_often_as_they_say(images):
    # binormal scores: those of positives are 1 higher on average, with what a patient's images share; AUC = Φ(1 / √2)
    random = np.random.default_rng(images)
    truth, covered, patients = norm.cdf(1 / np.sqrt(2)), 0, 150
    for seed in range(300):
        labels = np.repeat(np.arange(patients) % 3 == 0, images)
        shared = np.repeat(random.normal(size=patients), images)
        own = random.normal(size=patients * images)
        noise = own if images == 1 else np.sqrt(0.7) * shared + np.sqrt(0.3) * own
        statistic = auc(_labelled(labels + noise, labels)).statistic
        found = _interval(statistic, np.repeat(np.arange(patients), images), 300, seed=seed)
        covered += found.low <= truth <= found.high
    assert 0.91 <= covered / 300 <= 0.98
