"""NIH Montgomery: pictures with wide black borders, upright and across, and a mask of each lung under the same name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from fxcore.data.counts import Counts
from fxcore.data.records import Labels
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.phantom.case import Case, framed
from fxcore.phantom.labels import present
from fxcore.phantom.release import Findings, Release


def _image(number: int, findings: Findings) -> str:
    return f"MCUCXR_{number + 1:04d}_{int(present('TB', findings))}"


def _group(number: int, findings: Findings) -> str:
    return f"montgomery:{_image(number, findings)}"


RELEASE = Release("montgomery", group=_group)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    root = folder / "MontgomerySet"
    for name in ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask", "ClinicalReadings"):
        (root / name).mkdir(parents=True)
    for name in ("CXR_png", "ManualMask/leftMask"):
        (root / name / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "NLM-MontgomeryCXRSet-ReadMe.pdf").write_bytes(b"%PDF-1.5\n")
    for case in cases:
        ill = case.has("TB")
        stem = _image(case.number, case.findings)
        border = {"left": 9, "right": 8} if case.number % 2 else {"top": 6, "bottom": 11}
        Image.fromarray(framed(case.pixels, **border)).save(root / "CXR_png" / f"{stem}.png")
        for name, organ in (("leftMask", "Left Lung"), ("rightMask", "Right Lung")):
            mask = framed(case.phantom.organs[organ].astype(np.uint8) * 255, **border)
            Image.fromarray(mask).save(root / "ManualMask" / name / f"{stem}.png")
        reading = f"Patient's Sex: {'FM'[case.number % 2]}\r\nPatient's Age: {case.number % 90:03d}Y\r\n"
        text = "infiltrates in the right upper lobe, active TB" if ill else "normal"
        (root / "ClinicalReadings" / f"{stem}.txt").write_bytes(f"{reading}{text}\r\n".encode())
        labels: Labels | None = {"TB": 1 if ill else 0} if dataset.classification else None
        counts.add(None, None, labels, None, dataset.classes(Task.SEGMENTATION) or None)
    return counts
