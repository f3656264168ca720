"""Metrics of masks by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score

from fxcore.evaluation.bootstrap import observed
from fxcore.evaluation.segmentation import Pair, Segmented, metrics


def _values(pairs, weights=None):
    """Value of each metric and class."""
    found = metrics(Segmented(lambda: iter(pairs)))
    weights = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=float)
    return {name: metric.statistic(weights[None])[0].tolist() for name, metric in found.items()}


@pytest.fixture
def pair():
    """Three classes of a 4 × 4 image: overlapping in part, both empty, and one found that is not there."""
    truth, found = np.zeros((3, 4, 4), dtype=bool), np.zeros((3, 4, 4), dtype=bool)
    truth[0, :2], found[0, 1:3] = True, True  # 8 and 8 pixels, 4 in common
    found[2, 0, 0] = True
    return Pair(found, truth, (1.0, 1.0))


def test_an_image_by_hand(pair):
    nan = pytest.approx(np.nan, nan_ok=True)
    assert _values([pair]) == {
        "dice": [0.5, 1.0, 0.0],
        "dice_positive": [0.5, nan, nan],
        "iou": [pytest.approx(4 / 12), 1.0, 0.0],
        "iou_positive": [pytest.approx(4 / 12), nan, nan],
        "dice_pooled": [0.5, nan, 0.0],
        "iou_pooled": [pytest.approx(4 / 12), nan, 0.0],
        # rows 0, 1 and rows 1, 2 of four: outlines are all their pixels, at distances 1 (rows 0 and 2) and 0
        "hd95": [1.0, nan, nan],
    }


def test_a_class_without_a_number_says_why(pair):
    found = metrics(Segmented(lambda: iter([pair])))
    assert found["dice_positive"].reasons == ["no positives"] * 3
    assert found["dice_pooled"].reasons == ["no positives, and none predicted"] * 3
    assert found["hd95"].reasons == ["no image with both a mask and a predicted one"] * 3


def test_images_by_hand(pair):
    other = Pair(pair.truth, pair.truth, (2.0, 3.0))  # class 0 as it is, class 2 rightly empty
    values = _values([pair, other])
    assert values["dice"] == [0.75, 1.0, 0.5]
    assert values["dice_positive"][0] == 0.75
    assert values["dice_pooled"][0] == pytest.approx((8 + 16) / (16 + 16))
    assert values["iou_pooled"][0] == pytest.approx((4 + 8) / (12 + 8))
    assert values["hd95"][0] == 0.5
    # an image that is drawn three times
    assert _values([pair, other], [3, 1])["dice"] == [0.625, 1.0, 0.25]
    assert observed(metrics(Segmented(lambda: iter([pair, other])))["dice"].statistic, 2) == pytest.approx(2.25 / 3)


def test_pooled_and_single_overlaps_are_scikit_learns():
    random = np.random.default_rng(0)
    pairs = [Pair(random.random((1, 9, 7)) < 0.5, random.random((1, 9, 7)) < 0.4, (1.0, 1.0)) for _ in range(5)]
    values = _values(pairs)
    truth, found = (np.concatenate([one[side].ravel() for one in pairs]) for side in (1, 0))
    assert values["dice_pooled"] == [pytest.approx(f1_score(truth, found))]
    assert values["iou_pooled"] == [pytest.approx(jaccard_score(truth, found))]
    single = [jaccard_score(one.truth.ravel(), one.found.ravel()) for one in pairs]
    assert values["iou"] == [pytest.approx(np.mean(single))]


def test_distances_are_in_native_pixels():
    found, truth = np.zeros((1, 8, 8), dtype=bool), np.zeros((1, 8, 8), dtype=bool)
    found[0, 2, 2], truth[0, 5, 2] = True, True
    assert _values([Pair(found, truth, (7.5, 100.0))])["hd95"] == [22.5]
