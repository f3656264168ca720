"""RSNA Pneumonia as Kaggle and RSNA give it: JPEG in DICOM, two tables with a row for each box, the mapping to NIH.

Two of three images are of a patient with several. Some are NIH pictures; of the others' patients NIH has no picture here. Ark's lists
beside it split images, not patients.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.case import Case, extent
from fxcore.phantom.native import ark, formats, nih14
from fxcore.phantom.release import Findings, Plant, Release, member

_NAMES = {
    "Normal": "Normal",
    "No Lung Opacity/Not Normal": "No Lung Opacity / Not Normal",
    "Lung Opacity": "Lung Opacity",
}
"""Class names of the registry, and as the file spells them."""
_UNLABELLED = 2
"""Pictures in the test folder."""
_PATIENTS = (1, 2, 1, 4, 1)
"""Images of each of five patients in a row."""


def _image(number: int, _: Findings) -> str:
    return f"99999999-aaaa-4bbb-8ccc-{number:012d}"


def _patient(number: int) -> str:
    return f"{99_000_000 + member(number, _PATIENTS).first:08d}"


def _group(number: int, _: Findings) -> str:
    return f"nih:{_patient(number)}"


RELEASE = Release(
    "rsna_pneumonia",
    image=_image,
    group=_group,
    patients=_PATIENTS,
    plants=(
        # The mapping tells their patients, and a hash of these the split.
        Plant(Split.TRAIN, 4, nih14.RELEASE, Split.TRAIN, (0.7, 1.0)),
        Plant(Split.TRAIN, 4, nih14.RELEASE, Split.TEST, (0.7, 1.0)),
        Plant(Split.TEST, 4, nih14.RELEASE, Split.TEST, (0.0, 0.3)),
        Plant(Split.TEST, 3, nih14.RELEASE, Split.TRAIN, (0.25, 0.45)),
    ),
    lane=0,
    tells=True,
)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    classes, boxes, mapping = [["patientId", "class"]], [["patientId", "x", "y", "width", "height", "Target"]], []
    lines: dict[str, Split] = {}
    for place, case in enumerate(cases):
        image, original = _image(case.number, ()), _original(case)
        _picture(folder / "stage_2_train_images", image, case)
        name = next(name for name in _NAMES if case.has(name))
        drawn = [extent(shape) for shape in case.shapes("Lung Opacity")]
        classes += [[image, _NAMES[name]]] * max(len(drawn), 1)
        boxes += [[image, *(f"{side}.0" for side in box), "1"] for box in drawn] or [[image, "", "", "", "", "0"]]
        mapping.append(_mapped(image, original, case.number))
        lines[f"{image}.png {list(_NAMES).index(name)}"] = case.split
        of_class, of_box = dataset.classes(Task.CLASSIFICATION), dataset.classes(Task.LOCALIZATION)
        counts.add(
            None,
            original[:8],
            {label: 1 if label == name else 0 for label in of_class} if of_class else None,
            ["Lung Opacity"] * len(drawn) if of_box else None,
        )
        if place < _UNLABELLED:
            _picture(folder / "stage_2_test_images", _image(place + 5_000_000, ()), case)
    _table(folder / "stage_2_detailed_class_info.csv", classes)
    _table(folder / "stage_2_train_labels.csv", boxes)
    tests = [_image(number + 5_000_000, ()) for number in range(_UNLABELLED)]
    _table(
        folder / "stage_2_sample_submission.csv",
        [["patientId", "PredictionString"], *([one, "0.5 0 0 100 100"] for one in tests)],
    )
    (folder / "GCP Credits Request Link - RSNA.txt").write_text("synthetic\n", encoding="utf-8")
    (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(mapping), encoding="utf-8")
    ark.write("rsna_pneumonia", ark.dealt(lines, ark.images(lines.values())), folder)
    return counts


def _original(case: Case) -> str:
    """The NIH image that a case is; of most, one that the phantom of NIH has not."""
    if case.source:
        return case.source.image
    return f"{_patient(case.number)}_{member(case.number, _PATIENTS).after:03d}.png"


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
