"""CheXmask on VinDr-CXR: phantoms and real rows come back, and one line for each mistake."""

import csv
import gzip

import numpy as np
import pytest

from fxcore.data import shapes
from fxcore.data.adapters import chexmask_vindr
from fxcore.data.native import Native, Problems
from fxcore.data.records import Mask, Runs
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.case import extent, framed
from fxcore.phantom.native.chexmask_vindr import runs
from fxcore.phantom.native.vindr_cxr import margins
from tests.data.adapters.trip import bitmap, counted, known, mistakes, records, trip

DATASET = known("chexmask_vindr")
ORGANS = ("Heart", "Left Lung", "Right Lung")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("chexmask_vindr", tmp_path_factory.mktemp("chexmask_vindr"))


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"test": 3, "train": 7}
    assert facts["masks"] == facts["boxes"] == dict.fromkeys(ORGANS, 10)


def test_pixels_boxes_and_masks_come_back(made):
    read = {int(record.image[1:], 16): record for record in made.records()}
    for case in made.cases:
        record, (side, top) = read[case.number], margins(case.number)
        border = {"left": side, "right": side, "top": top}
        picture = record.read(record.file, record.where)
        np.testing.assert_array_equal(picture, framed(case.pixels, **border))
        boxes = {box.label: box.xywh for box in record.boxes}
        for name in ORGANS:
            drawn = framed(case.phantom.organs[name], **border)
            np.testing.assert_array_equal(bitmap(record, name, *picture.shape), drawn)
            assert boxes[name] == extent(drawn)
        assert record.split is (Split.TEST if case.split is Split.TEST else Split.TRAIN)
        assert (record.patient, record.group) == (None, f"vindr_cxr:{record.image}")
        assert [(one.height, one.width) for one in record.stated] == [picture.shape]


def test_run_lengths_read_in_the_wrong_order_or_from_zero_are_another_mask(made):
    record = made.records()[0]
    high, wide = record.stated[0].height, record.stated[0].width
    text = record.masks[0].shape.text
    right = bitmap(record, "Heart", high, wide)
    columns = shapes.bitmap(Mask("Heart", Runs(text, relative=False), ""), wide, high).T
    assert not np.array_equal(columns, right)
    from_zero = " ".join(str(int(word) + 1) if at % 2 == 0 else word for at, word in enumerate(text.split()))
    moved = shapes.bitmap(Mask("Heart", Runs(from_zero, relative=False), ""), high, wide)
    np.testing.assert_array_equal(moved[:, 1:], right[:, :-1])
    assert not np.array_equal(moved, right)


def test_left_is_the_patients_left(made):
    for record in made.records():
        boxes = {box.label: box.xywh[0] + box.xywh[2] / 2 for box in record.boxes}
        assert boxes["Right Lung"] < boxes["Heart"] < boxes["Left Lung"]


def test_a_picture_of_bad_masks_is_there_and_left_out(made):
    pictures = {path.stem for path in made.folder.rglob("*.dicom")}
    assert len(pictures - {record.image for record in made.records()}) == 1
    with gzip.open(made.folder / "Preprocessed" / "VinDr-CXR.csv.gz", "rt", newline="") as source:
        table = list(csv.DictReader(source))
    assert len(table) == 11
    assert any("\n" in row["Landmarks"] and row["Landmarks"].startswith("[[") for row in table)
    assert min(float(row["Dice RCA (Mean)"]) for row in table) < 0.7


HEADER = "image_id,Dice RCA (Mean),Dice RCA (Max),Landmarks,Left Lung,Right Lung,Heart,Height,Width\n"
ID = f"{1:032d}"
GOOD = ("0.84", "0.89", '"431,221"', "7 2 12 2", "3 1 7 2 12 1 15 1 20 1", "6 1", "4", "5")


