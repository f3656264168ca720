"""Which detections hit, as COCO decides it. The one place that knows the library that does it.

hotcoco matches tens of times faster than pycocotools, which is the oracle of the tests.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import hotcoco
import numpy as np
from numpy.typing import NDArray

_EVERY_AREA = [0.0, 1e10]


class Boxes(NamedTuple):
    """Boxes of several images: position of the image (n,), class index (n,), left-top-width-height (n, 4), scores (n,).

    Boxes are in any unit; those of the truth have no scores.
    """

    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    xywh: NDArray[np.float64]
    scores: NDArray[np.float64]

    def only(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Boxes:
        """Some of them, in the order of `which`."""
        return Boxes(self.images[which], self.labels[which], self.xywh[which], self.scores[which])


def first(found: Boxes, count: int) -> Boxes:
    """The `count` highest scores of each image over all its classes, by image and falling score; of equals the former."""
    order = np.lexsort((-found.scores, found.images))
    images = found.images[order]
    rank = np.arange(len(order)) - np.searchsorted(images, images)
    return found.only(order[rank < count])


def hits(truth: Boxes, found: Boxes, classes: int, ious: Sequence[float]) -> NDArray[np.bool_]:
    """Whether each detection is matched with a box of its class at each overlap: (ious, detections).

    In each image and class detections choose by falling score (of equals in their order), each the box it overlaps most among
    those that no other has, if by at least the IoU. `found` as `first` leaves it.
    """
    hit = np.zeros((len(ious), len(found.labels)), dtype=np.bool_)
    # Where an image has no box of its class a detection cannot hit, and stands in nobody's way.
    able = np.flatnonzero(np.isin(found.images * classes + found.labels, truth.images * classes + truth.labels))
    if len(able):
        some = found.only(able)
        gathered = _evaluated(truth, some, classes, ious)
        with _uncollected():
            entries = [one for one in gathered.eval_imgs if one is not None]
            identifiers = np.concatenate([np.array(one["dtIds"], dtype=np.int64) for one in entries])
            matched = [np.array(one["dtMatched"], dtype=np.bool_).reshape(len(ious), -1) for one in entries]
            del entries
        hit[:, able[identifiers - 1]] = np.concatenate(matched, axis=1)
    return hit


def _evaluated(truth: Boxes, found: Boxes, classes: int, ious: Sequence[float]) -> hotcoco.COCOeval:
    images = [{"id": image} for image in np.unique(truth.images).tolist()]
    categories = [{"id": label, "name": str(label)} for label in range(classes)]
    known = hotcoco.COCO.from_arrays(images, categories, truth.images, truth.labels, truth.xywh)
    columns = (found.images, *found.xywh.T, found.scores, found.labels)
    evaluation = hotcoco.COCOeval(known, known.load_res(np.stack(columns, axis=1)), "bbox")
    evaluation.params.iou_thrs = list(ious)
    evaluation.params.area_rng, evaluation.params.area_rng_lbl = [_EVERY_AREA], ["all"]
    evaluation.params.max_dets = [int(np.bincount(found.images).max())]
    evaluation.evaluate()
    return evaluation


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: it would walk over millions of new lists, none of them garbage, for most of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
