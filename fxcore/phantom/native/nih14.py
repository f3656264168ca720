"""NIH ChestX-ray14 as Kaggle packs it: folders of PNGs, a table whose header splits wrongly, two lists, and some boxes.

With Ark's lists beside it, whose test images are the official ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from fxcore.data.adapters.nih14 import BOXED, FINDINGS, LISTS, NOTHING
from fxcore.data.counts import Counts
from fxcore.data.records import Code
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.case import Case, extent
from fxcore.phantom.native import ark
from fxcore.phantom.release import Findings, Release

TABLE = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height],"
    "OriginalImagePixelSpacing[x,y]\n"
)
BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
FOLDERS = 2


def _patient(number: int) -> int:
    return 90001 + number


def _image(number: int, _: Findings) -> str:
    return f"{_patient(number):08d}_000.png"


def _group(number: int, _: Findings) -> str:
    return f"nih:{_patient(number):08d}"


RELEASE = Release("nih14", image=_image, group=_group)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. Every other test image has boxes."""
    counts = Counts()
    table, boxes = [TABLE], [BOXES]
    lists: dict[Split, list[str]] = {split: [] for split in LISTS}
    known: dict[str, Split] = {}
    for number in range(1, FOLDERS + 1):
        (folder / f"images_{number:03d}" / "images").mkdir(parents=True)
    for case in cases:
        patient, name = _patient(case.number), _image(case.number, case.findings)
        picture = Image.fromarray(case.pixels)
        # Some of the release are RGBA.
        shown = picture.convert("RGBA") if case.number % 5 == 1 else picture
        shown.save(folder / f"images_{case.number % FOLDERS + 1:03d}" / "images" / name)
        said = [one for one in FINDINGS if case.has(one)]
        projection = "AP" if case.number % 3 == 0 else "PA"
        about = f"0,{patient},{40 + case.number % 50},{'MF'[case.number % 2]},{projection},2682,2749,0.143,0.143"
        table.append(f"{name},{'|'.join(said) or NOTHING},{about}\n")
        split = Split.TEST if case.split is Split.TEST else Split.TRAIN
        lists[split].append(f"{name}\n")
        known[f"{name} {' '.join(str(int(one in said)) for one in FINDINGS)}"] = case.split
        marked = _boxes(case, name, dataset, boxes) if split is Split.TEST and case.number % 2 else []
        labels: dict[str, Code] = {one: 1 if one in said else 0 for one in dataset.classes(Task.CLASSIFICATION)}
        if labels or marked:
            counts.add(split, f"{patient:08d}", labels or None, marked or None)
    (folder / "Data_Entry_2017_v2020.csv").write_text("".join(table), encoding="utf-8")
    (folder / "BBox_List_2017.csv").write_text("".join(boxes), encoding="utf-8")
    for split, name in LISTS.items():
        (folder / name).write_text("".join(lists[split]), encoding="utf-8")
    _published(known, folder)
    return counts


def _published(lines: Mapping[str, Split], folder: Path) -> None:
    """Training and validation dealt out anew: a patient has one image here, so that none is in both."""
    tests = [line for line, split in lines.items() if split is Split.TEST]
    numbers = ark.images(split for split in lines.values() if split is not Split.TEST)
    free = [line for line, split in lines.items() if split is not Split.TEST]
    ark.write("nih14", ark.dealt(free, numbers) | {Split.TEST: tests}, folder)


def _boxes(case: Case, name: str, dataset: Dataset, rows: list[str]) -> list[str]:
    """Add the rows of an image's boxes; the class of each that the dataset has a head for."""
    classes = dataset.classes(Task.LOCALIZATION)
    marked: list[str] = []
    for label in BOXED:
        for shape in case.shapes(label):
            numbers = ",".join(f"{side:.1f}" for side in extent(shape))
            spelt = "Infiltrate" if label == "Infiltration" else label
            padding = ",,," if len(rows) % 2 else ""
            rows.append(f"{name},{spelt},{numbers}{padding}\n")
            marked += [label] * (label in classes)
    return marked