def _native(folder, *changes, test=(), packed=False, ids=(ID,)):
    """Rows of the table with changes of GOOD by place, of images whose pictures lie in train; those of `test` in test."""
    for part, names in (("train", ids), ("test", test)):
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / f"{name}.dicom").touch()
    lines = []
    for name, change in zip([*ids, *test], [*changes, *[{}] * 9], strict=False):
        cells = [change.get(at, cell) for at, cell in enumerate(GOOD, start=1)]
        lines.append(",".join([change.get(0, name), *cells]) + "\n")
    (folder / "OriginalResolution").mkdir()
    content = (HEADER + "".join(lines)).encode()
    path = folder / "OriginalResolution" / "VinDr-CXR.csv"
    if packed:
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_masks_worked_out_by_hand(tmp_path, packed):
    [record] = records("chexmask_vindr", DATASET, _native(tmp_path, packed=packed))
    assert bitmap(record, "Left Lung", 4, 5).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert bitmap(record, "Right Lung", 4, 5).astype(int).tolist() == [
        [0, 0, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 1, 0, 0, 1],
        [0, 0, 0, 0, 1],
    ]
    assert [(box.label, box.xywh) for box in record.boxes] == [
        ("Heart", (0, 1, 1, 1)),
        ("Left Lung", (1, 1, 2, 2)),
        ("Right Lung", (1, 0, 4, 4)),
    ]


def test_run_lengths_are_written_as_read():
    mask = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1]], dtype=bool)
    assert runs(mask) == "3 1 7 2 12 1 15 1 20 1"


def test_0_7_is_good_enough_and_less_is_not(tmp_path):
    ids = [f"{number:032d}" for number in (1, 2, 3)]
    folder = _native(tmp_path, {1: "0.7"}, {1: "0.69"}, {1: "0.1", 4: "x"}, ids=ids)
    assert [one.image for one in records("chexmask_vindr", DATASET, folder)] == ids[:1]


def test_landmarks_over_several_lines_shift_no_row(tmp_path):
    ids = [f"{number:032d}" for number in (1, 2)]
    folder = _native(tmp_path, {3: '"[[431 221]\n [401 224]]"'}, {8: "6"}, ids=ids)
    first, second = records("chexmask_vindr", DATASET, folder)
    assert (first.stated[0].width, second.stated[0].width) == (5, 6)
    assert second.where.endswith("VinDr-CXR.csv, row 3")


def test_pictures_lie_elsewhere_and_say_the_split(tmp_path):
    table, pictures = tmp_path / "chexmask" / "1.0.0", tmp_path / "vindr-cxr" / "1.0.0"
    _native(table, test=(f"{2:032d}",))
    for part in ("train", "test"):
        (pictures / part).parent.mkdir(parents=True, exist_ok=True)
        (table / part).rename(pictures / part)
    native = Native(tmp_path / "chexmask", tmp_path)
    read = list(chexmask_vindr.records("chexmask_vindr", DATASET, native, Problems()))
    assert [one.split for one in read] == [Split.TRAIN, Split.TEST]
    assert chexmask_vindr.files("chexmask_vindr", DATASET, native) == (
        *(table / "OriginalResolution" / "VinDr-CXR.csv", pictures / "train", pictures / "test"),
    )


