"""CXR-LT 2024 as PhysioNet packs it, beside the pictures of MIMIC-CXR that it labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from fxcore.data.adapters import cxr_lt_2024_gold
from fxcore.data.adapters.cxr_lt_2024 import ALL, FINDINGS, PARTS, UNSEEN
from fxcore.data.adapters.mimic_cxr import name
from fxcore.data.counts import Counts
from fxcore.data.records import Code
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.native.mimic_cxr import NAMES, named, picture
from fxcore.phantom.studies import Film, films

ABOUT = ("dicom_id", "subject_id", "study_id", "ViewPosition", "ViewCodeSequence_CodeMeaning", "fpath")
SPLITS = {Split.TRAIN: "train", Split.VAL: "val", Split.TEST: "test"}
EVERYTHING = sorted((*FINDINGS, *UNSEEN))
COLUMNS = {
    ALL: EVERYTHING,
    **dict.fromkeys(PARTS.values(), FINDINGS),
    cxr_lt_2024_gold.TABLE: cxr_lt_2024_gold.FINDINGS,
}
"""Classes of each table, in its order."""
FOLDER = "cxr-lt-2024"

cases = films


def write(films: Iterable[Film], dataset: Dataset, folder: Path) -> Counts:
    """Write the films below `folder`; what reading them must count: what reports say."""
    counts, release = Counts(), Release(folder)
    for film in films:
        hidden = UNSEEN if film.split is Split.TRAIN else ()
        labels: dict[str, Code] = {
            one: None if one in hidden else 1 if one in film.said else 0 for one in dataset.classes(Task.CLASSIFICATION)
        }
        counts.add(film.split, release.add(film), labels)
    release.write()
    return counts


class Release:
    """The tables of the release, filled film by film: what reports say, and of each test study's first film what it shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables = {table: [",".join((*ABOUT, *classes))] for table, classes in COLUMNS.items()}
        self.tables[ALL][0] += ",split"

    def add(self, film: Film) -> str:
        """Write a film's picture and its rows; its patient."""
        of = named(film.number)
        picture(film, of, self.folder)
        about = (of.image, of.subject, f"s{of.study}", film.view, NAMES[film.view], name(*of))
        self._row(ALL, about, film.said, SPLITS[film.split])
        self._row(PARTS[film.split], about, film.said)
        if film.split is Split.TEST and film.index == 0:
            self._row(cxr_lt_2024_gold.TABLE, about, film.shown)
        return of.subject

    def _row(self, table: str, about: Sequence[str], there: Collection[str], *rest: str) -> None:
        labels = ("1" if one in there else "0" for one in COLUMNS[table])
        self.tables[table].append(",".join((*about, *labels, *rest)))

    def write(self) -> None:
        """Write all tables."""
        (self.folder / FOLDER).mkdir()
        for table, rows in self.tables.items():
            (self.folder / FOLDER / table).write_text("\n".join((*rows, "")), encoding="utf-8")
