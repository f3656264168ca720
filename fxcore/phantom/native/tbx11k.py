"""TBX11K: square RGB pictures in a folder a label, lists of them, and boxes as COCO and as VOC files.

With them, as there: an image with tuberculosis that has no box, test images without labels, and copies of other releases.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from fxcore.data.counts import Counts
from fxcore.data.records import Labels
from fxcore.params.datasets import Dataset
from fxcore.passes import Split
from fxcore.phantom.case import SIDE, Case, extent
from fxcore.phantom.labels import present
from fxcore.phantom.release import Findings, Release

PARTS = {"train": Split.TRAIN, "val": Split.TEST}
CATEGORIES = ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis", "PulmonaryTuberculosis")
ANY = "Tuberculosis"
WITHOUT_BOX = 3
"""Of the training images with tuberculosis, the one that nobody boxed."""


def _image(number: int, findings: Findings) -> str:
    """The folder says whether it is tuberculosis, another illness or none, and so does the name."""
    kind, letter = ("tb", "tb") if present("TB", findings) else ("sick", "s") if findings else ("health", "h")
    return f"{kind}/{letter}{number + 1:04d}"


def _group(number: int, findings: Findings) -> str:
    return f"tbx11k:{_image(number, findings).rpartition('/')[2]}"


RELEASE = Release("tbx11k", group=_group)


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count."""
    counts = Counts()
    root = folder / "TBX11K"
    for name in ("imgs/health", "imgs/sick", "imgs/tb", "imgs/test", "imgs/extra/da+db/train", "annotations/xml"):
        (root / name).mkdir(parents=True)
    coco = {part: _empty() for part in PARTS}
    ill = 0
    for place, case in enumerate(cases):
        part = "val" if case.split is Split.TEST else "train"
        name = f"{_image(case.number, case.findings)}.png"
        kind = name.partition("/")[0]
        ill += kind == "tb" and part == "train"
        shapes = [] if kind == "tb" and part == "train" and ill == WITHOUT_BOX else case.shapes(ANY)
        _picture(case, root / "imgs" / name)
        drawn = _annotate(coco[part], case, name, [extent(shape) for shape in shapes])
        if kind == "tb" and shapes:
            (root / "annotations" / "xml" / f"tb{case.number + 1:04d}.xml").write_text(_voc(name, drawn))
        labels: Labels | None = {"TB": 1 if kind == "tb" else 0} if dataset.classification else None
        boxes = _labels(drawn, dataset) if kind != "tb" or shapes else None
        counts.add(PARTS[part], None, labels, boxes if dataset.localization else None)
        if place == 0:
            _picture(case, root / "imgs" / "test" / "test_0001.png")
            _picture(case, root / "imgs" / "extra" / "da+db" / "train" / "px1.jpg")
    _lists(root, coco)
    return counts


def _empty() -> dict[str, list[Any]]:
    categories = [{"id": number, "name": name, "supercategory": ANY} for number, name in enumerate(CATEGORIES, start=1)]
    return {"images": [], "annotations": [], "categories": categories}


def _picture(case: Case, path: Path) -> None:
    Image.fromarray(case.pixels).convert("RGB").save(path)


def _annotate(
    content: dict[str, list[Any]], case: Case, name: str, boxes: list[tuple[int, int, int, int]]
) -> list[dict[str, Any]]:
    """The annotations of an image, which are added: the last box of an image is of an old tuberculosis."""
    size = {"width": SIDE, "height": SIDE}
    more = {"date_captured": "", "license": 1, "coco_url": "", "flickr_url": ""}
    content["images"].append({"id": case.number + 1, "file_name": name, **size, **more})
    first = len(content["annotations"]) + 1
    content["annotations"] += [
        {
            "id": first + at,
            "image_id": case.number + 1,
            "category_id": 2 if at and at + 1 == len(boxes) else 1,
            "iscrowd": 0,
            "area": float(box[2] * box[3]),
            "bbox": list(map(float, box)),
            **size,
        }
        for at, box in enumerate(boxes)
    ]
    return content["annotations"][first - 1 :]


def _labels(drawn: list[dict[str, Any]], dataset: Dataset) -> Iterable[str]:
    """The class of each box in a head's terms."""
    known = dataset.localization.classes if dataset.localization else ()
    names = [ANY if ANY in known else CATEGORIES[one["category_id"] - 1] for one in drawn]
    return [name for name in names if name in known]


def _voc(name: str, drawn: list[dict[str, Any]]) -> str:
    objects = "".join(
        f"  <object>\n    <name>{CATEGORIES[one['category_id'] - 1]}</name>\n    <bndbox>\n"
        f"      <xmin>{left}</xmin>\n      <ymin>{top}</ymin>\n"
        f"      <xmax>{left + width}</xmax>\n      <ymax>{top + height}</ymax>\n    </bndbox>\n  </object>\n"
        for one in drawn
        for left, top, width, height in [one["bbox"]]
    )
    size = f"  <size>\n    <width>{SIDE}</width>\n    <height>{SIDE}</height>\n    <depth>3</depth>\n  </size>\n"
    return f"<annotation>\n  <filename>{name.rpartition('/')[2]}</filename>\n{size}{objects}</annotation>\n"


def _lists(root: Path, coco: dict[str, dict[str, list[Any]]]) -> None:
    """Lists that end in a blank line; `all_*` have copies of other releases, too."""
    for name in ("lists", "annotations/json", "code"):
        (root / name).mkdir()
    both = {key: [*coco["train"][key], *coco["val"][key]] for key in ("images", "annotations")}
    for part, content in {**coco, "trainval": {**both, "categories": coco["train"]["categories"]}}.items():
        names = [one["file_name"] for one in content["images"]]
        (root / "annotations" / "json" / f"TBX11K_{part}.json").write_text(json.dumps(content), encoding="utf-8")
        (root / "lists" / f"TBX11K_{part}.txt").write_text("\n".join([*names, "", ""]), encoding="utf-8")
        all_names = "\n".join([*names, "extra/da+db/train/px1.jpg", ""])
        (root / "lists" / f"all_{part}.txt").write_text(all_names, encoding="utf-8")
    (root / "lists" / "all_test.txt").write_text("test/test_0001.png\n", encoding="utf-8")
    (root / "README.md").write_text("# TBX11K\n", encoding="utf-8")
