"""NIH ChestX-ray14: phantoms in its format come back, its traps, and one line for each mistake."""

import gzip
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fxcore.data.adapters import nih14
from fxcore.data.native import Native, Problems
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.case import extent
from tests.data.adapters.trip import counted, known, mistakes, records, trip

SPLITS = {"train": 5, "val": 2, "test": 10}
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOXES = {"localization": {"classes": list(nih14.BOXED)}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("nih14", tmp_path_factory.mktemp("nih14"), SPLITS, **BOXES)


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"test": 10, "train": 7}  # validation is cut from training later
    assert facts["annotated"]["localization"] >= 3
    assert made.mistakes() == []


def test_without_a_head_for_boxes_there_are_none(tmp_path):
    made = trip("nih14", tmp_path, SPLITS)
    assert counted(made.records()) == made.expected.facts()
    assert not made.expected.facts()["boxes"]
    (tmp_path / "BBox_List_2017.csv").unlink()
    assert len(made.records()) == 17


def test_boxes_alone_make_records_of_boxed_images_only(tmp_path):
    made = trip("nih14", tmp_path, SPLITS, **BOXES, classification=None)
    assert counted(made.records()) == made.expected.facts()
    assert all(one.boxes and one.labels is None for one in made.records())


def test_pixels_and_boxes_come_back(made):
    read = {record.image: record for record in made.records()}
    for case in made.cases:
        record = read[f"{90001 + case.number:08d}_000.png"]
        np.testing.assert_array_equal(record.read(record.file, record.where), case.pixels)
        assert record.group == f"nih:{90001 + case.number:08d}" == f"nih:{record.patient}"
        drawn = [(label, extent(shape)) for label in nih14.BOXED for shape in case.shapes(label)]
        boxed = case.split is Split.TEST and case.number % 2 and drawn
        assert (record.boxes is not None) == bool(boxed)
        if record.boxes:
            assert [(one.label, one.xywh) for one in record.boxes] == drawn


def test_an_rgba_picture_is_read_without_its_alpha(made):
    case = next(case for case in made.cases if case.number % 5 == 1)
    (one,) = (one for one in made.records() if one.image == f"{90001 + case.number:08d}_000.png")
    with Image.open(one.file) as picture:
        assert picture.mode == "RGBA"
    np.testing.assert_array_equal(one.read(one.file, one.where), case.pixels)


def _release(folder: Path, *lines: str, boxes: str = "", train: str = "", test: str = "", header: str = HEADER) -> Path:
    """A release of a few rows by hand; every image of `lines` is in the training list unless lists are given."""
    names = dict.fromkeys(line.split(",")[0] for line in lines)
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join([header, *lines]) + "\n")
    (folder / "BBox_List_2017.csv").write_text(f"Image Index,Finding Label,Bbox [x,y,w,h],,,\n{boxes}")
    (folder / "train_val_list.txt").write_text(train or "\n".join(name for name in names if name not in test))
    (folder / "test_list.txt").write_text(test)
    return folder


def _row(patient=90001, number=0, finding="No Finding", after=""):
    return f"{patient:08d}_{number:03d}.png,{finding},{number},{patient},58,M,PA,2682,2749,0.143,0.143{after}"


def test_a_header_that_splits_into_eleven_names_and_lines_that_end_in_a_comma(tmp_path):
    old = _release(tmp_path, _row(finding="Mass|Edema", after=","), header=f"{HEADER},")
    (one,) = records("nih14", known("nih14"), old)
    assert {name for name, code in one.labels.items() if code == 1} == {"Mass", "Edema"}
    assert set(one.labels.values()) == {0, 1}  # a missing label is a 0
    assert (one.view, one.stated) == ("PA", ())  # sizes there are of the original, not of the PNG
    assert [one.image for one in records("nih14", known("nih14"), _release(tmp_path, _row(after=",")))] == [
        "00090001_000.png"
    ]


def test_the_corrected_table_is_preferred_and_the_old_one_is_taken_alone(tmp_path):
    folder = _release(tmp_path, _row(finding="Mass"))
    (folder / "Data_Entry_2017.csv").write_text(f"{HEADER},\n{_row(finding='Hernia', after=',')}\n")
    assert records("nih14", known("nih14"), folder)[0].labels["Mass"] == 1
    (folder / "Data_Entry_2017_v2020.csv").unlink()
    assert records("nih14", known("nih14"), folder)[0].labels["Hernia"] == 1


