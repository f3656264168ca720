"""VinDr-CXR: three readers who disagree, one consensus in test, boxes by corners that pass the edge."""

import csv
import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

from fxcore.data import images
from fxcore.data.adapters import vindr_cxr as adapter
from fxcore.data.native import Native, Problems, header_size
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.case import extent, framed
from fxcore.phantom.native.formats import dicom
from fxcore.phantom.native.vindr_cxr import margins
from tests.data.adapters.trip import counted, known, mistakes, part, records, trip

KEY = "vindr_cxr"
LOCAL = {"classes": ["Cardiomegaly", "Nodule/Mass"]}
SHEET = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,Enlarged PA,ILD,"
    "Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,Pleural thickening,"
    "Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,Tuberculosis,Other diseases,No finding"
)
"""Columns of the image labels, from the dataset's sheet."""
ILL, WELL, TESTED = (f"9999999999999999999999999999990{number}" for number in (1, 2, 3))


def _row(*cells, there):
    return ",".join([*cells, *(str(int(name in there)) for name in SHEET.split(","))]) + "\n"


TRAIN = (
    f"image_id,rad_id,{SHEET}\n"
    + _row(ILL, "R8", there=["Cardiomegaly", "Pneumonia", "Other diseases"])
    + _row(WELL, "R1", there=["No finding"])
    + _row(ILL, "R9", there=["Cardiomegaly", "Other diseases"])
    + _row(ILL, "R10", there=["No finding"])
    + _row(WELL, "R2", there=["No finding"])
    + _row(WELL, "R17", there=["No finding"])
)
TEST = f"image_id,{SHEET}\n" + _row(TESTED, there=["Nodule/Mass", "Lung tumor"])
BOXES = f"""image_id,rad_id,class_name,x_min,y_min,x_max,y_max
{ILL},R8,Cardiomegaly,6.5,13.0,16.25,18.0
{ILL},R9,Cardiomegaly,7.0,14.0,21.5,18.5
{ILL},R10,No finding,,,,
{WELL},R1,No finding,,,,
{WELL},R2,Rib fracture,1,1,3,3
"""
TEST_BOXES = f"""image_id,class_name,x_min,y_min,x_max,y_max
{TESTED},Nodule/Mass,-1,2,4,24.5
"""


@pytest.fixture
def release(tmp_path):
    """A release by hand of pictures of 24 rows and 20 columns: `release(train=..., boxes=...)` gives its folder."""

    def write(train=TRAIN, test=TEST, boxes=BOXES, test_boxes=TEST_BOXES, folder=tmp_path):
        for image in (ILL, WELL, TESTED):
            path = folder / ("test" if image == TESTED else "train") / f"{image}.dicom"
            dicom(path, np.zeros((24, 20), dtype=np.uint8), "1.2.3")
        (folder / "annotations").mkdir()
        for name, text in (("image_labels_train", train), ("image_labels_test", test)):
            (folder / "annotations" / f"{name}.csv").write_text(text)
        for name, text in (("annotations_train", boxes), ("annotations_test", test_boxes)):
            (folder / "annotations" / f"{name}.csv").write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize("changes", [{}, {"readers": "majority"}, {"readers": "consensus"}])
def test_phantoms_come_back_as_they_were_written(tmp_path, changes):
    made = trip(KEY, tmp_path, {"train": 7, "val": 2, "test": 3}, **changes)
    found = made.records()
    assert counted(found) == made.expected.facts()
    assert made.expected.facts()["images"] == {"test": 3, "train": 9}
    kinds = set()
    for record, case in zip(found, made.cases, strict=True):
        left, top = margins(case.number)
        picture = record.read(record.file, record.where)
        # Windows over the whole range show lossless pixels exactly, whatever the depth, the kind and the sign.
        np.testing.assert_array_equal(picture, framed(case.pixels, left=left, right=left, top=top))
        header = pydicom.dcmread(record.file, stop_before_pixels=True)
        assert "PatientID" not in header
        kinds.add((header.file_meta.TransferSyntaxUID.name, header.BitsStored, header.PhotometricInterpretation))
    assert len(kinds) == 5
    assert {kind for _, _, kind in kinds} == {"MONOCHROME1", "MONOCHROME2"}


