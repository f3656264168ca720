"""JSRT and SCR: phantoms in their formats come back, high is dark, and one line for each mistake."""

import numpy as np
import pytest
from PIL import Image

from fxcore.data.adapters import jsrt
from fxcore.data.native import Problems
from fxcore.errors import InputError
from fxcore.phantom.native.jsrt import halved
from tests.data.adapters.trip import bitmap, counted, known, mistakes, records, trip

DATASET = known("jsrt")
STRUCTURES = DATASET.segmentation.classes
MERGED = known("jsrt", segmentation={"classes": ["Lungs", "Clavicles", "Heart"]})
CASE = "JPCLN901"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("jsrt", tmp_path_factory.mktemp("jsrt"), {"train": 4, "val": 1, "test": 3})


def _read(made, dataset=DATASET):
    return {int(record.image[5:]) - 1: record for record in records("jsrt", dataset, made.folder)}


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["masks"] == dict.fromkeys(sorted(STRUCTURES), 8)
    assert facts["images"] == {"none": 8}  # the folds are no split


def test_pixels_and_masks_come_back(made):
    read = _read(made)
    for case in made.cases:
        record = read[case.number]
        np.testing.assert_array_equal(record.read(record.file, record.where), case.pixels)
        for name in STRUCTURES:
            mask, drawn = bitmap(record, name, 160, 160), case.phantom.organs[name]
            np.testing.assert_array_equal(mask, np.kron(halved(drawn), np.ones((2, 2))) > 0)
            assert (mask & drawn).sum() > 0.7 * (mask | drawn).sum()  # clavicles are a few pixels thin
        assert record.labels == {"Nodule": int(case.has("Nodule"))}
        assert (record.patient, record.group, record.split) == (record.image, f"jsrt:{record.image}", None)


def test_merged_classes_join_both_sides(made):
    read = _read(made, MERGED)
    for number, record in _read(made).items():
        for merged, parts in (
            ("Lungs", ("Left Lung", "Right Lung")),
            ("Clavicles", ("Left Clavicle", "Right Clavicle")),
        ):
            both = np.logical_or(*(bitmap(record, name, 160, 160) for name in parts))
            np.testing.assert_array_equal(bitmap(read[number], merged, 160, 160), both)


def test_left_is_the_patients_left_and_a_swap_is_found(made):
    for case in made.cases:
        record = _read(made)[case.number]
        for name in ("Lung", "Clavicle"):
            left, right = (bitmap(record, f"{side} {name}", 160, 160) for side in ("Left", "Right"))
            assert np.nonzero(right)[1].mean() < np.nonzero(left)[1].mean()
            assert not (right & case.phantom.organs[f"Left {name}"]).any()


def test_masks_are_gifs_with_a_palette_in_two_folds(made):
    files = sorted((made.folder / "scratch").rglob("*.gif"))
    assert {file.parts[-4] for file in files} == {"fold1", "fold2"}
    assert len(files) == 5 * 8
    with Image.open(files[0]) as picture:
        assert (picture.format, picture.size) == ("GIF", (80, 80))
        assert set(np.unique(np.asarray(picture.convert("L")))) == {0, 255}


def test_tables_have_bare_returns_and_are_not_needed(made):
    for name in ("CLNDAT_EN.txt", "CNNDAT_EN.TXT"):
        content = (made.folder / name).read_bytes()
        assert content.endswith(b"\r")
        assert b"\n" not in content
    assert not any(file.suffix.lower() == ".txt" for file in made.files())


def test_values_are_big_endian_clamped_and_high_is_dark(tmp_path):
    # 0 is dense: 255. 4095 and all above it are air: 0. 1365 is a third: 255 · 2/3 = 170. Swapped bytes of 1365 (0x0555) are 0x5505.
    path = tmp_path / "x.IMG"
    path.write_bytes(np.array([[0, 4095], [1365, 60000]], dtype=">u2").tobytes())
    assert jsrt.read(path, "").tolist() == [[255, 0], [170, 0]]
    path.write_bytes(np.array([[0, 4095], [1365, 60000]], dtype="<u2").tobytes())
    assert jsrt.read(path, "").tolist() != [[255, 0], [170, 0]]


