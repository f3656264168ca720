"""TBX11K: phantoms in its format come back, what is unknown stays so, and one line for each mistake."""

import json
import xml.etree.ElementTree as Xml

import numpy as np
import pytest
from PIL import Image

from fxcore.data.native import Problems
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.case import extent
from tests.data.adapters.trip import counted, known, mistakes, records, trip

DATASET = known("tbx11k")
BY_CATEGORY = known("tbx11k", localization={"classes": ["ActiveTuberculosis", "ObsoletePulmonaryTuberculosis"]})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("tbx11k", tmp_path_factory.mktemp("tbx11k"), {"train": 8, "val": 2, "test": 5})


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"test": 5, "train": 10}
    assert facts["annotated"] == {"classification": 15, "localization": 14}  # one has tuberculosis and no box


def test_pixels_and_boxes_come_back(made):
    read = {int(record.image.lstrip("tbhs")) - 1: record for record in made.records()}
    unknown = [one for one in read.values() if one.boxes is None]
    assert [one.labels for one in unknown] == [{"TB": 1}]
    for case in made.cases:
        record = read[case.number]
        np.testing.assert_array_equal(record.read(record.file, record.where), case.pixels)
        assert record.split is (Split.TEST if case.split is Split.TEST else Split.TRAIN)
        assert (record.patient, record.group) == (None, f"tbx11k:{record.image}")
        if record.boxes is not None:
            assert [box.xywh for box in record.boxes] == [extent(shape) for shape in case.shapes("TB")]
        with Image.open(record.file) as picture:
            assert picture.mode == "RGB"


def test_the_folder_may_be_the_inner_one_and_boxes_are_read_where_asked_for(made):
    inner = records("tbx11k", made.dataset, made.folder / "TBX11K")
    assert counted(inner) == made.expected.facts()
    assert [file.name for file in made.files()] == [
        *("TBX11K_train.txt", "TBX11K_val.txt", "TBX11K_train.json", "TBX11K_val.json")
    ]


def test_voc_files_agree_with_the_boxes(made):
    for record in made.records():
        if record.boxes:
            tree = Xml.parse(made.folder / "TBX11K" / "annotations" / "xml" / f"{record.image}.xml")  # noqa: S314
            corners = [[float(of.text) for of in one] for one in tree.iter("bndbox")]
            assert [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in corners] == [box.xywh for box in record.boxes]


CATEGORIES = [
    {"id": 1, "name": "ActiveTuberculosis"},
    {"id": 2, "name": "ObsoletePulmonaryTuberculosis"},
    {"id": 3, "name": "PulmonaryTuberculosis"},
]


def _native(folder, lines, boxes=(), pictures=None, **annotation):
    """Images of the training list and boxes (name, category, bbox); `boxes` of a name make it listed there."""
    root = folder / "TBX11K"
    (root / "lists").mkdir(parents=True)
    (root / "annotations" / "json").mkdir(parents=True)
    names = [line for line in lines if line.strip()]
    for name in names if pictures is None else pictures:
        (root / "imgs" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "imgs" / name).touch()
    content = {
        "images": [
            {"id": at, "file_name": name, "width": 512, "height": 512}
            for at, name in enumerate(dict.fromkeys([*names, *(box[0] for box in boxes)]))
        ],
        "annotations": [],
        "categories": CATEGORIES,
    }
    ids = {one["file_name"]: one["id"] for one in content["images"]}
    for at, (name, category, bbox) in enumerate(boxes):
        content["annotations"].append(
            {"id": at, "image_id": ids[name], "category_id": category, "bbox": bbox} | annotation
        )
    for part, listed, written in (("train", lines, content), ("val", [], content | {"images": [], "annotations": []})):
        (root / "lists" / f"TBX11K_{part}.txt").write_text("\n".join(listed))
        (root / "annotations" / "json" / f"TBX11K_{part}.json").write_text(json.dumps(written))
    return folder


BOXES = [("tb/tb9001.png", 1, [101.5, 88.0, 80.0, 65.0]), ("tb/tb9001.png", 2, [300.0, 90.0, 20.0, 30.0])]