def test_a_second_inversion_would_be_caught(tmp_path):
    made = trip(KEY, tmp_path, {"train": 6, "val": 1, "test": 1})
    inverted = [one for one in made.records() if b"MONOCHROME1" in one.file.read_bytes()]
    assert inverted
    for record in inverted:
        picture = record.read(record.file, record.where)
        assert picture[:8].max() == 0  # the border that is not exposed
        assert (255 - picture)[:8].min() == 255


def test_boxes_of_phantoms_are_where_they_were_drawn(tmp_path):
    heads = {"classes": ["Nodule/Mass", "Pleural effusion", "Rib fracture", "Pulmonary fibrosis"]}
    made = trip(KEY, tmp_path, {"train": 8, "val": 2, "test": 4}, localization=heads)
    found = list(part("data.adapters", made.dataset).records(KEY, made.dataset, Native(tmp_path, tmp_path), Problems()))
    assert counted(made.records())["boxes"] == made.expected.facts()["boxes"]
    seen = 0
    for record, case in zip(found, made.cases, strict=True):
        left, top = margins(case.number)
        drawn = [(name, extent(shape)) for name in heads["classes"] for shape in case.shapes(name)]
        first = record.boxes[0].reader if record.boxes else None
        ours = [(box.label, box.xywh) for box in record.boxes if box.reader == first]
        assert sorted(ours) == sorted((name, (x + left, y + top, w, h)) for name, (x, y, w, h) in drawn)
        assert all(box.xywh[0] + box.xywh[2] <= 160 + 2 * left for box in record.boxes)
        if record.split is Split.TRAIN and record.boxes:
            assert len({box.reader for box in record.boxes}) == (2 if case.number % 10 == 4 else 3)
        seen += len(drawn)
    assert seen


def test_boxes_of_phantoms_can_be_fused(tmp_path):
    heads = {"classes": ["Nodule/Mass", "Pleural effusion"]}
    made = trip(KEY, tmp_path, {"train": 8, "val": 2, "test": 4}, localization=heads, fuse_boxes=0.4)
    assert counted(made.records()) == made.expected.facts()


def test_the_header_is_the_release_s(tmp_path):
    trip(KEY, tmp_path, {"train": 1, "val": 1, "test": 1})
    lines = [(tmp_path / f"annotations/image_labels_{part}.csv").read_text().splitlines() for part in ("train", "test")]
    assert (lines[0][0], lines[1][0]) == (f"image_id,rad_id,{SHEET}", f"image_id,{SHEET}")
    assert (len(lines[0]), len(lines[1])) == (1 + 2 * 3, 1 + 1)
    assert ",".join((*adapter.LOCAL, *adapter.GLOBAL)) == SHEET


def raw(folder, **changes):
    dataset = known(KEY, **changes)
    return list(adapter.records(KEY, dataset, Native(folder, folder), Problems()))


def test_three_readers_in_training_and_a_consensus_in_test(release):
    ill, well, tested = raw(release())
    assert [one["Pneumonia"] for one in ill.readers] == [1, 0, 0]
    assert [one["No finding"] for one in ill.readers] == [0, 0, 1]
    assert ill.labels is None
    assert [one["No finding"] for one in well.readers] == [1, 1, 1]
    assert tested.readers == ()
    assert tested.labels == {
        "Pleural effusion": 0,
        "Lung tumor": 1,
        "Pneumonia": 0,
        "Tuberculosis": 0,
        "Other diseases": 0,
        "No finding": 0,
    }
    assert [one.split for one in (ill, well, tested)] == [Split.TRAIN, Split.TRAIN, Split.TEST]


@pytest.mark.parametrize(("rule", "codes"), [("any", [1, 1, 1]), ("majority", [0, 1, 0]), ("consensus", [0, 0, 0])])
def test_readers_are_counted_by_the_policy_alone(release, rule, codes):
    ill, *_ = records(KEY, known(KEY, readers=rule), release())
    assert [ill.labels[name] for name in ("Pneumonia", "Other diseases", "No finding")] == codes


