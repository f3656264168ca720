"""MIMIC-CXR-JPG as PhysioNet packs it: compressed tables, a list of names, and JPEGs in folders of patients and studies.

Some are those of CXR-LT, with other labels and in another split; the others are of patients that CXR-LT has no picture of here.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fxcore.data.adapters.mimic_cxr import OBSERVATIONS, TABLES, name
from fxcore.data.counts import Counts
from fxcore.params.datasets import Dataset
from fxcore.passes import Split, Task
from fxcore.phantom.case import Case, framed
from fxcore.phantom.native.chexpert import reported
from fxcore.phantom.release import EACH, FIRST, Findings, Plant, Release
from fxcore.phantom.scene import Phantom
from fxcore.phantom.studies import PICTURES, film_of, findings_of, view_of, whose

SPLITS = {Split.TRAIN: "train", Split.VAL: "validate", Split.TEST: "test"}
VIEWS = ("AP", "PA", "AP", "LATERAL", "PA", "LL", "AP", "")
NAMES = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral", "LL": "left lateral", "": ""}
OWN = 150_000
"""Added to the numbers of pictures that CXR-LT has not, so that they share no name with those that it has."""
UNLABELLED = 950_000
"""Number of a study without labels."""
METADATA = (
    *("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns"),
    *("StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning"),
    "PatientOrientationCodeSequence_CodeMeaning",
)


class Ids(NamedTuple):
    """The release's names of a picture."""

    image: str
    subject: str
    study: str


def ids(number: int) -> Ids:
    """Invented names, different for each number below a million."""
    image = "-".join(f"{(number * 2654435761 + part * 2246822519) % 2**32:08x}" for part in range(5))
    return Ids(image, f"1{number % 10}{number:06d}", f"59{number:06d}")


def named(film: int) -> Ids:
    """The names of a film of CXR-LT by its number, those of its patient and study being the same for all their films."""
    study = film // PICTURES
    return Ids(ids(film).image, ids(whose(study)).subject, ids(study).study)


class Studies(Release):
    """The films of CXR-LT, for MIMIC-CXR to have the first of some studies, too."""

    def number(self, split: Split, at: int) -> int:
        """The first film of a study."""
        return PICTURES * (FIRST[split] + at)

    def findings(self, number: int) -> Findings:
        """What is drawn in all pictures of the study."""
        study = number // PICTURES
        return findings_of(tuple(Split)[study // EACH], study % EACH)

    def phantom(self, number: int) -> Phantom:
        """The film, drawn."""
        return film_of(number).phantom


STUDIES = Studies(
    "cxr_lt_2024", image=lambda film, _: named(film).image, group=lambda film, _: f"mimic:{named(film).subject}"
)


def _of(number: int) -> Ids:
    """The names of a picture by its number."""
    source = RELEASE.source(number)
    return named(source[1]) if source else ids(OWN + number)


RELEASE = Release(
    "mimic_cxr",
    image=lambda number, _: _of(number).image,
    plants=(
        Plant(Split.TRAIN, 6, STUDIES, Split.TEST),
        Plant(Split.TEST, 4, STUDIES, Split.TRAIN),
    ),
    tells=True,
)


def _view(case: Case) -> str:
    """The view that is stated of a case; one in eight of its own is blank, and some are called lateral."""
    return view_of(case.source.number) if case.source else VIEWS[case.number % len(VIEWS)]


def picture(case: Case, of: Ids, folder: Path) -> tuple[int, int]:
    """Write a case's picture where the release has it; its rows and columns."""
    shown = framed(case.pixels, left=4, bottom=20)
    path = folder / name(*of)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(shown).save(path, quality=95)
    high, wide = shown.shape
    return high, wide


def write(cases: Iterable[Case], dataset: Dataset, folder: Path) -> Counts:
    """Write the cases below `folder`; what reading them must count. One study has a picture and no labels."""
    counts = Counts()
    labels = [",".join(("subject_id", "study_id", *OBSERVATIONS))]
    splits, metadata, names = ["dicom_id,study_id,subject_id,split"], [",".join(METADATA)], list[str]()
    for place, case in enumerate(cases):
        of = _of(case.number)
        for one in (of, ids(UNLABELLED)) if place == 0 else (of,):
            high, wide = picture(case, one, folder)
            splits.append(f"{one.image},{one.study},{one.subject},{SPLITS[case.split]}")
            metadata.append(_described(one, _view(case), high, wide))
            names.append(name(*one))
        said = reported(case, OBSERVATIONS, dataset)
        texts = ["" if said[label] is None else f"{said[label]}.0" for label in OBSERVATIONS]
        labels.append(",".join((of.subject, of.study, *texts)))
        counts.add(case.split, of.subject, {label: said[label] for label in dataset.classes(Task.CLASSIFICATION)})
    for table, rows in zip(TABLES, (labels, splits, metadata), strict=True):
        compress(folder / f"{table}.gz", rows)
    compress(folder / "mimic-cxr-2.0.0-negbio.csv.gz", [labels[0], *(_denied(row) for row in labels[1:])])
    (folder / "IMAGE_FILENAMES").write_text("\n".join((*names, "")), encoding="utf-8")
    return counts


def compress(path: Path, rows: Sequence[str]) -> None:
    """Write lines by gzip, the same bytes each time."""
    path.write_bytes(gzip.compress("\n".join((*rows, "")).encode(), mtime=0))


def _described(of: Ids, stated: str, high: int, wide: int) -> str:
    procedure = '"CHEST (PA, LAT)"' if of.image < "8" else "CHEST (PORTABLE AP)"
    cells = (of.image, of.subject, of.study, procedure, stated, high, wide, 21000101, 101010.5)
    return ",".join((*map(str, cells), procedure, NAMES[stated], "Erect"))


def _denied(row: str) -> str:
    """The labels of another parser, all contrary, which nobody is to read."""
    subject, study, *_ = row.split(",")
    return ",".join((subject, study, *["0.0"] * len(OBSERVATIONS)))
