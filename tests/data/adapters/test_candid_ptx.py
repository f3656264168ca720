"""CANDID-PTX: reports with line breaks, columns and names that copies spell differently, patients from file names."""

import logging

import numpy as np
import pytest

from fxcore.data import rle
from fxcore.data.adapters import candid_ptx as adapter
from fxcore.data.native import Native
from fxcore.errors import InputError
from fxcore.phantom.case import extent
from fxcore.phantom.native.formats import dicom
from fxcore.phantom.native.siim_acr import cut
from tests.data.adapters.trip import bitmap, counted, known, mistakes, records, trip

KEY = "candid_ptx"
A, B, C = (f"1.2.999.1.{number}" for number in (1, 2, 3))
TABLE = f"""SOPInstanceUID,StudyInstanceUID,EncodedPixels,Report
{A},1.2.999.1,-1,"No pneumothorax."
{B},1.2.999.1,5 2 1 2 8 2,"Small, right apical
pneumothorax."
{B},1.2.999.1,0 1,"Small, right apical
pneumothorax."
{C},1.2.999.2,5 2 2 2,"Tube ""in situ""."
"""
"""The two masks of 4 rows and 5 columns of the datasets' sheet, and the first pixel."""
NAMED = f"""SOPInstanceUID,StudyInstanceUID,EncodedPixels,filename,Report
{A},1.2.999.1,-1,P0001_2019_1,x
{B},1.2.999.1,0 1,P0001_2019_2,x
{C},1.2.999.2,-1,P0002_2019_1,x
"""


@pytest.fixture
def release(tmp_path):
    """A release by hand of pictures of 4 rows and 5 columns: `release(table, names)` gives its folder."""

    def write(table=TABLE, names=(A, B, C), folder=tmp_path, encoding="utf-8-sig"):
        for name in names:
            dicom(folder / "dataset" / name, np.zeros((4, 5), dtype=np.uint8), "1.2.3", PatientID="anonymous")
        (folder / "Pneumothorax_reports.csv").write_text(table, encoding=encoding)
        return tmp_path

    return write


def test_phantoms_come_back_as_they_were_written(tmp_path):
    made = trip(KEY, tmp_path, {"train": 10, "val": 1, "test": 1})
    found = made.records()
    assert counted(found) == made.expected.facts()
    assert made.expected.facts()["patients"] == 10  # 12 images; the fifth and the tenth are of the patient before
    rows = set()
    for record, case in zip(found, made.cases, strict=True):
        np.testing.assert_array_equal(record.read(record.file, record.where), case.pixels)
        drawn = np.logical_or.reduce([np.zeros((160, 160), dtype=bool), *case.shapes("Pneumothorax")])
        np.testing.assert_array_equal(bitmap(record, "Pneumothorax", 160, 160), drawn)
        parts = [part for shape in case.shapes("Pneumothorax") for part in cut(shape, 2 if case.number % 4 == 1 else 1)]
        assert [box.xywh for box in record.boxes] == [extent(part) for part in parts]
        rows.add(len(parts))
        if drawn.any():
            along = [rle.fill(rle.relative(mask.shape.text), 160 * 160).reshape(160, 160) for mask in record.masks]
            assert not np.array_equal(np.logical_or.reduce(along), drawn)  # along the rows instead of down the columns
    assert {0, 2} <= rows
    assert (tmp_path / "Pneumothorax_reports.csv").read_bytes().startswith(b"\xef\xbb\xbfSOPInstanceUID,")
    assert not list(tmp_path.glob("dataset/*.dcm"))