def test_nobody_knows_the_patients_and_all_views_are_frontal(release):
    found = raw(release())
    assert {one.patient for one in found} == {None}
    assert [one.group for one in found] == [f"vindr_cxr:{image}" for image in (ILL, WELL, TESTED)]
    assert {one.view for one in found} == {"PA"}


def test_another_spelling_of_other_diseases(release):
    folder = release(test=TEST.replace("Other diseases", "Other disease"))
    assert raw(folder)[2].labels["Other diseases"] == 0


def test_corners_become_boxes_cut_at_the_edge(release):
    ill, well, tested = raw(release(), localization=LOCAL)
    assert [(box.reader, box.xywh) for box in ill.boxes] == [
        ("R8", (6.5, 13.0, 9.75, 5.0)),
        ("R9", (7.0, 14.0, 13.0, 4.5)),  # 21.5 is 1.5 past the 20 columns
    ]
    assert well.boxes == ()  # a finding of no class of ours, and no finding
    assert [(box.reader, box.xywh) for box in tested.boxes] == [(None, (0.0, 2.0, 4.0, 22.0))]


def test_boxes_are_read_only_where_there_is_a_head_for_them(release, tmp_path):
    folder = release()
    assert {one.boxes for one in raw(folder)} == {None}
    for path in tmp_path.glob("annotations/annotations_*.csv"):
        path.unlink()
    assert len(raw(folder)) == 3
    with pytest.raises(InputError, match="annotations has no annotations_train"):
        raw(folder, localization=LOCAL)


def test_boxes_alone(release, tmp_path):
    folder = release()
    (tmp_path / "annotations/image_labels_train.csv").unlink()
    found = raw(folder, classification=None, localization=LOCAL)
    assert [one.readers for one in found] == [()] * 3
    assert [len(one.boxes) for one in found] == [2, 0, 1]


def test_an_image_that_the_box_table_lacks_is_unknown(release):
    folder = release(boxes="\n".join(BOXES.splitlines()[:4]) + "\n")
    assert raw(folder, localization=LOCAL)[1].boxes is None


@pytest.mark.parametrize("outer", ["1.0.0", "vindr-cxr/1.0.0"])
def test_a_folder_around_the_release(release, tmp_path, outer):
    (tmp_path / outer).mkdir(parents=True)
    assert len(raw(release(folder=tmp_path / outer))) == 3


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("train", "R10", "R9", "train.csv, row 5: R9 of .*1 is in .*row 4 already; keep one"),
        ("train", _row(ILL, "R10", there=["No finding"]), "", "row 2: .*1 has 2 readers; expected 3"),
        (
            "train",
            _row(ILL, "R10", there=["No finding"]),
            _row(ILL, "R10", there=[])[:-2] + "2\n",
            "row 5: No finding is '2'",
        ),
        (
            "train",
            _row(ILL, "R10", there=["No finding"]),
            _row(ILL, "R10", there=[])[:-2] + "\n",
            "row 5: No finding is ''",
        ),
        ("test", TESTED, TESTED[:-1] + "9", "test.csv, row 2: no picture .*9.dicom in test; download it again"),
        ("test", "\n9", "\n" + _row(TESTED, there=[]) + "9", "row 3: the consensus of .*3 is in .*row 2 already"),
        ("train", "rad_id", "reader", "no column 'rad_id'; it has image_id, reader"),
        (
            "boxes",
            "R8,Cardiomegaly",
            "R8,Cardiomegali",
            r"row 2: class_name is 'Cardiomegali' \(did you mean Cardiomegaly\?\)",
        ),
        ("boxes", "6.5,13.0,16.25,18.0", ",,,", r"row 2: class_name is 'Cardiomegaly' \(no box\); expected a local"),
        ("boxes", "R10,No finding,,,,", "R10,No finding,1,2,3,4", r"row 4: class_name is 'No finding' \(a box\)"),
        ("boxes", "6.5,13.0,16.25,18.0", "6.5,13.0,6.5,18.0", r"row 2: box \[6.5, 13.0, 6.5, 18.0\] .* has no area"),
        ("boxes", "6.5,13.0,16.25,18.0", "6.5,18.0,16.25,13.0", "row 2: box .* has no area"),
        ("boxes", "6.5,13.0,16.25,18.0", "6.5,13.0,16.25,", "row 2: y_max is ''; expected a number"),
        ("boxes", "6.5,13.0,16.25,18.0", "30,13.0,36,18", r"row 2: box .* is mostly outside its picture of 20 × 24"),
        ("boxes", "6.5,13.0,16.25,18.0", "0,13.0,60,18", "row 2: box .* is mostly outside its picture"),
    ],
)
def test_a_mistake_is_one_line(release, name, old, new, expected):
    content = {"train": TRAIN, "test": TEST, "boxes": BOXES}[name]
    assert old in content
    with pytest.raises(InputError, match=expected) as caught:
        raw(release(**{name: content.replace(old, new, 1)}), localization=LOCAL)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_collected(release):
    folder = release(
        train=TRAIN.replace("R17", "R2"),
        boxes=BOXES.replace("18.0", "x", 1).replace("R2,Rib", "R2,Rip"),
        test_boxes=TEST_BOXES,
    )
    found = mistakes(KEY, known(KEY, localization=LOCAL), folder)
    assert [line.split(": ", 1)[0].rpartition("/")[2] for line in found] == [
        "image_labels_train.csv, row 7",
        "image_labels_train.csv, row 3",  # two readers are left
        "annotations_train.csv, row 2",
        "annotations_train.csv, row 6",
    ]


