"""SIIM-ACR: nested folders, stray blanks, several rows an image, and run lengths down the columns."""

import os
from pathlib import Path

import numpy as np
import pytest

from fxcore.data import rle, shapes
from fxcore.data.adapters import siim_acr as adapter
from fxcore.data.native import Problems, rows
from fxcore.data.records import Mask, Runs
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.case import extent
from fxcore.phantom.native.formats import dicom
from fxcore.phantom.native.siim_acr import cut, relative
from tests.data.adapters.trip import bitmap, counted, known, mistakes, records, trip

KEY = "siim_acr"
NEGATIVE, POSITIVE, TESTED, STRAY = (f"1.2.999.8323329.{number}.1" for number in (1, 2, 3, 4))
TABLE = f"""ImageId,EncodedPixels
{NEGATIVE},-1
{POSITIVE},5 2 1 2 8 2
{POSITIVE},0 1
{TESTED},5 2 2 2
"""
"""The two masks of 4 rows and 5 columns that are worked out in test_rle.py, and the first pixel."""


@pytest.fixture
def release(tmp_path):
    """A release by hand with pictures of 4 rows and 5 columns: `release(table, name)` gives its folder."""

    def write(table=TABLE, name="stage_2_train.csv", folder=tmp_path):
        for image in (NEGATIVE, POSITIVE, TESTED, STRAY):
            inner = "dicom-images-test" if image == TESTED else "dicom-images-train"
            path = folder / inner / f"{image}.8" / f"{image}.9" / f"{image}.dcm"
            dicom(path, np.zeros((4, 5), dtype=np.uint8), image, ViewPosition="AP", PatientID="99999999-aaaa")
        (folder / name).write_text(table)
        return tmp_path

    return write


def test_phantoms_come_back_as_they_were_written(tmp_path):
    made = trip(KEY, tmp_path, {"train": 10, "val": 2, "test": 4})
    found = made.records()
    assert counted(found) == made.expected.facts()
    assert made.expected.facts()["images"] == {"test": 4, "train": 12}
    positive = 0
    for record, case in zip(found, made.cases, strict=True):
        picture = record.read(record.file, record.where)
        assert np.abs(picture.astype(int) - case.pixels).max() <= 16
        assert np.abs(picture.astype(int) - case.pixels).mean() < 2
        drawn = np.logical_or.reduce([np.zeros((160, 160), dtype=bool), *case.shapes("Pneumothorax")])
        np.testing.assert_array_equal(bitmap(record, "Pneumothorax", 160, 160), drawn)
        parts = [part for shape in case.shapes("Pneumothorax") for part in cut(shape, 3 if case.number % 4 == 1 else 1)]
        assert [box.xywh for box in record.boxes] == [extent(part) for part in parts]
        positive += len(parts) == 3
    assert positive  # an image of three rows


def test_a_decoder_along_the_rows_would_be_caught(tmp_path):
    made = trip(KEY, tmp_path, {"train": 6, "val": 1, "test": 1})
    for record, case in zip(made.records(), made.cases, strict=True):
        for mask, shape in zip(record.masks, case.shapes("Pneumothorax"), strict=False):
            spans = rle.relative(mask.shape.text)
            along = rle.fill(spans, 160 * 160).reshape(160, 160)
            assert not np.array_equal(along, shape)
            shifted = rle.fill(spans - 1, 160 * 160).reshape(160, 160).T  # starts counted from 1
            assert not np.array_equal(shifted, bitmap(record, "Pneumothorax", 160, 160))