def test_rows_of_an_image_add_up_and_reports_may_break_lines(release):
    negative, positive, last = records(KEY, known(KEY), release())
    expected = [[1, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(bitmap(positive, "Pneumothorax", 4, 5), np.array(expected, dtype=bool))
    assert [box.xywh for box in positive.boxes] == [(1, 0, 4, 4), (0, 0, 1, 1)]
    assert (negative.labels, negative.boxes, negative.masks) == ({"Pneumothorax": 0}, (), ())
    assert [box.xywh for box in last.boxes] == [(1, 1, 2, 2)]
    assert {one.split for one in (negative, positive, last)} == {None}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(
    "header",
    [
        "anon_SOPUID,StudyInstanceUID,mask_rle,Report",
        "SOP Instance UID,Study_Instance_UID,Encoded Pixels,Report",
        "sopinstanceuid,studyinstanceuid,ENCODEDPIXELS, report ",
    ],
)
def test_columns_by_any_spelling_and_a_byte_order_mark(release, header, encoding):
    folder = release(TABLE.replace(TABLE.partition("\n")[0], header), encoding=encoding)
    assert [one.image for one in records(KEY, known(KEY), folder)] == [A, B, C]


@pytest.mark.parametrize("names", [(f"{A}.dcm", f"{B}.DCM", C), (A, B, f"{C}.dicom")])
def test_files_with_and_without_extension(release, names):
    assert [one.image for one in records(KEY, known(KEY), release(names=names))] == [A, B, C]


def test_identifiers_with_an_extension_in_the_table(release):
    assert [one.image for one in records(KEY, known(KEY), release(TABLE.replace(A, f"{A}.dcm")))] == [A, B, C]


def test_files_by_the_name_in_the_table(release):
    folder = release(NAMED, names=("P0001_2019_1", "P0001_2019_2.dcm", C))
    assert [one.file.name for one in records(KEY, known(KEY), folder)] == ["P0001_2019_1", "P0001_2019_2.dcm", C]


def test_a_patient_is_the_first_part_of_a_file_name(release):
    found = records(KEY, known(KEY), release(NAMED))
    assert [one.patient for one in found] == ["P0001", "P0001", "P0002"]
    assert [one.group for one in found] == ["candid_ptx:P0001", "candid_ptx:P0001", "candid_ptx:P0002"]


def test_a_column_of_patients_goes_before_file_names(release):
    table = NAMED.replace("Report", "Patient ID").replace(",x\n", ",7\n")
    assert {one.patient for one in records(KEY, known(KEY), release(table))} == {"7"}


def test_without_patients_a_study_stays_together(release):
    found = records(KEY, known(KEY), release())
    assert [one.patient for one in found] == [None] * 3  # though all headers say `anonymous`
    assert [one.group for one in found] == ["candid_ptx:1.2.999.1", "candid_ptx:1.2.999.1", "candid_ptx:1.2.999.2"]
    table = TABLE.replace("StudyInstanceUID", "Study")
    assert records(KEY, known(KEY), release(table))[0].group == f"candid_ptx:{A}"


def test_an_image_under_two_patients_is_left_out_and_said(release, caplog):
    table = NAMED + f"{A},1.2.999.1,-1,P0003_2019_1,x\n"
    with caplog.at_level(logging.INFO, logger="fxcore"):
        found = records(KEY, known(KEY), release(table))
    assert [one.image for one in found] == [B, C]
    assert f"image {A} is under several patients" in caplog.text


def test_a_blank_says_nothing(release):
    assert [one.image for one in records(KEY, known(KEY), release(TABLE.replace(",-1,", ",,")))] == [B, C]


def test_tables_beside_the_reports_are_not_asked(tmp_path):
    made = trip(KEY, tmp_path, {"train": 3, "val": 1, "test": 1})
    assert "1.2.999.0.7,a9999,-1" in (tmp_path / "chest_tube.csv").read_text()  # an image that is nowhere
    assert {path.name for path in made.files()} == {"Pneumothorax_reports.csv", "dataset"}
    for name in ("chest_tube.csv", "acute_rib_fracture.csv"):
        (tmp_path / name).unlink()
    assert len(made.records()) == 5


def test_a_picture_without_a_row_is_left_alone(release):
    assert len(records(KEY, known(KEY), release(names=(A, B, C, "1.2.999.7")))) == 3


def test_a_folder_around_the_release(release, tmp_path):
    assert len(records(KEY, known(KEY), release(folder=tmp_path / "CANDID-PTX"))) == 3


def test_tasks_that_the_block_lacks_are_none(release):
    for one in records(KEY, known(KEY, localization=None, segmentation=None), release()):
        assert (one.boxes, one.masks) == (None, None)


def test_deeper_pictures_are_stretched(release, tmp_path):
    folder = release()
    values = np.array([[0, 51, 102, 255]], dtype=np.uint8)
    dicom(tmp_path / "dataset" / A, values, "1.2.3", bits=12)
    record = records(KEY, known(KEY), folder)[0]
    np.testing.assert_array_equal(record.read(record.file, record.where), values)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (",0 1,", ",0 0,", "row 4: run lengths '0 0' have a run of length 0"),  # a mask of nothing
        (",0 1,", ",1,", "row 4: run lengths '1' are not pairs"),
        (",0 1,", ",18 5,", "row 4: runs end in column 6; the picture has 5"),
        (",0 1,", ",-1,", "row 4: .*2 is without a region, or has this one, at .*row 3 already; keep one row"),
        (f"{C},1.2.999.2,5 2 2 2", f"{A},1.2.999.1,-1", "row 5: .*1 is without a region, or has this one, at .*row 2"),
        (f"{C},1.2.999.2", "1.2.9,1.2.999.2", r"row 5: no picture 1\.2\.9 in .*dataset; download it again"),
        (
            "EncodedPixels",
            "Pixels",
            "no column 'EncodedPixels'; it has SOPInstanceUID, StudyInstanceUID, Pixels, Report",
        ),
        (',5 2 2 2,"Tube ""in situ""."', ",5 2 2 2", "row 5: has 3 cells; the header has 4"),
    ],
)
def test_a_mistake_is_one_line(release, old, new, expected):
    assert old in TABLE
    with pytest.raises(InputError, match=expected) as caught:
        records(KEY, known(KEY), release(TABLE.replace(old, new, 1)))
    assert "\n" not in str(caught.value)


def test_two_files_of_one_image(release):
    with pytest.raises(InputError, match="is the same image; keep one of them"):
        records(KEY, known(KEY), release(names=(A, f"{A}.dcm", B, C)))


def test_all_mistakes_are_collected(release, tmp_path):
    folder = release(TABLE.replace(",0 1,", ",0 0,") + "1.2.9,1.2.999.2,-1,x\n")
    (tmp_path / "dataset" / C).write_bytes(b"")
    found = mistakes(KEY, known(KEY), folder)
    assert [line.split(": ", 1)[0][-5:] for line in found] == ["row 4", "row 5", "row 6"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"candid_ptx: .* has no Pneumothorax_reports"):
        adapter.files(KEY, known(KEY), Native(tmp_path, tmp_path))
