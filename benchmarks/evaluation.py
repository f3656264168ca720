"""What intervals cost: 1,000 resamples of AUC and of mAP, against scikit-learn and pycocotools that start anew for each.

Usage: python benchmarks/evaluation.py
Five minutes on one idle core. Scores and boxes are random, of the size of a large test set.
"""

from __future__ import annotations

import contextlib
import io
import resource
import sys
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import roc_auc_score
from table import heading, row, timed

from fxcore.evaluation.bootstrap import observed, replicates
from fxcore.evaluation.classification import Labelled, auc
from fxcore.evaluation.localization import COCO_IOUS, Detected, average_precision
from fxcore.evaluation.matching import Boxes

IMAGES, CLASSES, RESAMPLES, FEW = 25_000, 14, 1_000, 2
"""Of the classification test set; and how many resamples scikit-learn is timed for."""
SHOWN, FOUND, DRAWN = 3_000, 100, 5
"""Images with boxes, detections in each, and boxes of the truth in each, on average."""
ROUNDS = 3
"""Ways take turns; the best round of each counts."""


def labelled() -> Labelled:
    """Scores that are a little better than chance, one in ten images positive."""
    random = np.random.default_rng(0)
    labels = random.random((IMAGES, CLASSES)) < 0.1
    return Labelled(random.normal(labels, 1.0), labels.astype(float), np.ones(labels.shape, dtype=bool))


def patients(images: int) -> np.ndarray:
    """Two images of each."""
    return np.arange(images) // 2


def detected() -> Detected:
    """Detections around the truth: four of five of its class, some of them hits."""
    random = np.random.default_rng(0)
    count = random.integers(0, 2 * DRAWN + 1, SHOWN)
    where = np.repeat(np.arange(SHOWN), count)
    truth = np.concatenate([random.uniform(0, 800, (len(where), 2)), random.uniform(20, 300, (len(where), 2))], axis=1)
    labels = random.integers(0, CLASSES, len(where))
    images = np.repeat(np.arange(SHOWN), FOUND)
    near = (np.cumsum(count) - count)[images] + random.integers(0, np.maximum(count, 1)[images])
    near = np.minimum(near, len(where) - 1)
    boxes = truth[near] + random.normal(0, 15, (len(images), 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 5)
    same = random.random(len(images)) < 0.8
    found = np.where(same, labels[near], random.integers(0, CLASSES, len(images)))
    scores = np.round(random.random(len(images)), 3)
    return Detected(
        Boxes(where, labels, truth, np.ones(len(where))), Boxes(images, found, boxes, scores), SHOWN, CLASSES, FOUND
    )


def scikit_learn(data: Labelled) -> None:
    """The mean AUC of a few resamples."""
    random = np.random.default_rng(1)
    for _ in range(FEW):
        weights = np.bincount(random.integers(IMAGES, size=IMAGES), minlength=IMAGES)
        for scores, labels in zip(data.scores.T, data.labels.T, strict=True):
            roc_auc_score(labels, scores, sample_weight=weights)


def pycocotools(data: Detected, ious: Sequence[float], areas: int) -> float:
    """AP, all sizes of box, by pycocotools alone; `areas` of its four ranges of sizes are evaluated."""

    def coco(boxes: Boxes) -> COCO:
        rows = zip(*(column.tolist() for column in boxes), strict=True)
        made = COCO()
        made.dataset = {
            "images": [{"id": image} for image in range(SHOWN)],
            "categories": [{"id": label} for label in range(CLASSES)],
            "annotations": [
                {"id": n, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0, "score": s}
                for n, (i, c, b, s) in enumerate(rows, start=1)
            ],
        }
        made.createIndex()
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco(data.truth), coco(data.found), "bbox")
        how = evaluation.params
        how.iouThrs, how.maxDets = np.array(ious), [FOUND]
        how.areaRng, how.areaRngLbl = how.areaRng[:areas], how.areaRngLbl[:areas]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    return float(precision[precision > -1].mean())


def line(what: str, against: str, ours: float, theirs: float, aim: str = "") -> None:
    """Write a row of the table."""
    sys.stdout.write(row(what, against, f"{ours:.3g} s", f"{theirs:.3g} s", f"{theirs / ours:.1f}", aim))


def classification() -> None:
    """Resamples of AUC."""
    data = labelled()
    statistic = {"auc": auc(data).statistic}
    ways = (lambda: replicates(statistic, patients(IMAGES), RESAMPLES, 0), lambda: scikit_learn(data))
    ours, theirs = timed(ROUNDS, *ways)
    what = f"AUC, {RESAMPLES:,} resamples of {IMAGES:,} images, {CLASSES} classes"
    line(what, f"scikit-learn, {FEW} resamples, times {RESAMPLES // FEW}", ours, theirs * RESAMPLES / FEW, "< 20 s")


def localization() -> None:
    """AP, alone and with resamples."""
    data = detected()
    size = f"{SHOWN:,} images, {SHOWN * FOUND:,} detections"
    for name, ious, areas in (("mAP40", (0.4,), 1), ("COCO's AP", COCO_IOUS, 1), ("COCO's AP", COCO_IOUS, 4)):
        found: dict[str, float] = {}

        def ours(ious: Sequence[float] = ious, found: dict[str, float] = found) -> None:
            fresh = Detected(data.truth, data.found, SHOWN, CLASSES, FOUND)
            found["ours"] = observed(average_precision(fresh, ious).statistic, SHOWN)

        def theirs(ious: Sequence[float] = ious, areas: int = areas, found: dict[str, float] = found) -> None:
            found["theirs"] = pycocotools(data, ious, areas)

        took = timed(ROUNDS, ours, theirs)
        apart = abs(found["ours"] - found["theirs"])
        against = f"pycocotools, {areas} of its 4 ranges of sizes; they differ by {apart:.0e}"
        line(f"{name}, {size}", against, *took, ">= 3")
        if areas == 1:
            statistic = {"ap": average_precision(data, ious).statistic}
            (again,) = timed(ROUNDS, lambda statistic=statistic: replicates(statistic, patients(SHOWN), RESAMPLES, 0))
            line(
                f"{name}, {RESAMPLES:,} resamples of them",
                f"pycocotools, once, times {RESAMPLES:,}",
                again,
                took[1] * RESAMPLES,
            )


def main() -> None:
    """Write a row for each comparison, and the memory of the process after AUC."""
    sys.stdout.write(heading("what", "against", "ours", "theirs", "theirs / ours", "aim"))
    classification()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    localization()
    sys.stdout.write(f"\npeak memory of the process with AUC, libraries and scikit-learn included: {peak:.2f} GiB\n")


if __name__ == "__main__":
    main()