def test_a_picture_whose_size_cannot_be_read_is_a_line(release, tmp_path):
    folder = release()
    (tmp_path / "test" / f"{TESTED}.dicom").write_bytes(b"")
    [line] = mistakes(KEY, known(KEY, localization=LOCAL), folder)
    assert "annotations_test.csv, row 2: " in line


def test_classes_that_the_release_has_not(release):
    folder = release()
    with pytest.raises(InputError, match=r"classification\.classes: PE is no class"):
        raw(folder, classification={"classes": ["PE"]})
    with pytest.raises(InputError, match=r"localization\.classes: Pneumonia is no class"):
        raw(folder, localization={"classes": ["Pneumonia"]})


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("RG1_J2KI.dcm", (1955, 1841)),
        ("highdicom_dx_image_thorax_211x169.dcm", (169, 211)),  # named by width × height
        ("xrv_Fake_MONOHR1.dcm", None),
    ],
)
def test_the_size_in_the_header_of_a_real_radiograph_is_that_of_its_picture(shared, name, size):
    path = shared(f"cxr-real/native/dicom/{name}")
    stated = header_size(path, "row 2", Problems())
    assert stated == images.read(path, "row 2").shape
    assert size in (None, stated)


def test_every_row_of_kaggles_box_table():
    """Kaggle's file has the same columns in another order, and one more."""
    if not os.environ.get("FXCORE_XRV"):
        pytest.skip("FXCORE_XRV does not name an unpacked torchxrayvision wheel")
    path = Path(os.environ["FXCORE_XRV"]) / "torchxrayvision" / "data" / "vinbigdata-train.csv.gz"
    found = adapter.read_boxes(path, Split.TRAIN, adapter.LOCAL, Problems())
    boxes = [box for _, drawn in found.values() for box in drawn]
    assert (len(found), sum(not drawn for _, drawn in found.values()), len(boxes)) == (15000, 10606, 67914 - 31818)
    assert Counter(box.label for box in boxes) == {
        "Aortic enlargement": 7162,
        "Atelectasis": 279,
        "Calcification": 960,
        "Cardiomegaly": 5427,
        "Consolidation": 556,
        "ILD": 1000,
        "Infiltration": 1247,
        "Lung Opacity": 2483,
        "Nodule/Mass": 2580,
        "Other lesion": 2203,
        "Pleural effusion": 2476,
        "Pleural thickening": 4842,
        "Pneumothorax": 226,
        "Pulmonary fibrosis": 4655,
    }
    assert {box.reader for box in boxes} <= {f"R{number}" for number in range(1, 18)}
    with gzip.open(path, "rt") as source:
        first = next(row for row in csv.DictReader(source) if row["x_min"])
    box = found[first["image_id"]][1][0]
    assert box.label == first["class_name"]
    assert box.xywh[0] + box.xywh[2] == float(first["x_max"])
