"""What a dataset counts: the numbers that `fxcore check` prints, and that a phantom's writer expects of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fxcore.data.records import Code
from fxcore.passes import Split

_NAMES: dict[Code, str] = {1: "present", 0: "absent", -1: "uncertain", None: "blank"}


class Counts:
    """Counts images one by one; `split` is the release's own, None where it has none."""

    def __init__(self) -> None:
        self.images: Counter[str] = Counter()
        self.patients: set[str] = set()
        self.annotated: Counter[str] = Counter()
        self.labels: dict[str, Counter[str]] = {}
        self.boxes: Counter[str] = Counter()
        self.masks: Counter[str] = Counter()

    def add(
        self,
        split: Split | None,
        patient: str | None,
        labels: Mapping[str, Code] | None = None,
        boxes: Iterable[str] | None = None,
        masks: Iterable[str] | None = None,
    ) -> None:
        """Count an image: its codes by class, the class of each box, and the classes that have a mask; None is unknown."""
        self.images["none" if split is None else str(split)] += 1
        self.patients |= set() if patient is None else {patient}
        known = {"classification": labels, "localization": boxes, "segmentation": masks}
        self.annotated.update(task for task, one in known.items() if one is not None)
        for name, code in (labels or {}).items():
            self.labels.setdefault(name, Counter())[_NAMES[code]] += 1
        self.boxes.update(boxes or ())
        self.masks.update(set(masks or ()))

    def facts(self) -> dict[str, Any]:
        """As JSON: images by split, patients (null where the release names none), annotated images by task; labels by class and
        code; boxes by class; images with a mask by class.
        """
        return {
            "images": dict(sorted(self.images.items())),
            "patients": len(self.patients) or None,
            "annotated": dict(sorted(self.annotated.items())),
            "labels": {name: dict(sorted(codes.items())) for name, codes in self.labels.items()},
            "boxes": dict(sorted(self.boxes.items())),
            "masks": dict(sorted(self.masks.items())),
        }
