"""PadChest: phantoms in its format come back, its traps, and one line for each mistake."""

import csv
import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fxcore.data import images
from fxcore.data.adapters import padchest
from fxcore.data.native import Native, Problems
from fxcore.errors import InputError
from tests.data.adapters.trip import counted, known, mistakes, records, trip

CLASSES = {"classification": {"classes": ["normal", "cardiomegaly", "pleural effusion"]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("padchest", tmp_path_factory.mktemp("padchest"), {"train": 12, "val": 2, "test": 3})


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"none": 17}
    assert {code for codes in facts["labels"].values() for code in codes} == {"present", "absent"}
    assert {one.view for one in made.records()} == {"PA", "AP", "LAT", "OTHER"}
    assert made.mistakes() == []


def test_pixels_come_back_stretched(made):
    for case, record in zip(made.cases, made.records(), strict=True):
        with Image.open(record.file) as picture:
            assert picture.mode.startswith("I")
        drawn = np.pad(case.pixels, ((10, 0), (case.number % 6, 0))).astype(float)
        expected = drawn * 255 / drawn.max()  # from the darkest, the border of 0, to the brightest pixel
        np.testing.assert_allclose(record.read(record.file, record.where), expected, atol=1)
        assert record.group == f"padchest:{record.patient}"
        assert (record.split, record.boxes, record.masks) == (None, None, None)
    assert {record.file.parent.name for record in made.records()} == {"0", "54"}


def test_a_mirrored_or_inverted_picture_would_be_noticed(made):
    record = made.records()[0]
    picture = record.read(record.file, record.where).astype(int)
    drawn = np.pad(made.cases[0].pixels, ((10, 0), (made.cases[0].number % 6, 0)))
    assert np.abs(picture[:, ::-1] - drawn).mean() > 10
    assert np.abs(255 - picture - drawn).mean() > 10


def test_few_classes_leave_no_picture_without_a_statement(tmp_path):
    made = trip("padchest", tmp_path, {"train": 12, "val": 2, "test": 3}, classification={"classes": ["nodule"]})
    assert counted(made.records()) == made.expected.facts()
    assert made.expected.facts()["images"] == {"none": 17}


def test_a_picture_cut_short_is_not_read_where_the_release_excludes_it(made):
    cut = min((made.folder / "0").iterdir(), key=lambda path: path.stat().st_size)
    assert cut.name not in {one.image for one in made.records()}
    with pytest.raises(InputError, match=r"row 2: .* cannot be decoded"):
        images.read(cut, "row 2")


def _row(labels="['normal']", number=1, **cells):
    name = f"999000{number}"
    row = {"": str(number), "ImageID": f"{name}_a.png", "ImageDir": "0", "PatientID": name, "Projection": "PA"}
    return row | {"PhotometricInterpretation_DICOM": "MONOCHROME2", "Labels": labels} | cells


EVERY = _row(str(["exclude", *CLASSES["classification"]["classes"]]), 9)
"""A row that is left out, so that each class occurs."""


def _release(folder, *found, every=EVERY, packed=False):
    with (folder / padchest.TABLE).open("w", newline="") as sink:
        writer = csv.DictWriter(sink, ["", *padchest.COLUMNS, "Report", "PhotometricInterpretation_DICOM"])
        writer.writeheader()
        writer.writerows([*found, every])
    if packed:
        table = folder / padchest.TABLE
        (folder / f"{padchest.TABLE}.gz").write_bytes(gzip.compress(table.read_bytes()))
        table.unlink()
    return folder


def _read(folder, *found, problems=None, **release):
    return records("padchest", known("padchest", **CLASSES), _release(folder, *found, **release), problems)


def test_a_study_is_named_or_unknown(tmp_path):
    study = "20536686640136348236148679891455886468"
    found = _read(tmp_path, _row(StudyID=study), _row(number=2), _row(number=3, StudyID=study))
    # One name of the release is of two patients' pictures: two studies.
    assert [one.study for one in found] == [f"9990001/{study}", None, f"9990003/{study}"]


def test_labels_are_a_list_with_stray_blanks_capitals_and_empty_ones(tmp_path):
    (one,) = _read(tmp_path, _row("['Cardiomegaly', ' pleural effusion', '', 'COPD signs']"))
    assert one.labels == {"normal": 0, "cardiomegaly": 1, "pleural effusion": 1}


@pytest.mark.parametrize(
    "silent", ["", "nan", "[]", "['']", "['exclude']", "['exclude', 'normal']", "['unchanged', 'suboptimal study']"]
)
def test_lists_that_say_nothing_are_no_labels(tmp_path, silent):
    assert [one.image for one in _read(tmp_path, _row(silent), _row(number=2))] == ["9990002_a.png"]


def test_unchanged_beside_a_finding_is_a_statement(tmp_path):
    (one,) = _read(tmp_path, _row("['cardiomegaly', 'unchanged']"))
    assert one.labels["cardiomegaly"] == 1


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("PA", "PA"),
        ("L", "LAT"),
        ("AP", "AP"),
        ("AP_horizontal", "AP"),
        ("COSTAL", "OTHER"),
        ("EXCLUDE", "OTHER"),
        ("UNK", None),
    ],
)
def test_projections(tmp_path, stated, expected):
    assert _read(tmp_path, _row(Projection=stated))[0].view == expected


