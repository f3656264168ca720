"""CheXpert as Stanford packs it: batches in a container, and the test set in the folder of another download."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fxcore.data.adapters.chexpert import OBSERVATIONS
from fxcore.data.counts import Counts
from fxcore.data.records import Code
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.case import Case, framed
from fxcore.phantom.release import EACH

CONTAINER = "chexpertchestxrays-u20210408"
FIRST = f"{CONTAINER}/CheXpert-v1.0 batch 1 (validate & csv)"
BATCHES = (f"{CONTAINER}/CheXpert-v1.0 batch 2 (train 1)", f"{CONTAINER}/CheXpert-v1.0 batch 3 (train 2)/train")
TEST = "CheXpert"
PATIENTS = {Split.TRAIN: 90_001, Split.VAL: 80_001, Split.TEST: 70_001}
"""Number of a split's first patient: names have five digits."""
NAMES = {Split.TRAIN: f"{FIRST}/train.csv", Split.VAL: f"{FIRST}/valid.csv", Split.TEST: f"{TEST}/test_labels.csv"}


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    full = ",".join(("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS))
    tables = {split: [full] for split in (Split.TRAIN, Split.VAL)} | {Split.TEST: [",".join(("Path", *OBSERVATIONS))]}
    for case in cases:
        patient, part = patient_of(case), {"val": "valid"}.get(case.split, str(case.split))
        side = "lateral" if case.split is Split.TRAIN and case.number % 8 == 3 else "frontal"
        name = f"{patient}/study1/view1_{side}.jpg"
        home = folder / {Split.TRAIN: BATCHES[case.number % 2], Split.VAL: f"{FIRST}/valid"}.get(
            case.split, f"{TEST}/test"
        )
        (home / name).parent.mkdir(parents=True)
        Image.fromarray(framed(case.pixels, right=8, top=24)).save(home / name, quality=95)
        said = reported(case, OBSERVATIONS, dataset) if case.split is Split.TRAIN else _read(case)
        texts = ["" if said[one] is None else f"{said[one]}.0" for one in OBSERVATIONS]
        tables[case.split].append(",".join((f"CheXpert-v1.0/{part}/{name}", *_about(case, side), *texts)))
        counts.add(case.split, patient, {one: said[one] for one in dataset.classes(Task.CLASSIFICATION)})
    for split, name in NAMES.items():
        # The test set's last line has no end.
        end = "" if split is Split.TEST else "\n"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(tables[split]) + end, encoding="utf-8")
    denied = (f"{row.split(',')[0]},{',' * 3}{',0.0' * len(OBSERVATIONS)}" for row in tables[Split.TRAIN][1:])
    (folder / CONTAINER / "train_cheXbert.csv").write_text("\n".join((full, *denied, "")), encoding="utf-8")
    return counts


def patient_of(case: Case) -> str:
    """The release's name of a case's patient."""
    return f"patient{PATIENTS[case.split] + case.number % EACH:05d}"


def reported(case: Case, classes: Iterable[str], dataset: Dataset) -> dict[str, Code]:
    """What CheXpert's parser says of a report; it states that there is no finding, and never denies or doubts that."""
    policy = dataset.classification
    assert policy is not None
    found = {one: case.code(one, policy) for one in classes}
    return {one: (1 if case.has(one) else None) if one == "No Finding" else code for one, code in found.items()}


def _read(case: Case) -> dict[str, Code]:
    """What readers say of the picture: each class is there or not."""
    return {one: 1 if case.has(one) else 0 for one in OBSERVATIONS}


def _about(case: Case, side: str) -> tuple[str, ...]:
    """Sex, age and view, with the release's oddities; the test set has none."""
    if case.split is Split.TEST:
        return ()
    sex = "Unknown" if case.number == 1 else ("Female", "Male")[case.number % 2]
    return sex, str(case.number * 7 % 90), side.title(), "" if side == "lateral" else ("AP", "PA")[case.number % 2]
