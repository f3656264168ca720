"""CANDID-PTX as its readers describe it: DICOM without extension, reports with line breaks, run lengths a region, other tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.phantom.case import Case
from fxcore.phantom.native import formats
from fxcore.phantom.native.siim_acr import LABEL, cut, relative
from fxcore.phantom.release import Findings, Release

PARTS = 2
"""Rows of every fourth image's shapes."""


def _patient(number: int) -> str:
    """Every fifth is of the patient of the one before."""
    return f"P{number - (number % 5 == 4):04d}"


def _group(number: int, _: Findings) -> str:
    return f"candid_ptx:{_patient(number)}"


RELEASE = Release("candid_ptx", group=_group)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    reports = [["SOPInstanceUID", "StudyInstanceUID", "EncodedPixels", "filename", "Report"]]
    tubes = [["anon_SOPUID", "annotation_id", "mask_rle"]]
    for place, case in enumerate(cases):
        study = f"1.2.999.{case.number + 1}"
        patient = _patient(case.number)
        regions = [part for shape in case.shapes(LABEL) for part in cut(shape, PARTS if case.number % 4 == 1 else 1)]
        rows = [relative(region) for region in regions] or ["-1"]
        report = 'Pneumothorax, "small".\n\nTube in situ.' if regions else "No pneumothorax."
        reports += [[f"{study}.1", study, text, f"{patient}_20200101_{case.number}", report] for text in rows]
        tubes.append([f"{study}.1", f"a{case.number}", rows[0]])
        _picture(folder, f"{study}.1", case)
        marked = [LABEL] * len(regions)
        counts.add(
            None,
            patient,
            {LABEL: 1 if marked else 0} if dataset.classification else None,
            marked if dataset.localization else None,
            marked if dataset.segmentation else None,
        )
        if place == 0:  # one image of the release is under two patients, and the table of tubes names strangers
            _picture(folder, "1.2.999.0.1", case)
            reports += [["1.2.999.0.1", "1.2.999.0", "-1", f"P{name}_20200101_0", report] for name in (9001, 9002)]
            tubes.append(["1.2.999.0.7", "a9999", "-1"])
    _table(folder / "Pneumothorax_reports.csv", reports, "utf-8-sig")
    _table(folder / "chest_tube.csv", tubes, "utf-8")
    _table(folder / "acute_rib_fracture.csv", tubes[:1], "utf-8")
    return counts


def _picture(folder: Path, image: str, case: Case) -> None:
    formats.dicom(folder / "dataset" / image, case.pixels, image, PatientID=f"anon{case.number}")


def _table(path: Path, lines: Sequence[Sequence[str]], encoding: str) -> None:
    with path.open("w", encoding=encoding, newline="") as sink:
        csv.writer(sink, lineterminator="\n").writerows(lines)
