"""NODE21: phantoms in its format come back, images keep the patients of their sources, and one line for each mistake."""

import csv

import numpy as np
import pytest

from fxcore.data import images
from fxcore.data.native import Problems
from fxcore.errors import InputError
from fxcore.phantom.case import extent
from fxcore.phantom.native import formats
from tests.data.adapters.trip import counted, known, mistakes, records, trip

DATASET = known("node21")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("node21", tmp_path_factory.mktemp("node21"))


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["patients"] == 10
    assert facts["boxes"]["Nodule"] >= facts["labels"]["Nodule"]["present"] > 0


def test_pixels_and_boxes_come_back(made):
    read = {int(record.image[1:]) - 90001: record for record in made.records()}
    for case in made.cases:
        record = read[case.number]
        # The pixel type is not stated anywhere: grey is the share of the image's greatest value.
        expected = np.round(case.pixels / case.pixels.max() * 255)
        np.testing.assert_allclose(record.read(record.file, record.where), expected, atol=1)
        boxes = [extent(shape) for shape in case.shapes("Nodule")]
        assert sorted(box.xywh for box in record.boxes) == sorted(boxes)
        assert record.labels == {"Nodule": int(bool(boxes))}
        assert (record.split, record.masks, record.patient) == (None, None, record.group)


def test_the_folder_may_be_the_inner_one(made):
    assert counted(records("node21", made.dataset, made.folder / "cxr_images")) == made.expected.facts()
    assert [file.name for file in made.files()] == [
        *("metadata.csv", "filenames_orig_and_new.csv", "non_nodule_filenames_orig_and_new.csv", "images")
    ]


def test_boxes_of_the_sources_pixels_are_another_table(made):
    with (made.folder / "cxr_images" / "original_data" / "metadata.csv").open() as source:
        wrong = {tuple(float(row[name]) for name in ("x", "y", "width", "height")) for row in csv.DictReader(source)}
    right = {box.xywh for record in made.records() for box in record.boxes}
    assert right
    assert not right & wrong


ORIGINS = "original_image_name,orig_dataset,node21_img_id\n"
NAMES = {
    "n9901": ("00090001_003", "chestxray14"),
    "n9902": ("900_5_2abc", "padchest"),
    "c9901": ("CXR9000_IM-0003-1001", "openi"),
    "c9902": ("JPCNN901", "jsrt"),
}


def _native(folder, rows, names=NAMES, more="", folders="proccessed_data", pictures=None):
    """Rows of the table of boxes as text, after its index."""
    root = folder / "cxr_images"
    (root / folders / "images").mkdir(parents=True)
    (root / "original_data").mkdir()
    for name in names if pictures is None else pictures:
        (root / folders / "images" / f"{name}.mha").touch()
    numbered = "".join(f"{number},{row}\n" for number, row in enumerate(rows))
    (root / folders / "metadata.csv").write_text(f",height,img_name,label,width,x,y\n{numbered}")
    lines = {
        letter: "".join(f"{a},{b},{name}\n" for name, (a, b) in names.items() if name[0] == letter) for letter in "nc"
    }
    (root / "original_data" / "filenames_orig_and_new.csv").write_text(ORIGINS + lines["n"] + more)
    (root / "original_data" / "non_nodule_filenames_orig_and_new.csv").write_text(ORIGINS + lines["c"])
    return folder


def test_several_rows_an_image_and_a_row_of_zeros(tmp_path):
    rows = ["52,n9901.mha,1,48,610,402", "0,c9901.mha,0,0,0,0", "31,n9901.mha,1,33,300,515", "7,n9901.mha,1,6,1,2"]
    nodule, control = records("node21", DATASET, _native(tmp_path, rows))
    assert [box.xywh for box in nodule.boxes] == [(610, 402, 48, 52), (300, 515, 33, 31), (1, 2, 6, 7)]
    assert (nodule.labels, control.labels, control.boxes) == ({"Nodule": 1}, {"Nodule": 0}, ())


def test_patients_are_those_of_the_sources(tmp_path):
    rows = ["9,n9901.mha,1,9,1,1", "9,n9902.mha,1,9,1,1", "0,c9901.mha,0,0,0,0", "0,c9902.mha,0,0,0,0"]
    groups = [record.group for record in records("node21", DATASET, _native(tmp_path, rows))]
    assert groups == ["nih:00090001", "padchest:900_5", "openi:CXR9000", "jsrt:JPCNN901"]


