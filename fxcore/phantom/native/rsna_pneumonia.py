"""RSNA Pneumonia as Kaggle and RSNA give it: JPEG in DICOM, two tables with a row for each box, the mapping to NIH."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Task
from fxcore.phantom.case import Case, extent
from fxcore.phantom.native import formats

_NAMES = {
    "Normal": "Normal",
    "No Lung Opacity/Not Normal": "No Lung Opacity / Not Normal",
    "Lung Opacity": "Lung Opacity",
}
"""Class names of the registry, and as the file spells them."""
_UNLABELLED = 2
"""Pictures in the test folder."""


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Every fifth is of the patient of the one before."""
    counts = Counts()
    classes, boxes, mapping = [["patientId", "class"]], [["patientId", "x", "y", "width", "height", "Target"]], []
    for case in cases:
        image, patient = _identifier(case.number), f"{99_000_000 + case.number - (case.number % 5 == 4)}"
        _picture(folder / "stage_2_train_images", image, case)
        name = next(name for name in _NAMES if case.has(name))
        drawn = [extent(shape) for shape in case.shapes("Lung Opacity")]
        classes += [[image, _NAMES[name]]] * max(len(drawn), 1)
        boxes += [[image, *(f"{side}.0" for side in box), "1"] for box in drawn] or [[image, "", "", "", "", "0"]]
        mapping.append(_mapped(image, f"{patient}_{case.number % 5:03d}.png", case.number))
        of_class, of_box = dataset.classes(Task.CLASSIFICATION), dataset.classes(Task.LOCALIZATION)
        counts.add(
            None,
            patient,
            {label: 1 if label == name else 0 for label in of_class} if of_class else None,
            ["Lung Opacity"] * len(drawn) if of_box else None,
        )
        if case.number < _UNLABELLED:
            _picture(folder / "stage_2_test_images", _identifier(case.number + 5_000_000), case)
    _table(folder / "stage_2_detailed_class_info.csv", classes)
    _table(folder / "stage_2_train_labels.csv", boxes)
    tests = [_identifier(number + 5_000_000) for number in range(_UNLABELLED)]
    _table(
        folder / "stage_2_sample_submission.csv",
        [["patientId", "PredictionString"], *([one, "0.5 0 0 100 100"] for one in tests)],
    )
    (folder / "GCP Credits Request Link - RSNA.txt").write_text("synthetic\n", encoding="utf-8")
    (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(mapping), encoding="utf-8")
    return counts


def _identifier(number: int) -> str:
    return f"99999999-aaaa-4bbb-8ccc-{number:012d}"


def _picture(folder: Path, image: str, case: Case) -> None:
    formats.dicom(
        folder / f"{image}.dcm",
        case.pixels,
        f"1.2.999.9.{case.number + 1}",
        "jpeg",
        PatientID=image,
        PatientAge="155Y",
        ViewPosition=("PA", "AP")[case.number % 2],
        ConversionType="WSD",
    )


def _mapped(image: str, original: str, number: int) -> dict[str, object]:
    uids = {
        f"{kind}InstanceUID": f"1.2.999.{level}.{number}" for level, kind in enumerate(("Study", "Series", "SOP"), 7)
    }
    return {"subset_img_id": image, "img_id": original, "orig_labels": [], **uids}


def _table(path: Path, lines: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink, lineterminator="\n").writerows(lines)