def test_a_report_of_several_lines_is_one_row_of_a_packed_table(tmp_path):
    first, second = _read(tmp_path, _row(Report="sin , \n hallazg ."), _row(number=2), packed=True)
    assert first.where.endswith(".csv.gz, row 2")
    assert second.where.endswith(".csv.gz, row 3")


@pytest.mark.parametrize("inner", ["", "images"])
def test_numbered_folders_beside_the_table_or_in_a_folder(tmp_path, inner):
    (tmp_path / inner / "54").mkdir(parents=True)
    (one,) = _read(tmp_path, _row(ImageDir="54"))
    assert one.file == tmp_path / inner / "54" / "9990001_a.png"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (_row("normal", 2), r"Labels is 'normal'; expected a list such as \['normal'\]"),
        (_row("['normal'", 2), r"""Labels is "\['normal'"; expected a list"""),
        (_row("{'normal': 1}", 2), "Labels is .* expected a list"),
        (_row(number=1), "image 9990001_a.png is in .*row 2 already; keep one"),
        (
            _row(number=2, ImageDir="0.0"),
            r"image '9990002_a.png' in '0\.0' of patient '9990002'; expected a PNG, a numb",
        ),
        (_row(number=2, ImageID="../x.png"), r"image '\.\./x\.png' in '0' of patient"),
        (_row(number=2, PatientID=""), "image '9990002_a.png' in '0' of patient ''; expected a PNG, a number and a pa"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, row, said):
    with pytest.raises(InputError, match=rf"01\.02\.19\.csv, row 3: {said}"):
        _read(tmp_path, _row(), row, _row(number=3))
    problems = Problems(keep_going=True)
    assert len(_read(tmp_path, _row(), row, _row(number=3), problems=problems)) == 2
    assert len(problems.found) == 1


def test_all_mistakes_are_collected(tmp_path):
    folder = _release(tmp_path, _row("x"), _row("y", 2))
    assert len(mistakes("padchest", known("padchest", **CLASSES), folder)) == 2


def test_what_is_missing_and_what_the_release_does_not_say(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.padchest: .* has no PADCHEST_chest"):
        records("padchest", known("padchest"), tmp_path)
    with pytest.raises(InputError, match=r"classes: cardiomegaly is no class of this release; known: exclude, normal"):
        _read(tmp_path, _row(), every=_row("['exclude']", 9))
    wrong = known("padchest", classification={"classes": ["cardiomegally"]})
    with pytest.raises(InputError, match=r"cardiomegally is no class of this release; did you mean cardiomegaly\?"):
        records("padchest", wrong, _release(tmp_path, _row()))
    with pytest.raises(InputError, match=r"localization\.classes: nodule is no class of this release"):
        records("padchest", known("padchest", **CLASSES, localization={"classes": ["nodule"]}), tmp_path)
    (tmp_path / padchest.TABLE).write_text("ImageID,ImageDir\n")
    with pytest.raises(InputError, match="no column 'StudyID'"):
        records("padchest", known("padchest"), tmp_path)


def test_every_real_row_is_read(tmp_path):
    wheel = os.environ.get("FXCORE_XRV")
    if not wheel:
        pytest.skip("needs FXCORE_XRV: the unpacked wheel of torchxrayvision, which has the release's table")
    folder = Path(wheel) / "torchxrayvision/data"
    found = list(padchest.records("padchest", known("padchest"), Native(folder, tmp_path), Problems()))
    # 160,861 rows less 103 without a list, 777 empty ones, 1,312 excluded, and 3,705 + 412 + 21 that say nothing
    assert len(found) == 160_861 - 103 - 777 - 1_312 - 3_705 - 412 - 21
    said = Counter(name for one in found for name, code in one.labels.items() if code == 1)
    assert set(said) == set(known("padchest").classification.classes)
    views = Counter(one.view for one in found)
    assert set(views) == {"PA", "AP", "LAT", "OTHER", None}
    assert all(one.patient for one in found)
    # Of 109,932 pairs of a patient and a study, these have an image that says something.
    assert len({one.study for one in found}) == 105_480
