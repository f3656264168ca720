"""NIH ChestX-ray14: a table of findings, two lists that are the official split, some boxes, and PNGs in one or twelve folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fxcore.data.native import Native, Problems, Unique, box, check_classes, first, lines, listing, view
from fxcore.data.records import Box, Code, Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task

VERSION = 1
"""Raised whenever the records of unchanged files change."""

FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"),
    *("Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"),
)
BOXED = FINDINGS[:8]
"""Findings that some images have boxes of."""
NOTHING = "No Finding"
LISTS = {Split.TRAIN: "train_val_list.txt", Split.TEST: "test_list.txt"}
_NAME = re.compile(r"(\d{8})_\d{3}\.png")


def files(key: str, dataset: Dataset, native: Native) -> tuple[Path, ...]:
    """The table, both lists, and the list of boxes where there is a head for them.

    Raises:
        InputError: one is missing.
    """
    # A corrected table was published in 2020 beside that of 2017.
    names = [("Data_Entry_2017_v2020*.csv*", "Data_Entry_2017*.csv*"), *((name,) for name in LISTS.values())]
    if dataset.localization:
        names.append(("BBox_List_2017.csv*",))
    return tuple(_find(native.folder, one, key) for one in names)


def records(key: str, dataset: Dataset, native: Native, problems: Problems) -> Iterator[Record]:
    """The images of the table, in its order.

    Raises:
        InputError: files or columns are missing, a class is none of the release's, or a row contradicts the format.
    """
    check_classes(key, dataset, {Task.CLASSIFICATION: FINDINGS, Task.LOCALIZATION: BOXED})
    table, *lists = files(key, dataset, native)
    splits = _splits(lists[:2], problems)
    boxes = _boxes(lists[2], dataset.classes(Task.LOCALIZATION), problems) if dataset.localization else {}
    # Twelve archives give twelve folders, or one.
    pictures = listing(native.pictures, (".png",))
    new = Unique(problems)
    for where, cells in _table(table):
        name = cells[0]
        if not new(name, where) or (patient := _patient(cells, where, problems)) is None:
            continue
        labels = _labels(cells[1], dataset.classes(Task.CLASSIFICATION), where, problems)
        if labels is None:
            continue
        if name not in splits:
            problems.say(f"{where}: {name} is in neither {' nor '.join(LISTS.values())}; add it to one")
            continue
        found = boxes.get(name)
        if not dataset.classification and not found:
            continue
        yield Record(
            image=name,
            file=pictures.get(name, native.pictures / "images" / name),
            patient=patient,
            group=f"nih:{patient}",
            split=splits[name][0],
            labels=labels if dataset.classification else None,
            # Readers were asked for some findings of some images: one without boxes is unknown.
            boxes=tuple(found) if found else None,
            masks=None,
            where=where,
            view=view(cells[6]),
        )
    _stray(splits, boxes, new, table, problems)


def _find(folder: Path, names: Sequence[str], key: str) -> Path:
    return first(folder, [depth + name for depth in ("", "*/") for name in names], key)


def _splits(paths: Sequence[Path], problems: Problems) -> dict[str, tuple[Split, str]]:
    """Split and place of each listed image. Blank lines are skipped: they end no list."""
    found: dict[str, tuple[Split, str]] = {}
    new = Unique(problems)
    for split, path in zip(LISTS, paths, strict=True):
        for number, cells in enumerate(lines(path), start=1):
            where = f"{path}, row {number}"
            if any(cells) and new(cells[0], where):
                found[cells[0]] = split, where
    return found


def _table(path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Place and cells of each row that has some.

    By position: the header has commas inside brackets, and lines of 2017 end in one comma more. The widths and heights there are
    of pictures before they were made 1024 × 1024.
    """
    content = lines(path)
    if (header := next(content, []))[:2] != ["Image Index", "Finding Labels"]:
        raise InputError(f"{path}: begins with {header[:2]}; expected Image Index, Finding Labels; download it again")
    return ((f"{path}, row {number}", cells) for number, cells in enumerate(content, start=2) if any(cells))


def _patient(cells: Sequence[str], where: str, problems: Problems) -> str | None:
    """The patient as names of images write it, eight digits, so that datasets made of these images name the same group."""
    if len(cells) not in (11, 12) or any(cells[11:]):
        problems.say(f"{where}: has {len(cells)} cells; expected 11, or a blank twelfth")
        return None
    name, number = cells[0], cells[3]
    shape = _NAME.fullmatch(name)
    if shape and number.isdecimal() and shape[1] == number.zfill(len(shape[1])):
        return shape[1]
    problems.say(f"{where}: image {name!r} of patient {number!r}; expected a name like 00000001_000.png of patient 1")
    return None


def _labels(finding: str, classes: Sequence[str], where: str, problems: Problems) -> dict[str, Code] | None:
    """What is not said is absent: the release states no uncertainty."""
    said = set(finding.split("|"))
    if strange := sorted(said - {*FINDINGS, NOTHING}):
        problems.say(f"{where}: finding {strange[0]!r} is unknown; expected {NOTHING} or some of {', '.join(FINDINGS)}")
        return None
    if NOTHING in said and len(said) > 1:
        problems.say(f"{where}: {finding} contradicts itself; remove {NOTHING} or the others")
        return None
    return {name: 1 if name in said else 0 for name in classes}


def _boxes(path: Path, classes: Sequence[str], problems: Problems) -> dict[str, list[Box]]:
    """Boxes by image, in its pixels. By position: rows end in none or three blank cells, the header in others."""
    content = lines(path)
    if (header := next(content, []))[:2] != ["Image Index", "Finding Label"]:
        raise InputError(f"{path}: begins with {header[:2]}; expected Image Index, Finding Label; download it again")
    found: dict[str, list[Box]] = {}
    for number, cells in enumerate(content, start=2):
        where = f"{path}, row {number}"
        if not any(cells):
            continue
        # As the one finding is spelt here only
        label = "Infiltration" if cells[1:2] == ["Infiltrate"] else "".join(cells[1:2])
        if len(cells) < 6 or any(cells[6:]) or label not in BOXED:
            problems.say(
                f"{where}: is {','.join(cells)!r}; expected an image, one of {', '.join(BOXED)}, and four numbers"
            )
        elif (one := box(label, cells[2:6], where, problems)) and label in classes:
            found.setdefault(cells[0], []).append(one)
    return found


def _stray(
    splits: dict[str, tuple[Split, str]], boxes: dict[str, list[Box]], table: Unique, path: Path, problems: Problems
) -> None:
    places = {name: where for name, (_, where) in splits.items()} | {name: of[0].where for name, of in boxes.items()}
    for name, where in places.items():
        if name not in table.seen:
            problems.say(f"{where}: {name} is not in {path}; add its row or remove it here")
