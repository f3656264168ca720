"""TBX11K (2020): lists of the training and validation images, whose folder is the label, and COCO files of the boxes.

The test images have no labels anywhere and are not read; validation is what the field tests on. `imgs/extra` has copies of other
releases, Shenzhen and Montgomery among them, without boxes; the `all_*` lists mix them in and are not read either.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fxcore.data import coco
from fxcore.data.native import Native, Problems, Unique, check_classes, first, needed
from fxcore.data.records import Box, Record, Stated
from fxcore.errors import InputError
from fxcore.files import is_there
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

PARTS = {"train": Split.TRAIN, "val": Split.TEST}
ILL = "tb"
FOLDERS = (ILL, "health", "sick")
"""Sick is not ill with tuberculosis."""
ANY = "Tuberculosis"
"""The class that joins the categories."""
CATEGORIES = ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis", "PulmonaryTuberculosis")


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
    """The two lists, and the COCO files where boxes are asked for.

    Raises:
        InputError: one is missing.
    """
    root = _root(key, native)
    lists = [_list(key, root, part) for part in PARTS]
    return *lists, *([_coco(key, root, part) for part in PARTS] if dataset.localization else [])


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """Every image of the two lists, in their order; the release names no patients.

    Raises:
        InputError: a file is missing or no COCO file, or the dataset asks for what the release does not say.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: ("TB",), Task.LOCALIZATION: (ANY, *CATEGORIES)})
    root, unique = _root(key, native), Unique(problems)
    for part, split in PARTS.items():
        boxed = coco.read(_coco(key, root, part), CATEGORIES) if dataset.localization else {}
        for where, name in _lines(_list(key, root, part)):
            file = root / "imgs" / name
            listed = boxed.pop(name, None)
            folder = name.partition("/")[0]
            if folder not in FOLDERS or not is_there(file):
                problems.say(f"{where}: no image {file}; expected one in {', '.join(FOLDERS)}; put it there")
            elif unique(file.stem, where):
                boxes = _boxes(folder == ILL, listed, dataset, problems) if dataset.localization else None
                if dataset.classification or boxes is not None:
                    yield Record(
                        image=file.stem,
                        file=file,
                        patient=None,
                        group=f"{dataset.adapter}:{file.stem}",
                        split=split,
                        labels={"TB": 1 if folder == ILL else 0} if dataset.classification else None,
                        boxes=boxes,
                        masks=None,
                        where=where,
                        stated=() if listed is None else (listed.stated,),
                    )
        for name, stray in boxed.items():
            if stray.annotations:
                problems.say(
                    f"{stray.annotations[0].where}: image {name} is in no list; expected one of TBX11K_{part}.txt"
                )


def _root(key: str, native: Native) -> Path:
    return first(native.folder, ("lists", "*/lists", "*/*/lists"), key).parent


def _list(key: str, root: Path, part: str) -> Path:
    return needed(root / "lists" / f"TBX11K_{part}.txt", key)


def _coco(key: str, root: Path, part: str) -> Path:
    return needed(root / "annotations" / "json" / f"TBX11K_{part}.json", key)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of the lines; a blank one ends nothing, or it would cut the dataset short unseen."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error}); download it again") from error
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def _boxes(ill: bool, listed: coco.Listed | None, dataset: Dataset, problems: Problems) -> tuple[Box, ...] | None:
    """The boxes of an image. A healthy or sick one has none.

    Of an image with tuberculosis and no box it is not known where that is: tb1199 is the one in the release.
    """
    annotations = [] if listed is None else listed.annotations
    if ill:
        found = [box for one in annotations for box in _box(one, dataset, problems)]
        return tuple(found) if annotations else None
    for one in annotations:
        problems.say(f"{one.where}: a box of {one.label} on an image without tuberculosis; remove it")
    return ()


def _box(one: coco.Annotation, dataset: Dataset, problems: Problems) -> Iterator[Box]:
    label = ANY if ANY in dataset.classes(Task.LOCALIZATION) else one.label
    try:
        [box] = coco.Listed(one.image, [one]).boxes()
    except InputError as error:
        problems.say(str(error))
        return
    if not _inside(box, one.image):
        problems.say(
            f"{one.where}: box {list(box.xywh)} of an image of {one.image.width} × {one.image.height} pixels; expected left,"
            " top, width and height above 0, inside it"
        )
    elif label in dataset.classes(Task.LOCALIZATION):
        yield Box(label, box.xywh, box.where)


def _inside(box: Box, image: Stated) -> bool:
    """A pixel past the edge is rounding."""
    left, top, width, height = box.xywh
    fits = left + width <= image.width + 1 and top + height <= image.height + 1
    return width > 0 and height > 0 and left >= -1 and top >= -1 and fits
