"""BRAX as PhysioNet packs it: one table, and each picture as PNG and as DICOM."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fxcore.data.adapters.brax import OBSERVATIONS, TABLES
from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.phantom.case import Case, framed
from fxcore.phantom.native.chexpert import reported
from fxcore.phantom.native.formats import deep_png, dicom
from fxcore.phantom.release import Findings, Release

HEADER = (
    *("DicomPath", "PngPath", "PatientID", "PatientSex", "PatientAge", "AccessionNumber", "StudyDate"),
    *(*OBSERVATIONS, "ViewPosition", "Rows", "Columns", "Manufacturer"),
)
VIEWS = ("PA", "AP", "PA", "L", "AP", "", "PA", "RLO")


def _patient(number: int) -> str:
    return f"id_{90000 + number:05d}"


def _group(number: int, _: Findings) -> str:
    return f"brax:{_patient(number)}"


RELEASE = Release("brax", group=_group)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    rows = [",".join(HEADER)]
    for case in cases:
        patient = _patient(case.number)
        place = f"{patient}/Study_{case.number}/Series_1/image-{case.number}"
        high, wide = _pictures(case, place, folder)
        said = reported(case, OBSERVATIONS, dataset)
        texts = ["" if said[one] is None else f"{said[one]}.0" for one in OBSERVATIONS]
        age = "85 or more" if case.number % 6 == 1 else str(case.number % 17 * 5)
        paths = f"Anonymized_DICOMs/{place}.dcm", f"images/{place}.png"
        about = patient, "FM"[case.number % 2], age, f"A{case.number}", "21000101"
        shown = VIEWS[case.number % len(VIEWS)], str(high), str(wide), str(case.number % 4)
        rows.append(",".join((*paths, *about, *texts, *shown)))
        counts.add(None, patient, {one: said[one] for one in dataset.classes(Task.CLASSIFICATION)})
    (folder / TABLES[0]).write_text("\n".join((*rows, "")), encoding="utf-8")
    return counts


def _pictures(case: Case, place: str, folder: Path) -> tuple[int, int]:
    """Write both, some PNGs of 16 bits and some DICOMs as negatives; rows and columns."""
    shown = framed(case.pixels, right=12, bottom=4)
    high, wide = shown.shape
    path = folder / "images" / f"{place}.png"
    path.parent.mkdir(parents=True)
    if case.number % 4 == 2:
        deep_png(path, shown, 0, 65535)
    else:
        Image.fromarray(shown).save(path)
    dicom(
        folder / "Anonymized_DICOMs" / f"{place}.dcm",
        shown,
        f"1.2.826.0.1.3680043.8.498.{90000 + case.number}",
        bits=12,
        inverted=case.number % 3 == 1,
        WindowCenter="2048",
        WindowWidth="4096",
    )
    return high, wide
