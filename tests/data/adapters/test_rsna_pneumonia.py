"""RSNA Pneumonia: rows a box, image identifiers called patients, and NIH behind them."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fxcore.data.adapters import rsna_pneumonia as adapter
from fxcore.data.native import Native, Problems
from fxcore.errors import InputError
from fxcore.phantom.case import extent
from fxcore.phantom.native.formats import dicom
from tests.data.adapters.trip import counted, known, mistakes, records, trip

KEY = "rsna_pneumonia"
ONE, TWO, THREE = (f"99999999-aaaa-bbbb-cccc-00000000000{number}" for number in (1, 2, 3))
CLASSES = f"""patientId,class
{ONE},Lung Opacity
{ONE},Lung Opacity
{TWO},No Lung Opacity / Not Normal
{THREE},Normal
"""
BOXES = f"""patientId,x,y,width,height,Target
{ONE},264.0,152.0,213.0,379.0,1
{ONE},562.0,152.0,256.0,453.0,1
{TWO},,,,,0
{THREE},,,,,0
"""
MAPPING = [
    {"subset_img_id": ONE, "img_id": "00090001_000.png"},
    {"subset_img_id": TWO, "img_id": "00090001_004.png"},
    {"subset_img_id": THREE, "img_id": "00090002_000.png"},
]


@pytest.fixture
def release(tmp_path):
    """The labelled part of a release by hand: `release(classes, boxes, mapping)` gives its folder."""

    def write(classes=CLASSES, boxes=BOXES, mapping=None, folder=tmp_path):
        (folder / "stage_2_train_images").mkdir(parents=True)
        for image in (ONE, TWO, THREE):
            (folder / "stage_2_train_images" / f"{image}.dcm").touch()
        (folder / "stage_2_detailed_class_info.csv").write_text(classes)
        (folder / "stage_2_train_labels.csv").write_text(boxes)
        if mapping is not None:
            (folder / adapter.MAPPING).write_text(json.dumps(mapping))
        return tmp_path

    return write


def test_phantoms_come_back_as_they_were_written(tmp_path):
    made = trip(KEY, tmp_path, {"train": 7, "val": 2, "test": 3})
    found = made.records()
    assert counted(found) == made.expected.facts()
    # of 12 images the second and third are of one patient, and the two for validation
    assert [case.number for case in made.cases[1:3] + made.cases[7:9]] == [1, 2, 300_001, 300_002]
    assert made.expected.facts()["patients"] == 10
    for record, case in zip(found, made.cases, strict=True):
        picture = record.read(record.file, record.where)
        # JPEG of quality 95 on a noisy picture
        assert np.abs(picture.astype(int) - case.pixels).max() <= 16
        assert np.abs(picture.astype(int) - case.pixels).mean() < 2
        assert [box.xywh for box in record.boxes] == [extent(shape) for shape in case.shapes("Lung Opacity")]
        mirrored = picture[:, ::-1].astype(int)
        assert np.abs(mirrored - case.pixels).mean() > 5


def test_a_row_is_a_box_and_an_image_is_one_record(release):
    first, second, third = records(KEY, known(KEY), release())
    assert [box.xywh for box in first.boxes] == [(264, 152, 213, 379), (562, 152, 256, 453)]
    assert second.boxes == third.boxes == ()
    assert first.labels == {"Normal": 0, "No Lung Opacity/Not Normal": 0, "Lung Opacity": 1}
    assert second.labels == {"Normal": 0, "No Lung Opacity/Not Normal": 1, "Lung Opacity": 0}
    assert third.labels == {"Normal": 1, "No Lung Opacity/Not Normal": 0, "Lung Opacity": 0}
    assert first.where.endswith("stage_2_detailed_class_info.csv, row 2")
    assert first.boxes[1].where.endswith("stage_2_train_labels.csv, row 3")


def test_a_patient_id_is_an_image_and_no_patient(release):
    found = records(KEY, known(KEY), release())
    assert [one.patient for one in found] == [None] * 3
    assert [one.group for one in found] == [f"{KEY}:{ONE}", f"{KEY}:{TWO}", f"{KEY}:{THREE}"]


def test_the_mapping_to_nih_names_patients(release):
    found = records(KEY, known(KEY), release(mapping=MAPPING))
    assert [one.patient for one in found] == ["00090001", "00090001", "00090002"]
    assert [one.group for one in found] == ["nih:00090001", "nih:00090001", "nih:00090002"]
    assert {one.split for one in found} == {None}


def test_pictures_without_labels_are_left_alone(tmp_path):
    made = trip(KEY, tmp_path, {"train": 3, "val": 1, "test": 1})
    assert len(list(tmp_path.glob("stage_2_test_images/*.dcm"))) == 2
    (tmp_path / "stage_2_train_images" / f"{ONE}.dcm").touch()
    assert len(made.records()) == 5


def test_a_header_is_read_only_where_views_are_chosen(release):
    folder = release()
    assert {one.view for one in records(KEY, known(KEY), folder)} == {None}
    grey = np.zeros((8, 8), dtype=np.uint8)
    for image, view in ((ONE, "PA"), (TWO, "AP"), (THREE, "")):
        dicom(folder / "stage_2_train_images" / f"{image}.dcm", grey, "1.2.3", PatientAge="155Y", ViewPosition=view)
    found = records(KEY, known(KEY, views=["PA"]), folder)
    assert [one.view for one in found] == ["PA", "AP", None]


def test_a_header_that_cannot_be_read_is_a_line(release):
    folder = release()  # files of no byte
    assert len(mistakes(KEY, known(KEY, views=["PA"]), folder)) == 3


def test_a_folder_around_the_release(release, tmp_path):
    folder = release(folder=tmp_path / "rsna-pneumonia-detection-challenge", mapping=MAPPING)
    assert [one.patient for one in records(KEY, known(KEY), folder)] == ["00090001", "00090001", "00090002"]


def test_tasks_that_the_block_lacks_are_none_and_their_table_is_not_needed(release, tmp_path):
    folder = release()
    (tmp_path / "stage_2_train_labels.csv").unlink()
    found = records(KEY, known(KEY, localization=None), folder)
    assert {one.boxes for one in found} == {None}
    dataset = known(KEY)
    assert len(adapter.files(KEY, known(KEY, localization=None), Native(folder, folder))) == 2
    with pytest.raises(InputError, match=r"datasets\.rsna_pneumonia: .* has no stage_2_train_labels\.csv"):
        adapter.files(KEY, dataset, Native(folder, folder))


def _classes(old, new):
    return {"classes": CLASSES.replace(old, new)}


def _boxes(old, new):
    return {"boxes": BOXES.replace(old, new)}


FIRST = "264.0,152.0,213.0,379.0,1"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (_classes("Not Normal", "Abnormal"), "class_info.csv, row 4: class 'No Lung Opacity / Abnormal' of"),
        (
            _classes(f"{THREE},Normal\n", f"{THREE},Normal\n{THREE},Lung Opacity\n"),
            "row 6: .* is Lung Opacity here and",
        ),
        (_classes(f"{THREE},Normal\n", ""), "labels.csv, row 5: .*3 is in stage_2_train_labels.csv and not in"),
        (
            _classes(f"{THREE},Normal", f"{THREE},Lung Opacity"),
            "labels.csv, row 5: .*3 has 0 boxes here and is Lung Op",
        ),
        (
            _boxes(f"{TWO},,,,,0", f"{TWO},1,1,5,5,1"),
            "row 4: .*2 has 1 boxes here and is No Lung Opacity/Not Normal at",
        ),
        (_boxes(f"{TWO},,,,,0", f"{TWO},,,,,1"), "labels.csv, row 4: Target of .*2 is '1'; expected 1 with a box"),
        (_boxes(FIRST, "264.0,152.0,213.0,379.0,0"), "row 2: Target of .*1 is '0'"),
        (_boxes(FIRST, "264.0,152.0,213.0,379.0,yes"), "row 2: Target of .*1 is 'yes'"),
        (_boxes(FIRST, "264.0,152.0,0.0,379.0,1"), "row 2: the box of Lung Opacity is 264.0, 152.0, 0.0, 379.0; exp"),
        (_boxes(FIRST, "264.0,152.0,wide,379.0,1"), "row 2: the box of Lung Opacity is 264.0, 152.0, wide, 379.0"),
        (_boxes(FIRST, "562.0,152.0,256.0,453.0,1"), "row 3: .*1 has this box, or none, at .*row 2 already"),
        (_boxes(f"{TWO},,,,,0\n", f"{TWO},,,,,0\n{TWO},,,,,0\n"), "row 5: .*2 has this box, or none, at"),
        (_boxes(f"{TWO},,,,,0", f"{TWO},,,,0"), "row 4: has 5 cells; the header has 6"),
        ({"mapping": MAPPING[:2]}, "row 5: .*3 is not in .*mappings_2018.json; take the whole"),
        (
            {"mapping": [*MAPPING, {"subset_img_id": TWO, "img_id": "00090003_000.png"}]},
            "entry 3: .*2 is of patient 00090003",
        ),
        ({"mapping": [*MAPPING, {"subset_img_id": TWO, "img_id": "x.png"}]}, "entry 3: maps .*2' to 'x.png'; expected"),
    ],
)
def test_a_mistake_is_one_line(release, changes, expected):
    folder = release(**changes)
    with pytest.raises(InputError, match=expected) as caught:
        records(KEY, known(KEY), folder)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_collected(release):
    broken = BOXES.replace(FIRST, "264.0,152.0,wide,379.0,1").replace(f"{TWO},,,,,0", f"{TWO},,,,,7")
    folder = release(boxes=broken)
    (folder / "stage_2_train_images" / f"{THREE}.dcm").unlink()
    found = mistakes(KEY, known(KEY), folder)
    assert [line.split(": ", 1)[1][:7] for line in found[:2]] == ["the box", "Target "]
    assert any(
        "is in stage_2_detailed_class_info.csv and not in" in line for line in found
    )  # TWO has lost its only row
    assert any(
        line.endswith("no picture " + f"{THREE}.dcm in stage_2_train_images; download it again or remove the row")
        for line in found
    )
    assert len(found) == 4


@pytest.mark.parametrize(("content", "expected"), [("{", "cannot be read as JSON"), ("{}", "expected a list")])
def test_a_mapping_that_is_none(release, content, expected):
    folder = release()
    (folder / adapter.MAPPING).write_text(content)
    with pytest.raises(InputError, match=expected):
        records(KEY, known(KEY), folder)


def test_a_class_that_the_release_has_not(release):
    with pytest.raises(InputError, match="classes: Nodule is no class of this release"):
        records(KEY, known(KEY, classification={"classes": ["Nodule"]}), release())


def test_every_row_of_the_real_box_table(tmp_path):
    if not os.environ.get("FXCORE_XRV"):
        pytest.skip("FXCORE_XRV does not name an unpacked torchxrayvision wheel")
    packed = Path(os.environ["FXCORE_XRV"]) / "torchxrayvision" / "data" / "kaggle_stage_2_train_labels.csv.zip"
    with zipfile.ZipFile(io.BytesIO(packed.read_bytes())) as archive:
        archive.extract("stage_2_train_labels.csv", tmp_path)
    found = adapter.read_boxes(tmp_path / "stage_2_train_labels.csv", Problems())
    boxes = [len(drawn) for _, drawn in found.values()]
    assert (len(found), sum(boxes)) == (26684, 9555)
    assert [boxes.count(number) for number in range(6)] == [20672, 2614, 3266, 119, 13, 0]