def test_a_phantom_has_a_value_above_12_bits(made):
    values = [np.frombuffer(record.file.read_bytes(), dtype=">u2") for record in made.records()]
    assert max(one.max() for one in values) > 4095


@pytest.mark.parametrize("size", [0, 1, 6, 2 * 9 + 1])
def test_a_file_that_is_no_square(tmp_path, size):
    (tmp_path / "x.IMG").write_bytes(b"\0" * size)
    with pytest.raises(
        InputError, match=rf"row: .*x\.IMG has {size} bytes, no square of 16-bit values; download it again"
    ):
        jsrt.read(tmp_path / "x.IMG", "row")
    with pytest.raises(InputError, match=r"row: .*y\.IMG cannot be read \(No such file or directory\)"):
        jsrt.read(tmp_path / "y.IMG", "row")


def _native(folder, pictures=(f"{CASE}.IMG",), first=(f"{CASE}.gif",), second=(), structures=STRUCTURES):
    (folder / "All247images").mkdir(parents=True)
    for file in pictures:
        (folder / "All247images" / file).touch()
    for fold, files in (("fold1", first), ("fold2", second)):
        for name in structures:
            (folder / "scratch" / fold / "masks" / name.lower()).mkdir(parents=True)
            for file in files:
                (folder / "scratch" / fold / "masks" / name.lower() / file).touch()
    return folder


def test_the_letter_says_whether_there_is_a_nodule_and_the_folder_may_be_the_inner_one(tmp_path):
    names = ("JPCNN901", CASE)
    folder = _native(tmp_path / "in", [f"{name}.IMG" for name in names], [f"{CASE}.gif"], ["JPCNN901.gif"])
    for place in (folder, tmp_path):
        read = records("jsrt", DATASET, place)
        assert [(one.image, one.labels["Nodule"], len(one.masks)) for one in read] == [(CASE, 1, 5), ("JPCNN901", 0, 5)]
    folder.joinpath("scratch").rename(folder / "SCR")
    assert len(records("jsrt", DATASET, folder)) == 2


def test_masks_are_needed_only_where_they_are_asked_for(tmp_path):
    (tmp_path / "All247images").mkdir()
    (tmp_path / "All247images" / f"{CASE}.IMG").touch()
    [record] = records("jsrt", known("jsrt", segmentation=None), tmp_path)
    assert (record.labels, record.masks) == ({"Nodule": 1}, None)
    with pytest.raises(InputError, match=r"datasets\.jsrt: .* has no scratch/fold1 or"):
        records("jsrt", DATASET, tmp_path)


@pytest.mark.parametrize(
    ("files", "said", "lines"),
    [
        (
            {"pictures": ["PCLN901.IMG"], "first": []},
            r"PCLN901\.IMG: is no picture of the release; expected JPCLN001",
            1,
        ),
        ({"first": []}, r"JPCLN901\.IMG: has no mask in heart; put it there or remove the picture", 1),
        ({"pictures": []}, r"JPCLN901\.gif: is the mask of no picture; put JPCLN901\.IMG there or remove the mask", 5),
        (
            {"second": [f"{CASE}.gif"]},
            r"fold2/.*JPCLN901\.gif: .*fold1/.*JPCLN901\.gif is the mask of the same case",
            5,
        ),
    ],
)
def test_a_mistake_is_one_line_a_file(tmp_path, files, said, lines):
    folder = _native(tmp_path, **files)
    with pytest.raises(InputError, match=said):
        records("jsrt", DATASET, folder)
    assert len(mistakes("jsrt", DATASET, folder)) == lines


def test_an_image_whose_mask_is_missing_keeps_its_label(tmp_path):
    [record] = records("jsrt", DATASET, _native(tmp_path, first=[]), Problems(keep_going=True))
    assert (record.labels, record.masks) == ({"Nodule": 1}, None)


def test_a_mask_of_another_grid_is_refused(made):
    [record] = [one for one in made.records() if one.image.endswith("001")]
    with pytest.raises(InputError, match="has 160 × 160 pixels of the image, which has 80 × 80"):
        bitmap(record, "Heart", 80, 80)
