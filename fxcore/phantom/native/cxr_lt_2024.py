"""CXR-LT 2024 as PhysioNet packs it, beside the pictures of MIMIC-CXR that it labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fxcore.data.adapters.cxr_lt_2024 import ALL, FINDINGS, PARTS, UNSEEN
from fxcore.data.adapters.mimic_cxr import name
from fxcore.data.counts import Counts
from fxcore.data.records import Code
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.case import Case
from fxcore.phantom.labels import known
from fxcore.phantom.native.mimic_cxr import NAMES, Ids, ids, picture, view

ABOUT = ("dicom_id", "subject_id", "study_id", "ViewPosition", "ViewCodeSequence_CodeMeaning", "fpath")
SPLITS = {Split.TRAIN: "train", Split.VAL: "val", Split.TEST: "test"}
GOLD = (
    *("Atelectasis", "Calcification of the Aorta", "Cardiomegaly", "Consolidation", "Edema", "Emphysema"),
    *(
        "Enlarged Cardiomediastinum",
        "Fibrosis",
        "Fracture",
        "Hernia",
        "Infiltration",
        "Lung Lesion",
        "Lung Opacity",
        "Mass",
    ),
    *("Normal", "Nodule", "Pleural Effusion", "Pleural Other", "Pleural Thickening", "Pneumomediastinum", "Pneumonia"),
    *("Pneumoperitoneum", "Pneumothorax", "Subcutaneous Emphysema", "Support Devices", "Tortuous Aorta"),
)
"""Classes of task 2 in its order: Normal before Nodule."""
FOLDER = "cxr-lt-2024"


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Labels of task 2 contradict the others: nobody mixes them."""
    counts = Counts()
    everything = sorted((*FINDINGS, *UNSEEN))
    tables = {ALL: [",".join((*ABOUT, *everything, "split"))], "test_labeled_task2.csv": [",".join((*ABOUT, *GOLD))]}
    tables |= {table: [",".join((*ABOUT, *FINDINGS))] for table in PARTS.values()}
    for case in cases:
        of = ids(case.number)
        picture(case, of, folder)
        codes: dict[str, Code] = {one: 1 if known(one) and case.has(one) else 0 for one in everything}
        about = _about(of, case.number)
        tables[ALL].append(",".join((*about, *_texts(codes, everything), SPLITS[case.split])))
        tables[PARTS[case.split]].append(",".join((*about, *_texts(codes, FINDINGS))))
        if case.split is Split.TEST:
            denied: dict[str, Code] = {one: 0 if codes[one] else 1 for one in GOLD}
            tables["test_labeled_task2.csv"].append(",".join((*about, *_texts(denied, GOLD))))
        hidden = UNSEEN if case.split is Split.TRAIN else ()
        labels = {one: None if one in hidden else codes[one] for one in dataset.classes(Task.CLASSIFICATION)}
        counts.add(case.split, of.subject, labels)
    (folder / FOLDER).mkdir()
    for table, rows in tables.items():
        (folder / FOLDER / table).write_text("\n".join((*rows, "")), encoding="utf-8")
    return counts


def _texts(codes: dict[str, Code], classes: Sequence[str]) -> list[str]:
    return [str(codes[one]) for one in classes]


def _about(of: Ids, number: int) -> tuple[str, ...]:
    stated = view(number)
    return of.image, of.subject, f"s{of.study}", stated, NAMES[stated], name(*of)