def test_the_picture_that_is_there_twice_is_one_patient(tmp_path):
    names = {"n0507": ("00090001_003", "chestxray14"), "n1059": ("00090002_000", "chestxray14")}
    rows = ["9,n0507.mha,1,9,1,1", "9,n1059.mha,1,9,1,1"]
    one, other = records("node21", DATASET, _native(tmp_path, rows, names))
    assert one.patient == other.patient == one.group == other.group == "nih:00090001"


def test_a_folder_of_one_c_is_read_too(tmp_path):
    folder = _native(tmp_path, ["0,c9901.mha,0,0,0,0"], folders="processed_data")
    assert len(records("node21", DATASET, folder)) == 1


def test_only_what_the_dataset_asks_for(tmp_path):
    folder = _native(tmp_path, ["9,n9901.mha,1,9,1,1"])
    [labels] = records("node21", known("node21", localization=None), folder)
    assert (labels.labels, labels.boxes) == ({"Nodule": 1}, None)
    [boxes] = records("node21", known("node21", classification=None), folder)
    assert (boxes.labels, len(boxes.boxes)) == (None, 1)


def test_a_16_bit_metaimage_has_its_header_in_text(tmp_path):
    formats.metaimage(tmp_path / "x.mha", np.array([[0, 1000], [2000, 4080]], dtype=np.uint16))
    text = (tmp_path / "x.mha").read_bytes().split(b"LOCAL\n")[0]
    assert b"DimSize = 2 2\nElementType = MET_USHORT\n" in text
    assert images.read(tmp_path / "x.mha", "").tolist() == [[0, 62], [125, 255]]  # 62.5 rounds to even


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        (["9,n9903.mha,1,9,1,1"], "", r"metadata\.csv, row 2: no image n9903\.mha; put it there or remove the row"),
        (["9,n9901.mha,2,9,1,1"], "", "row 2: label is '2'; expected 1 or 0"),
        (["9,n9901.mha,1,0,1,1"], "", "row 2: the box of Nodule is 1, 1, 0, 9; expected"),
        (["9,n9901.mha,1,x,1,1"], "", "row 2: the box of Nodule is 1, 1, x, 9; expected"),
        (["9,n9901.mha,1,9,1,1"] * 2, "", "row 3: the box is in .*row 2 already; keep one"),
        (["0,c9901.mha,0,0,0,0"] * 2, "", "row 3: c9901.mha is in .*row 2 already, and one of them is a control"),
        (["9,n9901.mha,1,9,1,1", "0,n9901.mha,0,0,0,0"], "", "row 3: n9901.mha is in .*row 2 already"),
        (["9,c9901.mha,0,9,1,1"], "", "row 2: a control with a box; expected zeros"),
        (["0,c9901.mha,0,0,0"], "", "row 2: has 6 cells; the header has 7"),
        ([], "x,brax,n9904\n", r"filenames_orig_and_new\.csv, row 4: orig_dataset is 'brax'; expected one of"),
        ([], "JPCLN900,jsrt,n9901\n", "row 4: n9901 is jsrt:JPCLN900 here, nih:00090001 in a row before"),
        (["0,c9999.mha,0,0,0,0"], "", r"row 2: c9999 is in neither filenames_orig_and_new\.csv nor non_nodule"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, rows, more, said):
    folder = _native(tmp_path, rows, more=more, pictures=[*NAMES, "c9999"])
    with pytest.raises(InputError, match=said):
        records("node21", DATASET, folder)
    assert len(mistakes("node21", DATASET, folder)) == 1


def test_a_nodule_whose_box_is_wrong_is_somewhere(tmp_path):
    folder = _native(tmp_path, ["9,n9901.mha,1,0,1,1"])
    [record] = records("node21", DATASET, folder, Problems(keep_going=True))
    assert (record.labels, record.boxes) == ({"Nodule": 1}, None)


def test_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.node21: .* has no proccessed_data or processed_data"):
        records("node21", DATASET, tmp_path)
    folder = _native(tmp_path, [])
    (folder / "cxr_images" / "original_data" / "filenames_orig_and_new.csv").unlink()
    with pytest.raises(InputError, match=r"no .*original_data/filenames_orig_and_new\.csv; put it there"):
        records("node21", DATASET, folder)