def test_one_class_joins_the_categories_and_several_keep_them(tmp_path):
    folder = _native(tmp_path, ["tb/tb9001.png"], BOXES)
    [joined] = records("tbx11k", DATASET, folder)
    assert [(box.label, box.xywh) for box in joined.boxes] == [
        ("Tuberculosis", (101.5, 88, 80, 65)),
        ("Tuberculosis", (300, 90, 20, 30)),
    ]
    [apart] = records("tbx11k", BY_CATEGORY, folder)
    assert [box.label for box in apart.boxes] == ["ActiveTuberculosis", "ObsoletePulmonaryTuberculosis"]
    assert [(one.width, one.height) for one in joined.stated] == [(512, 512)]


def test_sick_is_not_tuberculosis_and_without_a_box_it_is_unknown_where(tmp_path):
    names = ["health/h9001.png", "sick/s9001.png", "tb/tb1199.png"]
    read = records("tbx11k", DATASET, _native(tmp_path, names))
    assert [(one.labels["TB"], one.boxes) for one in read] == [(0, ()), (0, ()), (1, None)]


def test_an_image_that_says_nothing_for_the_tasks_is_not_there(tmp_path):
    names = ["health/h9001.png", "tb/tb1199.png"]
    read = records("tbx11k", known("tbx11k", classification=None), _native(tmp_path, names))
    assert [one.image for one in read] == ["h9001"]


def test_a_blank_line_and_windows_line_ends_cut_nothing(tmp_path):
    folder = _native(tmp_path, ["health/h9001.png", "", "sick/s9001.png"])
    path = folder / "TBX11K" / "lists" / "TBX11K_train.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(records("tbx11k", DATASET, folder)) == 2


def test_boxes_are_not_needed_for_classification(tmp_path):
    folder = _native(tmp_path, ["tb/tb9001.png"], BOXES)
    (folder / "TBX11K" / "annotations" / "json" / "TBX11K_train.json").unlink()
    [record] = records("tbx11k", known("tbx11k", localization=None), folder)
    assert (record.labels, record.boxes) == ({"TB": 1}, None)
    with pytest.raises(InputError, match=r"datasets\.tbx11k: no .*TBX11K_train\.json"):
        records("tbx11k", DATASET, folder)


NAME = "tb/tb9001.png"


@pytest.mark.parametrize(
    ("lines", "boxes", "said"),
    [
        (["tb/tb9001.png"] * 2, [], r"train\.txt, line 2: image tb9001 is in .*line 1 already; keep one"),
        (["extra/da/p1.png"], [], r"train\.txt, line 1: no image .*extra/da/p1\.png; expected one in tb, health, sick"),
        (
            ["health/h9001.png"],
            [("health/h9001.png", 1, [1, 2, 3, 4])],
            "annotation 0: a box of ActiveTuberculosis on an",
        ),
        ([NAME], [(NAME, 1, [1, 2, 0, 4])], r"annotation 0: box \[1\.0, 2\.0, 0\.0, 4\.0\] of an image of 512 × 512"),
        ([NAME], [(NAME, 1, [500, 2, 14, 4])], "annotation 0: box .*inside it"),
        ([NAME], [(NAME, 1, [-2, 2, 14, 4])], "annotation 0: box .*inside it"),
        ([NAME], [(NAME, 1, [1, 2, 3])], r"annotation 0: bbox is \[1, 2, 3\]; expected"),
        ([NAME], [("tb/tb9002.png", 1, [1, 2, 3, 4])], r"annotation 0: image tb/tb9002\.png is in no list"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, lines, boxes, said):
    folder = _native(tmp_path, lines, boxes)
    with pytest.raises(InputError, match=said):
        records("tbx11k", DATASET, folder)
    assert len(mistakes("tbx11k", DATASET, folder)) == 1


def test_a_picture_that_is_not_there(tmp_path):
    [said] = mistakes("tbx11k", DATASET, _native(tmp_path, ["tb/tb9001.png"], BOXES, pictures=[]))
    assert said.endswith("imgs/tb/tb9001.png; expected one in tb, health, sick; put it there")


def test_a_wrong_box_is_left_out_and_the_others_stay(tmp_path):
    folder = _native(tmp_path, [NAME], [*BOXES, (NAME, 1, [1, 2, 0, 4])])
    [record] = records("tbx11k", DATASET, folder, Problems(keep_going=True))
    assert len(record.boxes) == 2


def test_a_category_that_nobody_knows(tmp_path):
    folder = _native(tmp_path, [NAME], [(NAME, 4, [1, 2, 3, 4])])
    with pytest.raises(InputError, match="category_id 4 is not among the categories"):
        records("tbx11k", DATASET, folder)
