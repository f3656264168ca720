"""NIH Shenzhen: grey pictures stored as RGB, readings in free text, what Windows left there, and Ark's lists beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Split
from fxcore.phantom.case import Case, framed
from fxcore.phantom.labels import present
from fxcore.phantom.native import ark
from fxcore.phantom.release import Findings, Release

_PATIENTS = ("male 45yrs", "Female  , 7 month", "male  31 yrs ", "female 62yr")
"""First lines of readings, spelled as freely as there."""


def _image(number: int, findings: Findings) -> str:
    return f"CHNCXR_{number + 1:04d}_{int(present('TB', findings))}"


def _group(number: int, findings: Findings) -> str:
    return f"shenzhen:{_image(number, findings)}"


RELEASE = Release("shenzhen", group=_group)


def write(cases: Iterable[Case], _: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    root = folder / "ChinaSet_AllFiles"
    (root / "CXR_png").mkdir(parents=True)
    (root / "ClinicalReadings").mkdir()
    (root / "CXR_png" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "NLM-ChinaCXRSet-ReadMe.docx").write_bytes(b"PK\x03\x04")
    lines: dict[str, Split] = {}
    for case in cases:
        ill = case.has("TB")
        stem = _image(case.number, case.findings)
        picture = framed(case.pixels, left=case.number % 5, bottom=3 + case.number % 7)
        Image.fromarray(picture).convert("RGB").save(root / "CXR_png" / f"{stem}.png")
        reading = f"{_PATIENTS[case.number % len(_PATIENTS)]}\r\n{'right upper  PTB' if ill else 'normal'}\r\n"
        (root / "ClinicalReadings" / f"{stem}.txt").write_bytes(reading.encode())
        counts.add(None, None, {"TB": 1 if ill else 0})
        lines[f"{stem}.png,{int(ill)}"] = case.split
    ark.write("shenzhen", ark.dealt(lines, ark.images(lines.values())), folder)
    return counts