def test_rows_of_an_image_add_up(release):
    _, positive, tested = records(KEY, known(KEY), release())
    # 0.3 of the dataset sheet: mask A, and the first pixel; mask B
    expected = [[1, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(bitmap(positive, "Pneumothorax", 4, 5), np.array(expected, dtype=bool))
    assert [box.xywh for box in positive.boxes] == [(1, 0, 4, 4), (0, 0, 1, 1)]
    assert [box.where[-5:] for box in positive.boxes] == ["row 3", "row 4"]
    assert [box.xywh for box in tested.boxes] == [(1, 1, 2, 2)]


def test_an_image_without_pneumothorax_was_looked_at(release):
    negative, positive, _ = records(KEY, known(KEY), release())
    assert (negative.labels, negative.boxes, negative.masks) == ({"Pneumothorax": 0}, (), ())
    assert positive.labels == {"Pneumothorax": 1}


def test_the_test_folder_is_the_test_and_patients_are_unknown(release):
    found = records(KEY, known(KEY), release())
    assert [one.split for one in found] == [Split.TRAIN, Split.TRAIN, Split.TEST]
    assert {one.patient for one in found} == {None}
    assert found[0].group == f"siim_acr:{NEGATIVE}"
    assert {one.view for one in found} == {None}
    assert {one.view for one in records(KEY, known(KEY, views=["PA"]), release())} == {"AP"}


def test_blanks_in_the_header_and_before_the_minus(release):
    stray = TABLE.replace("ImageId,EncodedPixels", "ImageId, EncodedPixels").replace(",-1", ", -1")
    found = records(KEY, known(KEY), release(stray))
    assert [one.labels["Pneumothorax"] for one in found] == [0, 1, 1]


def test_the_table_of_stage_1_labels_no_test_picture(release, tmp_path):
    folder = release(TABLE.rpartition(TESTED)[0], "train-rle.csv")
    found = records(KEY, known(KEY), folder)
    assert [one.split for one in found] == [None, None]
    for path in sorted(tmp_path.glob("dicom-images-test/**/*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert len(records(KEY, known(KEY), folder)) == 2


def test_a_folder_around_the_release(release, tmp_path):
    assert len(records(KEY, known(KEY), release(folder=tmp_path / "siim"))) == 3


def test_a_file_without_a_row_is_left_alone(release):
    assert STRAY not in [one.image for one in records(KEY, known(KEY), release())]


def test_tasks_that_the_block_lacks_are_none(release):
    for one in records(KEY, known(KEY, localization=None, segmentation=None), release()):
        assert (one.boxes, one.masks) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (f"{TESTED},5 2 2 2", f"{TESTED},5 2 2", "row 5: run lengths '5 2 2' are not pairs of start and length"),
        (f"{TESTED},5 2 2 2", f"{TESTED},", "row 5: run lengths '' are not pairs"),
        (f"{TESTED},5 2 2 2", f"{TESTED},5 2 2 x", "row 5: run lengths '5 2 2 x' are not pairs"),
        (f"{TESTED},5 2 2 2", f"{TESTED},5 2 2 0", "row 5: .* have a run of length 0"),
        (f"{TESTED},5 2 2 2", f"{TESTED},5 2 12 2", "row 5: runs end in column 6; the picture has 5"),
        (f"{TESTED},5 2 2 2", f"{TESTED},5 2,2 2", "row 5: has 3 cells; the header has 2"),
        (f"{POSITIVE},0 1", f"{POSITIVE},-1", "row 4: .* is without a region, or has this one, at .*row 3 already"),
        (f"{POSITIVE},0 1", f"{POSITIVE},5 2 1 2 8 2", "row 4: .* is without a region, or has this one, at .*row 3"),
        (f"{POSITIVE},0 1", f"{NEGATIVE},0 1", "row 4: .* is without a region, or has this one, at .*row 2 already"),
        (f"{POSITIVE},0 1", f"{NEGATIVE},-1", "row 4: .* is without a region, or has this one, at .*row 2 already"),
        (
            f"{TESTED},5 2 2 2",
            "1.2.3,-1",
            r"row 5: 1\.2\.3\.dcm is 0 times in dicom-images-train and dicom-images-test",
        ),
        ("ImageId", "Image", "no column 'ImageId'; it has Image, EncodedPixels"),
    ],
)
def test_a_mistake_is_one_line(release, old, new, expected):
    with pytest.raises(InputError, match=expected) as caught:
        records(KEY, known(KEY), release(TABLE.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_collected(release, tmp_path):
    folder = release(TABLE.replace("0 1", "0 0") + f"{STRAY},1 2 3\n1.2.3,-1\n")
    broken = next(tmp_path.glob(f"**/{TESTED}.dcm"))
    broken.write_bytes(broken.read_bytes()[:100])
    found = mistakes(KEY, known(KEY), folder)
    assert [line.split(": ", 1)[0][-5:] for line in found] == ["row 4", "row 5", "row 6", "row 7"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"siim_acr: .* has no stage_2_train\.csv or .*train-rle\.csv; put it there"):
        records(KEY, known(KEY), tmp_path)
    (tmp_path / "stage_2_train.csv").write_text(TABLE)
    with pytest.raises(InputError, match="has no dicom-images-train"):
        records(KEY, known(KEY), tmp_path)


def test_every_row_of_the_real_table():
    if not os.environ.get("FXCORE_XRV"):
        pytest.skip("FXCORE_XRV does not name an unpacked torchxrayvision wheel")
    path = Path(os.environ["FXCORE_XRV"]) / "torchxrayvision" / "data" / "siim-pneumothorax-train-rle.csv.gz"
    content = rows(path, ["ImageId", "EncodedPixels"], Problems())
    lines = [(where, row["ImageId"], row["EncodedPixels"]) for where, row in content]
    found = adapter.read_regions(lines, Problems())
    regions = [len(one.regions) for one in found.values()]
    assert (len(lines), len(found), regions.count(0)) == (12954, 12047, 9378)
    assert sum(regions) == 12954 - 9378
    assert (sum(number > 0 for number in regions), sum(number > 1 for number in regions), max(regions)) == (
        2669,
        624,
        10,
    )
    ends = []
    for one in found.values():
        for where, text in one.regions.items():
            box, mask = adapter._region(where, text, (1024, 1024), Problems())
            pixels = shapes.bitmap(mask, 1024, 1024)
            assert relative(pixels) == text
            assert extent(pixels) == box.xywh
            ends.append(int(rle.relative(text)[-1, 1]))
    assert max(ends) == 1_021_949


def test_the_writer_encodes_the_masks_of_the_sheet():
    a = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1]], dtype=bool)
    b = np.zeros((4, 5), dtype=bool)
    b[1:3, 1:3] = True
    assert (relative(a), relative(b)) == ("5 2 1 2 8 2", "5 2 2 2")
    for mask in (a, b):
        shape = Mask("Pneumothorax", Runs(relative(mask), relative=True), "row 2")
        np.testing.assert_array_equal(shapes.bitmap(shape, 4, 5), mask)
