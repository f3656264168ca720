"""BRAX: phantoms in its format come back, its traps, and one line for each mistake."""

import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image

from fxcore.data.adapters import brax
from fxcore.data.native import Problems
from fxcore.errors import InputError
from tests.data.adapters.trip import counted, known, mistakes, records, trip

HEADER = [
    *("DicomPath", "PngPath", "PatientID", "PatientSex", "PatientAge", "AccessionNumber", "StudyDate"),
    *(*brax.OBSERVATIONS, "ViewPosition", "Rows", "Columns", "Manufacturer"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("brax", tmp_path_factory.mktemp("brax"), {"train": 16, "val": 2, "test": 3})


def _image(case):
    return f"images/id_{90000 + case.number}/Study_{case.number}/Series_1/image-{case.number}.png"


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"none": 21}
    assert facts["patients"] == 21
    assert {code for codes in facts["labels"].values() for code in codes} == {"present", "absent", "uncertain", "blank"}
    assert set(facts["labels"]["No Finding"]) == {"present", "blank"}
    assert {one.view for one in made.records()} == {"PA", "AP", "LAT", "OTHER", None}
    assert made.mistakes() == []


def test_pixels_come_back_from_8_and_16_bits(made):
    read = {record.image: record for record in made.records()}
    modes = set()
    for case in made.cases:
        record = read[_image(case)]
        with Image.open(record.file) as picture:
            deep = picture.mode != "L"
        modes.add(deep)
        drawn = np.pad(case.pixels, ((0, 4), (0, 12))).astype(float)
        # 16 bits are stretched to the brightest pixel; the border is 0.
        expected = np.round(drawn * 255 / drawn.max()) if deep else drawn
        np.testing.assert_allclose(record.read(record.file, record.where), expected, atol=1 if deep else 0)
        assert (record.split, record.group) == (None, f"brax:id_{90000 + case.number}")
    assert modes == {True, False}


def test_the_dicoms_alone_are_enough_and_give_the_same(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "1.1.0")
    shutil.rmtree(tmp_path / "1.1.0" / "images")
    found = records("brax", made.dataset, tmp_path)
    assert [one.image for one in found] == [one.image for one in made.records()]
    kinds = set()
    for case, record in zip(made.cases, found, strict=True):
        assert record.file.suffix == ".dcm"
        kinds.add(pydicom.dcmread(record.file).PhotometricInterpretation)
        drawn = np.pad(case.pixels, ((0, 4), (0, 12)))
        np.testing.assert_array_equal(record.read(record.file, record.where), drawn)
        assert np.abs(255 - drawn.astype(int) - drawn).mean() > 10  # so that a second inversion would be noticed
    assert kinds == {"MONOCHROME1", "MONOCHROME2"}


def _row(number=1, **cells):
    place = f"id_{number}/Study_{number}/Series_1/image-{number}"
    row = {"DicomPath": f"Anonymized_DICOMs/{place}.dcm", "PngPath": f"images/{place}.png", "PatientID": f"id_{number}"}
    return row | cells


def _release(folder, *found, name="master_spreadsheet_update.csv", header=HEADER):
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = [",".join(header), *(",".join(row.get(column, "") for column in header) for row in found)]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def test_every_kind_of_value_and_an_age_that_is_no_number(tmp_path):
    said = {"No Finding": "1.0", "Edema": "0", "Mass": "", "Fracture": "-1.0", "PatientAge": "85 or more"}
    (one,) = records("brax", known("brax"), _release(tmp_path, _row(**said)))
    assert (one.labels["No Finding"], one.labels["Edema"], one.labels["Fracture"]) == (1, 0, -1)
    assert one.labels["Pneumonia"] is None


def test_lesion_comes_before_opacity_and_columns_are_read_by_name(tmp_path):
    assert brax.OBSERVATIONS.index("Lung Lesion") < brax.OBSERVATIONS.index("Lung Opacity")
    (one,) = records("brax", known("brax"), _release(tmp_path, _row(**{"Lung Opacity": "1.0"})))
    assert (one.labels["Lung Lesion"], one.labels["Lung Opacity"]) == (None, 1)
    (one,) = records("brax", known("brax"), _release(tmp_path, _row(Edema="1.0"), header=HEADER[::-1]))
    assert one.labels["Edema"] == 1


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("PA", "PA"),
        ("AP", "AP"),
        ("L", "LAT"),
        ("LL", "LAT"),
        ("RL", "LAT"),
        ("RLD", "OTHER"),
        ("LLO", "OTHER"),
        ("", None),
    ],
)
def test_views(tmp_path, stated, expected):
    (one,) = records("brax", known("brax"), _release(tmp_path, _row(ViewPosition=stated)))
    assert one.view == expected


def test_a_study_is_a_folder_of_its_patient(tmp_path):
    second = {"PngPath": "images/id_1/Study_1/Series_2/image-7.png", "DicomPath": "Anonymized_DICOMs/i.dcm"}
    third = {"PngPath": "images/flat.png"}  # of a copy without the release's folders
    found = records("brax", known("brax"), _release(tmp_path, _row(), _row(**second), _row(**third), _row(2)))
    assert [one.study for one in found] == ["id_1/Study_1", "id_1/Study_1", None, "id_2/Study_2"]


def test_the_first_release_has_another_name_and_dicoms_without_extension(tmp_path):
    row = _row(DicomPath="Anonymized_DICOMs/id_1/Study_1/Series_1/image-1")
    folder = _release(tmp_path, row, name="master_spreadsheet.csv")
    (folder / "images").rmdir()
    (folder / "Anonymized_DICOMs").mkdir()
    (one,) = records("brax", known("brax"), folder)
    assert one.file == folder / "Anonymized_DICOMs/id_1/Study_1/Series_1/image-1"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (_row(2, Edema="2"), "Edema is '2'; expected one of 1, 1.0, 0, 0.0, -1, -1.0, blank"),
        (_row(1), "image images/id_1/.* is in .*row 2 already; keep one"),
        (_row(2, PatientID=""), r"'images/id_2/.*' and '.*' of patient ''; expected paths below images, Anonymized"),
        (_row(2, PngPath="images/../../x.png"), r"'images/\.\./\.\./x\.png' and .* expected paths below"),
        (_row(2, PngPath=""), "'' and '' of patient 'id_2'; expected paths below"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, row, said):
    folder = _release(tmp_path, _row(1), row, _row(3))
    with pytest.raises(InputError, match=rf"master_spreadsheet_update\.csv, row 3: {said}"):
        records("brax", known("brax"), folder)
    problems = Problems(keep_going=True)
    assert len(records("brax", known("brax"), folder, problems)) == 2
    assert len(problems.found) == 1


def test_all_mistakes_are_collected(tmp_path):
    assert len(mistakes("brax", known("brax"), _release(tmp_path, _row(1, Edema="x"), _row(2, PngPath="y")))) == 2


def test_what_is_missing_and_what_the_release_does_not_say(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.brax: .* has no master_spreadsheet_update\.csv"):
        records("brax", known("brax"), tmp_path)
    folder = _release(tmp_path, header=[name for name in HEADER if name != "Edema"])
    with pytest.raises(InputError, match=r"update\.csv: no column 'Edema'"):
        records("brax", known("brax"), folder)
    (folder / "images").rmdir()
    with pytest.raises(InputError, match=r"has no images or \*/images or"):
        records("brax", known("brax"), folder)
    with pytest.raises(InputError, match=r"segmentation\.classes: Lung is no class of this release"):
        records("brax", known("brax", segmentation={"classes": ["Lung"]}), folder)
