"""ChestX-Det: phantoms and the real lists come back, and one line for each mistake."""

import json

import numpy as np
import pytest

from fxcore.data import shapes
from fxcore.data.native import Problems
from fxcore.data.records import Mask, Polygon
from fxcore.errors import InputError
from fxcore.passes import Split, Task
from fxcore.phantom.native.chestx_det import OFF
from fxcore.phantom.native.outline import filled, rings
from tests.data.adapters.trip import bitmap, counted, known, mistakes, records, trip

DATASET = known("chestx_det")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("chestx_det", tmp_path_factory.mktemp("chestx_det"), {"train": 5, "val": 2, "test": 4})


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"test": 4, "train": 7}
    assert sum(facts["boxes"].values()) >= 6


def test_pixels_boxes_and_masks_come_back(made):
    read = {record.image: record for record in made.records()}
    for case in made.cases:
        record = read[f"{90000 + case.number}"]
        np.testing.assert_array_equal(record.read(record.file, record.where), case.pixels)
        for label in DATASET.classes(Task.SEGMENTATION):
            drawn = [filled(shape) for shape in case.shapes(label)]
            whole = np.logical_or.reduce([np.zeros((160, 160), dtype=bool), *drawn])
            np.testing.assert_array_equal(bitmap(record, label, 160, 160), whole)
            assert record.labels[label] == int(case.has(label))
        for box, mask in zip(record.boxes, record.masks, strict=True):
            left, top, width, height = shapes.box(mask.shape, 160, 160)
            wide = OFF if case.number % 2 == 0 and left + width + OFF <= 160 else 0
            assert box.xywh == (left, top, width + wide, height)
            pixels = np.nonzero(shapes.bitmap(mask, 160, 160))
            assert (pixels[1].min(), pixels[1].max() + 1) == (left, left + width)
            assert (pixels[0].min(), pixels[0].max() + 1) == (top, top + height)


def test_some_box_disagrees_with_its_polygon(made):
    pairs = [(box, mask) for one in made.records() for box, mask in zip(one.boxes, one.masks, strict=True)]
    off = {box.xywh[2] - shapes.box(mask.shape, 160, 160)[2] for box, mask in pairs}
    assert off == {0, OFF}


def test_x_and_y_are_not_swapped(made):
    """Swapped corners give another mask: the comparison above would fail."""
    record = next(one for one in made.records() if one.masks)
    mask = record.masks[0]
    swapped = Mask(mask.label, Polygon(tuple((y, x) for x, y in mask.shape.points)), mask.where)
    assert not np.array_equal(shapes.bitmap(mask, 160, 160), shapes.bitmap(swapped, 160, 160))


def test_rings_lose_no_pixel_and_fill_holes():
    drawn = np.array([[0, 1, 1, 1, 0], [0, 1, 0, 1, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 1]], dtype=bool)
    found = [shapes.bitmap(Mask("x", Polygon(tuple(ring)), ""), 4, 5) for ring in rings(drawn)]
    assert len(found) == 2
    expected = drawn.copy()
    expected[1, 2] = True
    np.testing.assert_array_equal(np.logical_or(*found), expected)
    np.testing.assert_array_equal(filled(drawn), expected)
    assert rings(np.ones((2, 3), dtype=bool)) == [[(0, 0), (3, 0), (3, 2), (0, 2)]]


def _finding(label="Nodule", box=(3, 1, 9, 5), polygon=((3, 1), (9, 1), (9, 5), (3, 5))):
    return label, list(box), [list(point) for point in polygon]


def _entry(name, *findings):
    syms, boxes, polygons = (list(one) for one in zip(*findings, strict=True)) if findings else ([], [], [])
    return {"file_name": name, "syms": syms, "boxes": boxes, "polygons": polygons}


def _native(folder, train, test=(), parts=("train", "test")):
    for part, name, entries in zip(parts, ("train", "test"), (train, test), strict=True):
        (folder / part).mkdir(parents=True)
        for entry in entries:
            if isinstance(entry, dict) and isinstance(entry.get("file_name"), str):
                (folder / part / entry["file_name"]).touch()
        (folder / f"ChestX_Det_{name}.json").write_text(json.dumps(list(entries)))
    return folder


def test_an_empty_image_was_looked_at(tmp_path):
    folder = _native(tmp_path, [_entry("90001.png")], [_entry("90002.png", _finding())])
    empty, found = records("chestx_det", DATASET, folder)
    assert (empty.boxes, empty.masks, set(empty.labels.values()), empty.split) == ((), (), {0}, Split.TRAIN)
    assert (found.boxes[0].xywh, found.labels["Nodule"], found.split) == ((3, 1, 6, 4), 1, Split.TEST)
    assert (found.patient, found.group) == (None, "chestx_det:90002")


def test_one_class_many_times_and_names_that_begin_alike_stay_apart(tmp_path):
    far = ((12, 2), (14, 2), (14, 4), (12, 4))
    findings = [
        _finding("Nodule"),
        _finding("Nodule", (12, 2, 14, 4), far),
        _finding("Diffuse Nodule", (12, 2, 14, 4), far),
    ]
    [record] = records("chestx_det", DATASET, _native(tmp_path, [_entry("90001.png", *findings)]))
    assert bitmap(record, "Nodule", 8, 16).sum() == 24 + 4
    assert bitmap(record, "Diffuse Nodule", 8, 16).sum() == 4
    assert [box.label for box in record.boxes] == ["Nodule", "Nodule", "Diffuse Nodule"]


