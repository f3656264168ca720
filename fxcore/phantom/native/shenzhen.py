"""NIH Shenzhen: grey pictures stored as RGB, readings in free text, and what Windows left there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.phantom.case import Case, framed

_PATIENTS = ("male 45yrs", "Female  , 7 month", "male  31 yrs ", "female 62yr")
"""First lines of readings, spelled as freely as there."""


def write(cases: Iterable[Case], _: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    root = folder / "ChinaSet_AllFiles"
    (root / "CXR_png").mkdir(parents=True)
    (root / "ClinicalReadings").mkdir()
    (root / "CXR_png" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "NLM-ChinaCXRSet-ReadMe.docx").write_bytes(b"PK\x03\x04")
    for case in cases:
        ill = case.has("TB")
        stem = f"CHNCXR_{case.number + 1:04d}_{int(ill)}"
        picture = framed(case.pixels, left=case.number % 5, bottom=3 + case.number % 7)
        Image.fromarray(picture).convert("RGB").save(root / "CXR_png" / f"{stem}.png")
        reading = f"{_PATIENTS[case.number % len(_PATIENTS)]}\r\n{'right upper  PTB' if ill else 'normal'}\r\n"
        (root / "ClinicalReadings" / f"{stem}.txt").write_bytes(reading.encode())
        counts.add(None, None, {"TB": 1 if ill else 0})
    return counts
