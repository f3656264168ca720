"""PadChest as BIMCV packs it: one wide table with lists in its cells, and 16-bit PNGs in numbered folders."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from fxcore.data.adapters.padchest import TABLE
from fxcore.data.counts import Counts
from fxcore.data.records import Code
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.phantom.case import Case, framed
from fxcore.phantom.native.formats import deep_png
from fxcore.phantom.release import Findings, Release

HEADER = (
    *("", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM"),
    *("ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric", "Modality_DICOM", "Manufacturer_DICOM"),
    *("PhotometricInterpretation_DICOM", "PixelRepresentation_DICOM", "PixelAspectRatio_DICOM"),
    *("SpatialResolution_DICOM", "BitsStored_DICOM", "WindowCenter_DICOM", "WindowWidth_DICOM", "Rows_DICOM"),
    *("Columns_DICOM", "XRayTubeCurrent_DICOM", "Exposure_DICOM", "ExposureInuAs_DICOM", "ExposureTime"),
    *("RelativeXRayExposure_DICOM", "ReportID", "Report", "MethodLabel", "Labels", "Localizations"),
    *("LabelsLocalizationsBySentence", "labelCUIS", "LocalizationsCUIS"),
)
FOLDERS = ("0", "54")
VIEWS = ("PA", "L", "PA", "AP_horizontal", "PA", "AP", "PA", "COSTAL")
USELESS = 900_000
"""Number of the first picture without usable labels."""
OTHER = "chronic changes"
"""What a report says of a picture whose findings are none of the dataset's classes."""


def _image(number: int) -> str:
    return f"{9 * 10**37 + number}_ph{number:04d}.png"


def _patient(number: int) -> str:
    return str(7 * 10**36 + number)


def _group(number: int, _: Findings) -> str:
    return f"padchest:{_patient(number)}"


RELEASE = Release("padchest", group=_group)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Some pictures beside them have no usable labels."""
    counts = Counts()
    classes = dataset.classes(Task.CLASSIFICATION)
    rows: list[dict[str, object]] = []
    for case in cases:
        image, home = _image(case.number), FOLDERS[case.number % 2]
        shown = framed(case.pixels, left=case.number % 6, top=10)
        # Dynamic ranges differ from picture to picture.
        deep_png(folder / home / image, shown, case.number % 200 * 10, 4095 - case.number % 200)
        said = [one for one in classes if case.has(one)] or [OTHER]
        view = VIEWS[case.number % len(VIEWS)]
        rows.append(_row(case.number, image, home, view, repr(_strayed(said, case.number))))
        codes: dict[str, Code] = {one: 1 if one in said else 0 for one in classes}
        counts.add(None, _patient(case.number), codes)
    rows += _useless(folder, classes)
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, HEADER, restval="None", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return counts


def _useless(folder: Path, classes: Sequence[str]) -> list[dict[str, object]]:
    """Rows that are not to be read: excluded by the release, whose picture is cut short, without a list, and saying nothing."""
    lists = (repr(["exclude", *classes]), "nan", "['unchanged', '']")
    names = [_image(USELESS + at) for at in range(len(lists))]
    (folder / FOLDERS[0]).mkdir(exist_ok=True)
    (folder / FOLDERS[0] / names[0]).write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    return [
        _row(USELESS + at, name, FOLDERS[0], "PA", text)
        for at, (name, text) in enumerate(zip(names, lists, strict=True))
    ]


def _row(number: int, image: str, home: str, view: str, labels: str) -> dict[str, object]:
    # Reports have commas, and lines of their own.
    report = " sin hallazg , patolog .\n sin cambi ." if number % 3 == 0 else " sin hallazg ."
    about = {"StudyDate_DICOM": 21000101, "StudyID": image[:38], "PhotometricInterpretation_DICOM": "MONOCHROME2"}
    row = {"": number, "ImageID": image, "ImageDir": home, "PatientID": _patient(number), "Projection": view}
    return about | row | {"Report": report, "MethodLabel": ("Physician", "RNN_model")[number % 2], "Labels": labels}


def _strayed(said: Sequence[str], number: int) -> list[str]:
    """A list as the release writes it: blanks before some labels, capitals, and empty ones."""
    if number % 3 == 0:
        return list(said)
    return [f" {one}" if number % 3 == 1 else one.title() for one in said] + ["", "unchanged"][: number % 3]