def test_only_what_the_dataset_asks_for_and_wherever_the_archive_put_it(tmp_path):
    some = known("chestx_det", classification=None, segmentation=None, localization={"classes": ["Mass"]})
    folder = _native(
        tmp_path / "ChestX-Det-Dataset", [_entry("90001.png", _finding())], parts=("train_data", "test_data")
    )
    [record] = records("chestx_det", some, tmp_path)
    assert (record.labels, record.boxes, record.masks) == (None, (), None)
    assert record.file == folder / "train_data" / "90001.png"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            _entry("90001.png", _finding("Noduel")),
            r"\(90001.png\), finding 0: unknown class 'Noduel'; did you mean Nodule",
        ),
        (
            _entry("90001.png", _finding(box=(3, 1, 3, 5))),
            r"finding 0: box is \[3, 1, 3, 5\]; expected \[x1, y1, x2, y2\]",
        ),
        (_entry("90001.png", _finding(box=(3, 1, 9))), r"finding 0: box is \[3, 1, 9\]; expected"),
        (_entry("90001.png", _finding(polygon=((3, 1), (9, 1)))), "finding 0: polygon of 2 points; expected three"),
        (_entry("90001.png", _finding(polygon=((3, 1), (9, 1), (9,)))), "finding 0: polygon of 3 points; expected"),
        (_entry("90001.png", _finding()) | {"boxes": []}, "expected file_name, and syms, boxes, polygons as lists of"),
        (_entry("90000.png"), "image 90000.png is in .*, image 0 already; keep one"),
        ({"file_name": 7}, "expected file_name, and"),
        ("90001.png", "expected file_name, and"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, entry, said):
    folder = _native(tmp_path, [_entry("90000.png"), entry])
    with pytest.raises(InputError, match=rf"ChestX_Det_train.json, image 1.*{said}"):
        records("chestx_det", DATASET, folder)
    assert len(mistakes("chestx_det", DATASET, folder)) == 1


def test_what_is_wrong_is_left_out_and_the_rest_stays(tmp_path):
    wrong = [_finding("Noduel"), _finding("Mass", box=(3, 1, 3, 5)), _finding("Effusion", polygon=((1, 1), (2, 2)))]
    folder = _native(tmp_path, [_entry("90001.png", *wrong)])
    problems = Problems(keep_going=True)
    [record] = records("chestx_det", DATASET, folder, problems)
    assert len(problems.found) == 3
    assert [box.label for box in record.boxes] == ["Effusion"]
    assert [mask.label for mask in record.masks] == ["Mass"]


def test_a_picture_that_is_not_there(tmp_path):
    folder = _native(tmp_path, [_entry("90001.png")])
    (folder / "train" / "90001.png").unlink()
    assert mistakes("chestx_det", DATASET, folder) == [
        f"{folder}/ChestX_Det_train.json, image 0: no image 90001.png in {folder}/train; put it there"
    ]


@pytest.mark.parametrize("content", ["{}", "[{"])
def test_a_file_that_is_no_list(tmp_path, content):
    folder = _native(tmp_path, [])
    (folder / "ChestX_Det_test.json").write_text(content)
    with pytest.raises(InputError, match=r"ChestX_Det_test\.json: .*download it again"):
        records("chestx_det", DATASET, folder)


def test_the_real_lists(shared, tmp_path):
    real = shared("cxr-real/native/chestx_det")
    for part in ("train", "test"):
        path = real / f"ChestX_Det_{part}.json"
        (tmp_path / path.name).symlink_to(path)
        (tmp_path / part).mkdir()
        for entry in json.loads(path.read_text()):
            (tmp_path / part / entry["file_name"]).touch()
    read = records("chestx_det", DATASET, tmp_path)
    for split, images, empty, boxes, images_of in (
        (Split.TRAIN, 3025, 547, 7905, {"Nodule": 313, "Diffuse Nodule": 133, "Mass": 115, "Consolidation": 1349}),
        (Split.TEST, 553, 64, 1734, {"Nodule": 79, "Diffuse Nodule": 36, "Mass": 33, "Consolidation": 293}),
    ):
        part = [one for one in read if one.split is split]
        assert len(part) == images
        assert sum(one.boxes == () for one in part) == empty
        assert sum(len(one.boxes) for one in part) == boxes == sum(len(one.masks) for one in part)
        assert {name: sum(one.labels[name] == 1 for one in part) for name in images_of} == images_of
    pairs = [
        (box.xywh, shapes.box(mask.shape, 0, 0)) for one in read for box, mask in zip(one.boxes, one.masks, strict=True)
    ]
    corners = [[(a[0], a[1], a[0] + a[2], a[1] + a[3]) for a in pair] for pair in pairs]
    off = sum(max(abs(a - b) for a, b in zip(*pair, strict=True)) > 1 for pair in corners)
    assert off == 116 + 34
