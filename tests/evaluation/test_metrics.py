"""Metrics against independent oracles: scikit-learn, pycocotools, and hand counts."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import roc_auc_score

from fxcore.evaluation.bootstrap import ClassMean, estimate
from fxcore.evaluation.classification import Auc, mean_auc
from fxcore.evaluation.localization import Boxes, mean_average_precision
from fxcore.evaluation.segmentation import dice, mean_dice

SEED = st.integers(0, 2**32 - 1)


@given(SEED, st.integers(2, 60), st.integers(1, 12))
def test_auc_is_scikit_learns_also_with_ties_and_weights(seed, images, levels):
    random = np.random.default_rng(seed)
    scores, labels = random.integers(0, levels, images) / levels, random.integers(0, 2, images)
    weights = random.integers(0, 4, images).astype(float)
    found = Auc(scores, labels, np.ones(images, dtype=bool))(weights)
    counted = weights > 0
    if len(set(labels[counted])) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))


def test_images_without_a_known_label_never_count():
    scores, labels = np.array([0.1, 0.9, 0.5, 0.99]), np.array([0.0, 1.0, 0.0, 0.0])
    assert Auc(scores, labels, np.array([True, True, True, False]))(np.ones(4)) == 1.0
    assert Auc(scores, labels, np.ones(4, dtype=bool))(np.ones(4)) == pytest.approx(2 / 3)


def test_classes_without_positives_are_left_out_of_the_mean():
    scores = np.array([[0.2, 0.3], [0.8, 0.1]])
    statistic = mean_auc(scores, np.array([[0.0, 0.0], [1.0, 0.0]]), np.ones((2, 2), dtype=bool))
    assert statistic(np.ones(2)) == 1.0
    assert np.isnan(statistic.classes[1](np.ones(2)))


def _boxes(random, images, classes, most, scored):
    made = []
    for _ in range(images):
        n = int(random.integers(0, most + 1))
        xywh = np.concatenate([random.uniform(0, 60, (n, 2)), random.uniform(5, 60, (n, 2))], axis=1)
        made.append(
            Boxes(random.integers(0, classes, n), xywh, np.round(random.uniform(0, 1, n), 1) if scored else None)
        )
    return made


def _coco(truth, found, classes, iou, detections):
    """The published metric by pycocotools alone, through its own accumulation."""

    def dataset(sets, scored):
        annotations = [
            {
                "image_id": i,
                "category_id": int(label),
                "bbox": box.tolist(),
                "area": float(box[2] * box[3]),
                "iscrowd": 0,
            }
            | ({"score": float(one.scores[k])} if scored else {})
            for i, one in enumerate(sets)
            for k, (label, box) in enumerate(zip(one.labels, one.xywh, strict=True))
        ]
        made = COCO()
        made.dataset = {
            "images": [{"id": i} for i in range(len(sets))],
            "categories": [{"id": label} for label in range(classes)],
            "annotations": [one | {"id": i} for i, one in enumerate(annotations, start=1)],
        }
        made.createIndex()
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(dataset(truth, False), dataset(found, True), "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array([iou]), [detections]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, 0]
    return precision.mean(0)[precision[0] > -1].mean() if (precision > -1).any() else np.nan


@settings(max_examples=40, deadline=None)
@given(SEED, st.integers(1, 8), st.integers(1, 3), st.sampled_from([0.4, 0.5]))
def test_average_precision_is_pycocotools(seed, images, classes, iou):
    random = np.random.default_rng(seed)
    truth, found = _boxes(random, images, classes, 3, False), _boxes(random, images, classes, 8, True)
    ours = mean_average_precision(truth, found, classes, iou, 100)(np.ones(images))
    np.testing.assert_allclose(ours, _coco(truth, found, classes, iou, 100), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(SEED, st.integers(2, 6))
def test_weights_are_repeated_images(seed, images):
    random = np.random.default_rng(seed)
    truth, found = _boxes(random, images, 2, 3, False), _boxes(random, images, 2, 6, True)
    # distinct scores: among equal ones the order of repeated images is not defined
    found = [one._replace(scores=random.uniform(0, 1, len(one.labels))) for one in found]
    times = random.integers(0, 3, images)
    repeated = np.repeat(np.arange(images), times)
    if not len(repeated):
        return
    ours = mean_average_precision(truth, found, 2, 0.4, 100)(times.astype(float))
    expected = _coco([truth[i] for i in repeated], [found[i] for i in repeated], 2, 0.4, 100)
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_the_overlap_that_counts_is_0_40():
    def ap(width):
        truth = [Boxes(np.array([0]), np.array([[0.0, 0, 10, 10]]))]
        found = [Boxes(np.array([0]), np.array([[0.0, 0, width, 10]]), np.array([0.9]))]
        return mean_average_precision(truth, found, 1, 0.4, 100)(np.ones(1))

    assert ap(4.1) == 1.0
    assert ap(3.9) == 0.0


def test_only_the_highest_scores_of_an_image_count():
    truth = [Boxes(np.array([0]), np.array([[0.0, 0, 10, 10]]))]
    xywh = np.array([[50.0, 50, 5, 5], [0.0, 0, 10, 10]])
    found = [Boxes(np.array([1, 0]), xywh, np.array([0.9, 0.8]))]
    assert mean_average_precision(truth, found, 2, 0.4, 2)(np.ones(1)) == 1.0
    assert mean_average_precision(truth, found, 2, 0.4, 1)(np.ones(1)) == 0.0


def test_dice_by_hand():
    truth, found = np.zeros((3, 4, 4), dtype=bool), np.zeros((3, 4, 4), dtype=bool)
    truth[0, :2], found[0, 1:3] = True, True  # 8 and 8 pixels, 4 in common
    found[2, 0, 0] = True
    assert dice(found, truth).tolist() == [0.5, 1.0, 0.0]


def test_mean_dice_with_and_without_empty_masks():
    scores, present = np.array([[0.5, 1.0], [0.7, 1.0]]), np.array([[True, False], [True, False]])
    assert mean_dice(scores, np.ones_like(present))(np.ones(2)) == pytest.approx((0.6 + 1.0) / 2)
    assert mean_dice(scores, present)(np.ones(2)) == pytest.approx(0.6)
    assert np.isnan(mean_dice(scores, np.zeros_like(present))(np.ones(2)))


def test_the_interval_of_a_mean_is_the_one_of_theory():
    random = np.random.default_rng(5)
    values = random.normal(3.0, 2.0, 400)
    found = estimate(lambda weights: float(np.average(values, weights=weights)), np.arange(400), 2000, 0.95, 1)
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
        found = estimate(
            lambda weights: float(np.average(values, weights=weights)) if weights.any() else np.nan, of, 1000, 0.95, 3
        )
        return found.high - found.low

    assert width(patients) == pytest.approx(np.sqrt(10) * width(np.arange(120)), rel=0.25)


@pytest.mark.parametrize("images", [0, 1])
def test_no_interval_from_less_than_two_patients(images):
    found = estimate(lambda weights: float(weights.sum()) or np.nan, np.arange(images), 100, 0.95, 0)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_no_interval_where_most_resamples_are_undefined():
    labels = np.array([1.0] + [0.0] * 9)
    statistic = ClassMean([Auc(np.arange(10) / 10, labels, np.ones(10, dtype=bool))] * 2)
    found = estimate(statistic, np.array([0] + [1] * 9), 200, 0.95, 0)
    assert found.value == 0.0
    assert np.isnan(found.low)  # half of the resamples of two patients lack one of them


def test_equal_seeds_draw_equal_patients():
    values = np.random.default_rng(0).normal(size=50)
    one, two = (
        estimate(lambda weights: float(np.average(values, weights=weights)), np.arange(50), 50, 0.9, 9)
        for _ in range(2)
    )
    assert one == two