@pytest.mark.parametrize("inner", ["images_003/images", "images", "images/images"])
def test_pictures_are_found_by_name_in_any_folder(tmp_path, inner):
    folder = _release(tmp_path, _row())
    (folder / inner).mkdir(parents=True)
    Image.new("L", (4, 3)).save(folder / inner / "00090001_000.png")
    assert records("nih14", known("nih14"), folder)[0].file == folder / inner / "00090001_000.png"


def test_a_container_around_the_release(tmp_path):
    (tmp_path / "ChestXray-NIHCC").mkdir()
    _release(tmp_path / "ChestXray-NIHCC", _row())
    assert len(records("nih14", known("nih14"), tmp_path)) == 1


def test_infiltrate_is_infiltration_and_rows_of_boxes_end_in_six_or_nine_cells(tmp_path):
    boxes = "00090002_000.png,Infiltrate,100.5,200.25,80.0,60.75\n00090002_000.png,Mass,512.0,400.0,96.5,88.0,,,\n"
    folder = _release(tmp_path, _row(), _row(90002, finding="Mass"), boxes=boxes, test="00090002_000.png")
    unknown, boxed = records("nih14", known("nih14", **BOXES), folder)
    assert unknown.boxes is None  # not empty: nobody looked
    assert [(one.label, one.xywh) for one in boxed.boxes] == [
        ("Infiltration", (100.5, 200.25, 80.0, 60.75)),
        ("Mass", (512.0, 400.0, 96.5, 88.0)),
    ]
    assert boxed.split is Split.TEST
    some = known("nih14", localization={"classes": ["Nodule"]})
    assert [one.boxes for one in records("nih14", some, folder)] == [None, None]


def test_a_blank_line_ends_no_list(tmp_path):
    rows = [_row(90001), _row(90002), _row(90003)]
    folder = _release(tmp_path, *rows, train="00090001_000.png\n\n00090002_000.png \n", test="00090003_000.png\r\n")
    assert [one.split for one in records("nih14", known("nih14"), folder)] == [Split.TRAIN, Split.TRAIN, Split.TEST]


TABLE, BOX = r"Data_Entry_2017_v2020\.csv, row 3", r"BBox_List_2017\.csv, row 2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"row": _row(90002, finding="Cardiomegally")}, rf"{TABLE}: finding 'Cardiomegally' is unknown; expected No"),
        ({"row": _row(90002, finding="")}, rf"{TABLE}: finding '' is unknown"),
        ({"row": _row(90002, finding="No Finding|Mass")}, rf"{TABLE}: No Finding\|Mass contradicts itself; remove"),
        ({"row": _row(90002).replace(",90002,", ",90003,")}, rf"{TABLE}: image '00090002_000.png' of patient '90003';"),
        ({"row": _row(90002).replace(",90002,", ",90002.0,")}, rf"{TABLE}: .* of patient '90002.0'; expected a name"),
        ({"row": _row(90002, after=",,")}, rf"{TABLE}: has 13 cells; expected 11, or a blank twelfth"),
        ({"row": _row(90001)}, rf"{TABLE}: image 00090001_000.png is in .*row 2 already; keep one"),
        ({"train": "00090001_000.png\n"}, rf"{TABLE}: 00090002_000.png is in neither train_val_list.txt nor test_list"),
        (
            {"test": "00090001_000.png"},
            r"test_list\.txt, row 1: image 00090001_000.png is in .*train_val_list\.txt, row",
        ),
        ({"test": "00090009_000.png"}, r"test_list\.txt, row 1: 00090009_000.png is not in .*v2020\.csv; add its row"),
        ({"boxes": "00090009_000.png,Mass,1,2,3,4"}, rf"{BOX}: 00090009_000.png is not in"),
        ({"boxes": "00090001_000.png,Hernia,1,2,3,4"}, rf"{BOX}: is '00090001_000.png,Hernia,1,2,3,4'; expected an im"),
        ({"boxes": "00090001_000.png,Mass,1,2,3"}, rf"{BOX}: is '00090001_000.png,Mass,1,2,3'; expected an image, one"),
        ({"boxes": "00090001_000.png,Mass,1,2,0.0,4"}, rf"{BOX}: the box of Mass is 1, 2, 0.0, 4; expected left, top"),
        ({"boxes": "00090001_000.png,Mass,1,2,,4"}, rf"{BOX}: the box of Mass is 1, 2, , 4; expected"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, said):
    rows = [_row(), change.get("row", _row(90002))]
    listed = {"train": "\n".join(dict.fromkeys(row[:16] for row in rows))}
    folder = _release(tmp_path, *rows, **(listed | {name: text for name, text in change.items() if name != "row"}))
    with pytest.raises(InputError, match=said):
        records("nih14", known("nih14", **BOXES), folder)
    assert len(mistakes("nih14", known("nih14", **BOXES), folder)) == 1


