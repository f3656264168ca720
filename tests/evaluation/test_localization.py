"""Metrics of boxes against pycocotools, random cases with ties, crowds of overlaps and empty images, and hand counts."""

import contextlib
import gc
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fxcore.evaluation.bootstrap import observed
from fxcore.evaluation.localization import COCO_IOUS, Detected, metrics
from fxcore.evaluation.matching import Boxes, first, hits

SEED = st.integers(0, 2**32 - 1)
EMPTY = Boxes(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))


def _boxes(*rows):
    """From (image, class, left, top, width, height, score)."""
    table = np.array(rows, dtype=float).reshape(-1, 7)
    return Boxes(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:6], table[:, 6])


def _random(random, images, classes, most, grid):
    """Some boxes an image. On a grid many overlap equally and some by exactly the IoU that is asked for."""
    count = random.integers(0, most + 1, images)
    n = count.sum()
    xywh = np.concatenate([random.uniform(0, 30, (n, 2)), random.uniform(5, 40, (n, 2))], axis=1)
    if grid:
        xywh = np.concatenate([random.integers(0, 4, (n, 2)), random.integers(1, 6, (n, 2))], axis=1).astype(float)
    where, scores = np.repeat(np.arange(images), count), np.round(random.uniform(0, 1, n), 1)
    return Boxes(where, random.integers(0, classes, n), xywh, scores)


def _coco(boxes, images, classes):
    made = COCO()
    columns = (one.tolist() for one in boxes)
    made.dataset = {
        "images": [{"id": image} for image in range(images)],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "score": score,
            }
            for number, (image, label, box, score) in enumerate(zip(*columns, strict=True), start=1)
        ],
    }
    made.createIndex()
    return made