def test_only_what_the_dataset_asks_for_and_lungs_in_one(tmp_path):
    folder = _native(tmp_path)
    [boxes] = records("chexmask_vindr", known("chexmask_vindr", segmentation=None), folder)
    assert (len(boxes.boxes), boxes.masks) == (3, None)
    lungs = known("chexmask_vindr", localization=None, segmentation={"classes": ["Lungs"]})
    [masks] = records("chexmask_vindr", lungs, folder)
    assert (masks.boxes, bitmap(masks, "Lungs", 4, 5).sum()) == (None, 4 + 6 - 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({1: "x"}, r"row 2: Dice RCA \(Mean\) is 'x'; expected a number"),
        ({7: ""}, "row 2: Height is ''; expected a number"),
        ({6: ""}, "row 2: Heart: run lengths '' are not pairs of start and length; download the file again"),
        ({4: "7 2 12"}, "row 2: Left Lung: run lengths '7 2 12' are not pairs"),
        ({4: "7 2 8 2"}, "row 2: Left Lung: run lengths '7 2 8 2' do not rise from 1 on"),
        ({5: "0 3"}, "row 2: Right Lung: run lengths '0 3' do not rise from 1 on"),
        ({5: "20 2"}, "row 2: Right Lung: a run ends in line 5; the image has 4"),
        ({0: f"{9:032d}"}, rf"row 2: no picture {9:032d}\.dicom in .*; put it there or remove the row"),
        ({8: "5,6"}, "row 2: has 10 cells; the header has 9"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, said):
    folder = _native(tmp_path, change)
    with pytest.raises(InputError, match=rf"VinDr-CXR\.csv, {said}"):
        records("chexmask_vindr", DATASET, folder)
    assert len(mistakes("chexmask_vindr", DATASET, folder)) == 1


def test_an_image_twice(tmp_path):
    folder = _native(tmp_path, {}, {0: ID}, ids=(ID, f"{2:032d}"))
    [said] = mistakes("chexmask_vindr", DATASET, folder)
    assert f"row 3: image {ID} is in" in said


def test_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.chexmask_vindr: .* has no OriginalResolution/VinDr-CXR\.csv or"):
        chexmask_vindr.files("chexmask_vindr", DATASET, Native(tmp_path, tmp_path))
    (_native(tmp_path / "in") / "test").rmdir()
    with pytest.raises(InputError, match=r"datasets\.chexmask_vindr: .* has no test or 1\.0\.0/test"):
        records("chexmask_vindr", DATASET, tmp_path / "in")
    with pytest.raises(InputError, match="Aorta is no class of this release"):
        records("chexmask_vindr", known("chexmask_vindr", segmentation={"classes": ["Aorta"]}), tmp_path / "in")


def test_real_rows_of_nih_images_have_the_masks_that_their_landmarks_outline(shared, tmp_path):
    """The table of another source, its images renamed; landmarks 0-43 are of the right lung, 44-93 left, 94-119 heart."""
    with shared("cxr-real/native/chexmask_nih50/ChestX-Ray8.csv").open(newline="") as source:
        table = list(csv.DictReader(source))
    for name in ("OriginalResolution", "train", "test"):
        (tmp_path / name).mkdir()
    with (tmp_path / "OriginalResolution" / "VinDr-CXR.csv").open("w", newline="") as sink:
        writer = csv.DictWriter(sink, HEADER.strip().split(","))
        writer.writeheader()
        for row in table:
            image = row.pop("Image Index").removesuffix(".png")
            writer.writerow(row | {"image_id": image})
            (tmp_path / "train" / f"{image}.dicom").touch()
    read = records("chexmask_vindr", DATASET, tmp_path)
    good = [row for row in table if float(row["Dice RCA (Mean)"]) >= 0.7]
    assert (len(table), len(good), len(read)) == (50, 48, 48)
    for row, record in zip(good, read, strict=True):
        # One landmark lies a pixel below its image.
        points = np.array(row["Landmarks"].split(","), dtype=int).reshape(120, 2).clip(max=1023)
        assert (record.stated[0].width, record.stated[0].height) == (1024, 1024)
        for box in record.boxes:
            part = {"Right Lung": points[:44], "Left Lung": points[44:94], "Heart": points[94:]}[box.label]
            low, high = part.min(axis=0), part.max(axis=0)
            assert box.xywh == (*low, *(high - low + 1))
            mask = bitmap(record, box.label, 1024, 1024)
            assert extent(mask) == box.xywh
            # Most of the outline is on the edge of the mask itself
            assert mask[part[:, 1], part[:, 0]].mean() > 0.9
