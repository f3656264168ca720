"""What is checked of a dataset once all its pictures are decoded; numbers are those of the list in docs/explanation/checks.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from fxcore.data.decode import Decoded
from fxcore.data.intake import Intake
from fxcore.data.records import Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Task

DARK = 0.02
"""Share of frontal pictures that may have corners brighter than the chest: more, and pictures are likely inverted."""
SIDES = 0.95
"""Share of images whose right structure must lie left of its left one in the picture."""
SAME = 0.95
"""Overlap (IoU) from which two boxes of a class are likely one, drawn twice."""
_NORMAL = ("No Finding", "No finding", "Normal", "normal")


class Check(NamedTuple):
    """What a check found; `detail` is a sentence, or empty."""

    number: int
    name: str
    status: Literal["ok", "warning"]
    detail: str


def run(taken: Intake, decoded: Sequence[Decoded], dataset: Dataset) -> list[dict[str, Any]]:
    """Check the records of a store against each other and their pictures.

    Raises:
        InputError: what a store must not have: structures of the wrong side.
    """
    found = [
        _duplicates(taken, decoded),
        _decoded(decoded, len(taken.excluded)),
        _inverted(taken.records, decoded),
        _contradictions(taken.records, dataset),
        _boxes(taken.records),
        _masks(taken.records, decoded),
        _sides(taken.records, decoded, dataset),
        _groups(taken.records),
    ]
    return [one._asdict() for one in found]


def _check(number: int, name: str, warning: str | None) -> Check:
    return Check(number, name, "warning" if warning else "ok", warning or "")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _duplicates(taken: Intake, decoded: Sequence[Decoded]) -> Check:
    same: dict[str, list[Record]] = defaultdict(list)
    for record, one in zip(taken.records, decoded, strict=True):
        if record.image not in taken.excluded:
            same[one.digest].append(record)
    twice = [of for of in same.values() if len(of) > 1]
    pairs = [" = ".join(one.image for one in of) for of in twice]
    return _check(5, "each picture once", f"equal pictures: {_some(pairs)}" if pairs else None)


def _decoded(decoded: Sequence[Decoded], left_out: int) -> Check:
    wrong = sum(one.wrong is not None for one in decoded)
    said = f"{wrong} pictures cannot be used; {left_out} images are left out in all" if wrong else None
    return _check(6, "every picture decodes", said)


def _inverted(records: Sequence[Record], decoded: Sequence[Decoded]) -> Check:
    frontal = [
        (record.image, one)
        for record, one in zip(records, decoded, strict=True)
        if record.view in (None, "PA", "AP") and one.wrong is None
    ]
    bright = [name for name, one in frontal if one.corners >= one.band]
    too_many = len(bright) > DARK * len(frontal)
    said = f"corners are brighter than the chest in {len(bright)} of {len(frontal)}: {_some(bright)}"
    return _check(8, "air is dark", said if too_many else None)


def _contradictions(records: Sequence[Record], dataset: Dataset) -> Check:
    normal = next((name for name in dataset.classes(Task.CLASSIFICATION) if name in _NORMAL), None)
    others = [name for name in dataset.classes(Task.CLASSIFICATION) if name not in (normal, "Support Devices")]
    both = [
        record.image
        for record in records
        if normal and record.labels and record.labels[normal] == 1 and any(record.labels[name] == 1 for name in others)
    ]
    said = f"{normal} together with a finding in {len(both)}: {_some(both)}" if both else None
    return _check(9, "no contradictions", said)


def _boxes(records: Sequence[Record]) -> Check:
    doubled = [record.image for record in records if _doubled(record)]
    return _check(10, "each box once", f"boxes drawn twice in {len(doubled)}: {_some(doubled)}" if doubled else None)


def _doubled(record: Record) -> bool:
    if not record.boxes or len(record.boxes) < 2:
        return False
    boxes, labels = (np.array([getattr(box, name) for box in record.boxes]) for name in ("xywh", "label"))
    overlaps = coco_mask.iou(boxes, boxes, [0] * len(boxes))
    return bool(np.triu((overlaps > SAME) & (labels[:, None] == labels), k=1).any())


def _masks(records: Sequence[Record], decoded: Sequence[Decoded]) -> Check:
    empty = [
        record.image
        for record, one in zip(records, decoded, strict=True)
        if record.masks and any(_area(counts, one) == 0 for counts in one.masks)
    ]
    return _check(11, "masks have area", f"masks of no pixel in {len(empty)}: {_some(empty)}" if empty else None)


def _area(counts: str, one: Decoded) -> int:
    return int(coco_mask.area({"size": [one.height, one.width], "counts": counts}))


def _sides(records: Sequence[Record], decoded: Sequence[Decoded], dataset: Dataset) -> Check:
    """The patient's right is on the left of the picture; a reader that mirrors pictures or swaps names is found here."""
    wrong: list[str] = []
    seen = 0
    for record, one in zip(records, decoded, strict=True):
        centres = _centres(record, one)
        for right, left in _pairs(dataset):
            if right in centres and left in centres:
                seen += 1
                wrong += [record.image] * (centres[right] >= centres[left])
    if len(wrong) > (1 - SIDES) * seen:
        raise InputError(
            f"{len(wrong)} of {seen} right structures lie to the right of their left one, as in {wrong[0]}; pictures, boxes or"
            " names are mirrored: download the release again, or report this as a mistake of the adapter"
        )
    return _check(12, "right is on the left", f"swapped in {_some(wrong)}" if wrong else None)


def _pairs(dataset: Dataset) -> list[tuple[str, str]]:
    names = {name for task in (Task.LOCALIZATION, Task.SEGMENTATION) for name in dataset.classes(task)}
    swapped = {name: name.replace("Right", "Left") if "Right" in name else name.replace("R", "L", 1) for name in names}
    return [(name, other) for name, other in sorted(swapped.items()) if other != name and other in names]


def _centres(record: Record, one: Decoded) -> Mapping[str, float]:
    """Mean x of each class's boxes, or of its masks' boxes."""
    found: dict[str, list[float]] = defaultdict(list)
    for box in record.boxes or ():
        found[box.label].append(box.xywh[0] + box.xywh[2] / 2)
    for mask, counts in zip(record.masks or (), one.masks if record.masks else (), strict=True):
        if _area(counts, one) == 0:
            continue
        left, _, across, _ = coco_mask.toBbox({"size": [one.height, one.width], "counts": counts})
        found[mask.label].append(left + across / 2)
    return {name: float(np.mean(xs)) for name, xs in found.items()}


def _groups(records: Sequence[Record]) -> Check:
    homes: dict[str, set[str]] = defaultdict(set)
    for record in (one for one in records if one.split is not None):
        homes[record.group].add(str(record.split))
    torn = sorted(group for group, splits in homes.items() if len(splits) > 1)
    said = f"the release has {len(torn)} groups in several splits: {_some(torn)}" if torn else None
    if said is None and all(record.patient is None for record in records):
        said = "no patients are named: images of one patient may be in several splits"
    return _check(13, "splits share no group", said)