def test_all_mistakes_are_collected_and_the_rest_is_read(tmp_path):
    folder = _release(tmp_path, _row(), _row(90002, finding="x"), _row(90003, finding="y"), _row(90004))
    problems = Problems(keep_going=True)
    found = records("nih14", known("nih14"), folder, problems)
    assert [one.image for one in found] == ["00090001_000.png", "00090004_000.png"]
    assert len(problems.found) == 2


def test_what_is_missing_and_what_the_release_does_not_say(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.nih14: .* has no Data_Entry_2017_v2020"):
        records("nih14", known("nih14"), tmp_path)
    _release(tmp_path, _row(), header="Image,Labels")
    with pytest.raises(InputError, match=r"begins with .*; expected Image Index, Finding Labels; download it again"):
        records("nih14", known("nih14"), tmp_path)
    for task, name in (("classification", "Covid"), ("localization", "Hernia"), ("segmentation", "Lung")):
        with pytest.raises(InputError, match=rf"nih14\.{task}\.classes: {name} is no class of this release"):
            records("nih14", known("nih14", **{task: {"classes": [name]}}), _release(tmp_path, _row()))


def test_real_rows_boxes_and_pictures(shared, tmp_path):
    real = shared("cxr-real/native/nih_chestxray14")
    shutil.copy(real / "Data_Entry_2017_v2020.head2000.csv", tmp_path / "Data_Entry_2017_v2020.csv")
    names = [line.split(",")[0] for line in (tmp_path / "Data_Entry_2017_v2020.csv").read_text().splitlines()[1:]]
    header, *boxes = (real / "BBox_List_2017.csv").read_text().splitlines()
    here = [line for line in boxes if line.split(",")[0] in names]
    (tmp_path / "BBox_List_2017.csv").write_text("\n".join([header, *here]))
    tests = {line.split(",")[0] for line in here}
    (tmp_path / "train_val_list.txt").write_text("\n".join(name for name in names if name not in tests))
    (tmp_path / "test_list.txt").write_text("\n".join(sorted(tests)))
    (tmp_path / "images").mkdir()
    for name in ("00000317_003.png", "00000376_000.png"):
        shutil.copy(real / name, tmp_path / "images" / name)
    found = records("nih14", known("nih14", **BOXES), tmp_path)
    assert len(found) == 2000
    assert sum(len(one.boxes or ()) for one in found) == len(here) > 5
    shown = [one for one in found if one.file.exists()]
    assert {one.read(one.file, one.where).shape for one in shown} == {(1024, 1024)}


def test_every_real_box_is_read(shared):
    found = nih14._boxes(shared("cxr-real/native/nih_chestxray14/BBox_List_2017.csv"), nih14.BOXED, Problems())
    counts = Counter(box.label for of in found.values() for box in of)
    assert (len(found), sum(counts.values())) == (880, 984)
    assert counts == {
        "Atelectasis": 180,
        "Effusion": 153,
        "Cardiomegaly": 146,
        "Infiltration": 123,
        "Pneumonia": 120,
        "Pneumothorax": 98,
        "Mass": 85,
        "Nodule": 79,
    }


def test_every_real_row_is_read(tmp_path):
    wheel = os.environ.get("FXCORE_XRV")
    if not wheel:
        pytest.skip("needs FXCORE_XRV: the unpacked wheel of torchxrayvision, which has the release's table")
    table = Path(wheel) / "torchxrayvision/data/Data_Entry_2017_v2020.csv.gz"
    shutil.copy(table, tmp_path)
    with gzip.open(table, "rt") as source:
        names = [line.split(",")[0] for line in source][1:]
    (tmp_path / "train_val_list.txt").write_text("\n".join(names))
    (tmp_path / "test_list.txt").touch()
    found = list(nih14.records("nih14", known("nih14"), Native(tmp_path, tmp_path), Problems()))
    assert (len(found), len({one.patient for one in found})) == (112_120, 30_805)
    counts = Counter(name for one in found for name, code in one.labels.items() if code == 1)
    assert sum(not any(one.labels.values()) for one in found) == 60_361
    assert counts["Infiltration"] == 19_894
    assert counts["Hernia"] == 227
    assert Counter(one.view for one in found) == {"PA": 67_310, "AP": 44_810}