def _pycocotools(truth, found, images, classes, ious, detections):
    """AP and AR, NaN without truth, by pycocotools alone, through its own accumulation."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(truth, images, classes), _coco(found, images, classes), "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array(ious), [detections]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    found = (evaluation.eval[name] for name in ("precision", "recall"))
    return [one[one > -1].mean() if (one > -1).any() else np.nan for one in found]


def _values(truth, found, images, classes, iou=0.4, detections=100, weights=None):
    """The class means of `map40`, `map` and `ar`."""
    metrics_ = metrics(Detected(truth, found, images, classes, detections), "map40", iou)
    assert list(metrics_) == ["map40", "map", "ar"]
    if weights is None:
        return {name: observed(one.statistic, images) for name, one in metrics_.items()}
    return {name: np.nanmean(one.statistic(weights[None])) for name, one in metrics_.items()}


@settings(max_examples=150, deadline=None)
@given(SEED, st.integers(1, 8), st.integers(1, 3), st.sampled_from([0.25, 0.4, 0.5]), st.booleans())
def test_precision_and_recall_are_pycocotools_but_for_rounding(seed, images, classes, iou, grid):
    random = np.random.default_rng(seed)
    truth, found = _random(random, images, classes, 4, grid), _random(random, images, classes, 12, grid)
    ours = _values(truth, found, images, classes, iou)
    single, _ = _pycocotools(truth, found, images, classes, [iou], 100)
    every, recall = _pycocotools(truth, found, images, classes, COCO_IOUS, 100)
    np.testing.assert_allclose([ours["map40"], ours["map"], ours["ar"]], [single, every, recall], rtol=1e-14)


@settings(max_examples=100, deadline=None)
@given(SEED, st.integers(1, 6), st.integers(1, 3), st.booleans())
def test_every_detection_hits_where_pycocotools_says_so(seed, images, classes, grid):
    random = np.random.default_rng(seed)
    truth, found = _random(random, images, classes, 4, grid), _random(random, images, classes, 12, grid)
    found, ious = first(found, 100), [0.4, *COCO_IOUS]
    expected = np.zeros((len(ious), len(found.labels)), dtype=bool)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(truth, images, classes), _coco(found, images, classes), "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array(ious), [100]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    for one in filter(None, evaluation.evalImgs):
        expected[:, np.array(one["dtIds"], dtype=int) - 1] = one["dtMatches"] > 0
    np.testing.assert_array_equal(hits(truth, found, classes, ious), expected)


@settings(max_examples=40, deadline=None)
@given(SEED, st.integers(2, 6))
def test_weights_are_repeated_images(seed, images):
    random = np.random.default_rng(seed)
    truth, found = _random(random, images, 2, 3, False), _random(random, images, 2, 6, False)
    # distinct scores: among equal ones the order of repeated images is not defined
    found = found._replace(scores=random.permutation(len(found.scores)) / 100)
    times = random.integers(0, 3, images)
    repeated = np.repeat(np.arange(images), times)

    def copies(boxes):
        parts = [boxes.only(boxes.images == image)._replace(images=None) for image in repeated]
        where = [np.full(len(part.labels), place) for place, part in enumerate(parts)]
        if not parts:
            return EMPTY
        return Boxes(np.concatenate(where), *(np.concatenate(column) for column in list(zip(*parts, strict=True))[1:]))

    copied = copies(truth), copies(found)
    if not len(copied[0].labels):
        return
    ours = _values(truth, found, images, 2, weights=times.astype(float))
    every, recall = _pycocotools(*copied, len(repeated), 2, COCO_IOUS, 100)
    np.testing.assert_allclose([ours["map"], ours["ar"]], [every, recall], atol=1e-12)


def test_nothing_found_and_nothing_there():
    truth = _boxes((0, 0, 0, 0, 10, 10, 1))
    assert _values(truth, EMPTY, 2, 2) == {"map40": 0.0, "map": 0.0, "ar": 0.0}
    assert np.isnan(list(_values(EMPTY, truth, 2, 2).values())).all()
    assert np.isnan(list(_values(EMPTY, EMPTY, 2, 2).values())).all()


def test_the_overlap_that_counts_is_0_40():
    def ap(width):
        return _values(_boxes((0, 0, 0, 0, 10, 10, 1)), _boxes((0, 0, 0, 0, width, 10, 0.9)), 1, 1)

    assert ap(4.1) == pytest.approx({"map40": 1.0, "map": 0.0, "ar": 0.0})
    assert ap(4.0)["map40"] == pytest.approx(1.0)
    assert ap(3.9)["map40"] == 0.0
    assert ap(7.2) == pytest.approx({"map40": 1.0, "map": 0.5, "ar": 0.5})  # 0.50 to 0.70 of ten overlaps


def test_only_the_highest_scores_of_an_image_count_over_all_its_classes():
    truth = _boxes((0, 0, 0, 0, 10, 10, 1))
    found = _boxes((0, 0, 0, 0, 10, 10, 0.5), (0, 1, 0, 0, 10, 10, 0.9), (1, 1, 0, 0, 10, 10, 0.8))
    assert _values(truth, found, 2, 2, detections=2) == pytest.approx({"map40": 1.0, "map": 1.0, "ar": 1.0})
    assert _values(truth, found, 2, 2, detections=1) == {"map40": 0.0, "map": 0.0, "ar": 0.0}


def test_of_equal_scores_the_former_counts():
    found = _boxes((1, 0, 1, 0, 1, 1, 0.5), (0, 0, 2, 0, 1, 1, 0.5), (0, 0, 3, 0, 1, 1, 0.5), (0, 0, 4, 0, 1, 1, 0.7))
    assert first(found, 2).xywh[:, 0].tolist() == [4, 2, 1]


def test_a_class_with_boxes_that_are_no_numbers_has_none_and_says_why():
    truth = _boxes((0, 0, 0, 0, 10, 10, 1), (0, 1, 0, 0, 10, 10, 1))
    good = [(0, 0, 0, 0, 10, 10, 0.9), (0, 1, 0, 0, 10, 10, 0.8)]
    bad = [(1, 1, np.nan, 0, 10, 10, 0.9), (1, 1, 0, 0, 10, 10, np.nan), (2, 1, 0, 0, 1, np.inf, 0.1)]
    found = metrics(Detected(truth, _boxes(*bad, *good), 4, 3, 1), "map40", 0.4)
    for metric in found.values():
        np.testing.assert_allclose(metric.statistic(np.ones((1, 4))), [[1.0, np.nan, np.nan]])
        assert metric.reasons[1:] == ["NaN boxes in 2 of 4 images", "no positives"]


@pytest.mark.parametrize("enabled", [True, False])
def test_matching_leaves_garbage_collection_as_it_was(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        hits(_boxes((0, 0, 0, 0, 10, 10, 1)), _boxes((0, 0, 0, 0, 10, 10, 0.9)), 1, [0.5])
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
