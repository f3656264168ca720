"""What is taken as a radiograph and what is refused, and which files of a folder are meant."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom import dcmread
from pydicom.data import get_testdata_file

from fxcore.data.radiograph import radiographs, read
from fxcore.errors import InputError

GREY = (np.arange(40)[:, None] * 5 + np.arange(50)).astype(np.uint8)
"""40 × 50, from 0 to 244."""


def saved(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)
    return path


def dicom(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Path(get_testdata_file("MR_small.dcm", download=False)).read_bytes())
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_grey_in_any_mode(tmp_path, suffix, mode):
    path = saved(tmp_path / f"x.{suffix}", Image.fromarray(GREY).convert(mode))
    np.testing.assert_array_equal(read(path), GREY)


def test_16_bit_is_stretched(tmp_path):
    path = saved(tmp_path / "x.png", GREY.astype(np.uint16) * 100 + 7)
    np.testing.assert_array_equal(read(path), np.round(GREY / 244 * 255))


def test_a_palette_with_transparency_warns_nobody(tmp_path):
    path = saved(tmp_path / "x.png", Image.fromarray(GREY).convert("P"), transparency=bytes(range(256)))
    np.testing.assert_array_equal(read(path), GREY)


@pytest.mark.parametrize("name", ["x.dcm", "x.DICOM", "x", "1.2.840.7", "x.png"])
def test_dicom_by_name_or_content(tmp_path, name):
    path = dicom(tmp_path / name)
    stored = dcmread(path)
    assert read(path).shape == (64, 64) == stored.pixel_array.shape


def test_noise_of_jpeg_and_a_small_coloured_annotation_pass(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
    picture = Image.fromarray(noise).convert("RGB")
    # 40 × 40 of 200 × 200 pixels differ by 150: 0.04 · 150 = 6 on average
    ImageDraw.Draw(picture).rectangle((10, 10, 49, 49), fill=(200, 50, 50))
    assert read(saved(tmp_path / "x.jpg", picture, quality=40)).shape == (200, 200)


def test_a_photo_is_refused(tmp_path):
    colours = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
    path = saved(tmp_path / "x.jpg", colours)
    with pytest.raises(InputError, match=r"x\.jpg: is a colour picture; expected a radiograph, save it in grey if"):
        read(path)


@pytest.mark.parametrize(("last", "passes"), [(32, True), (33, False)])
def test_the_limit_of_colour(tmp_path, last, passes):
    # 32 of 128 columns differ by 32 between red and the rest: 8 on average, which just passes
    colours = np.tile(np.linspace(50, 200, 128).astype(np.uint8)[None, :, None], (40, 1, 3))
    colours[:, :last, 0] += 32
    path = saved(tmp_path / "x.png", colours)
    if passes:
        assert read(path).shape == (40, 128)
    else:
        with pytest.raises(InputError, match="colour"):
            read(path)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((31, 500), 7, dtype=np.uint8), "is 500 × 31 pixels; expected a radiograph of at least 32 a side"),
        (np.zeros((40, 40), dtype=np.uint8), "every pixel has the value 0; expected a radiograph, export it again"),
        (np.full((40, 40), 9000, dtype=np.uint16), "every pixel has the value 0"),
    ],
)
def test_a_thumbnail_and_an_empty_picture_are_refused(tmp_path, picture, message):
    path = saved(tmp_path / "x.png", picture)
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
        read(path)


def test_a_side_of_32_is_enough(tmp_path):
    assert read(saved(tmp_path / "x.png", GREY[:32, :32])).shape == (32, 32)


def test_what_is_no_picture_and_what_is_not_there(tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    (tmp_path / "x.dcm").write_text("no picture")
    whole = saved(tmp_path / "y.png", GREY).read_bytes()
    (tmp_path / "y.png").write_bytes(whole[: len(whole) // 2])
    for name, message in [
        ("x.png", r"x\.png: cannot be decoded \(.*\); expected a radiograph as PNG, JPEG or DICOM"),
        ("y.png", r"y\.png: cannot be decoded"),
        ("x.dcm", r"x\.dcm is no DICOM file"),
        ("z.png", r"z\.png: no such file; give a radiograph as PNG, JPEG or DICOM"),
        (".", r": no such file"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_folder_gives_its_radiographs_in_order(tmp_path):
    wanted = [
        dicom(tmp_path / "a" / "1.2.840.7"),
        saved(tmp_path / "a" / "b.TIFF", GREY),
        saved(tmp_path / "a" / "c" / "d.jpeg", GREY),
        dicom(tmp_path / "a" / "e"),
        dicom(tmp_path / "a" / "f.dcm"),
        saved(tmp_path / "a" / "g.png", GREY),
    ]
    dicom(tmp_path / "a" / "DICOMDIR")
    dicom(tmp_path / "a" / "notes.txt")
    saved(tmp_path / "a" / ".hidden.png", GREY)
    saved(tmp_path / "a" / ".cache" / "x.png", GREY)
    (tmp_path / "a" / "labels").write_text("Nodule")
    (tmp_path / "a" / "empty").touch()
    assert radiographs([tmp_path / "a"]) == wanted


def test_files_and_folders_as_given_each_once(tmp_path):
    one, two = saved(tmp_path / "b" / "1.png", GREY), saved(tmp_path / "a" / "2.png", GREY)
    odd = saved(tmp_path / "x.gif", GREY)
    assert radiographs([odd, tmp_path / "b", two, tmp_path / "a", one]) == [odd, one, two]


def test_a_folder_below_a_hidden_one_may_be_named(tmp_path):
    path = saved(tmp_path / ".scans" / "1.png", GREY)
    assert radiographs([tmp_path / ".scans"]) == [path]


def test_a_path_that_is_not_there_and_a_folder_without_radiographs(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "labels.csv").write_text("x")
    with pytest.raises(InputError, match=r"b: no such file or folder; give radiographs as PNG, JPEG or DICOM"):
        radiographs([tmp_path / "b"])
    with pytest.raises(InputError, match=r"a: no radiograph in this folder; expected files named \.png, \.jpg"):
        radiographs([tmp_path / "a"])


def test_every_real_radiograph_is_taken(shared):
    folder = shared("cxr-real/images")
    files = radiographs([folder])
    assert len(files) == 213
    for path in files[::10]:
        with Image.open(path) as picture:
            np.testing.assert_array_equal(read(path), np.asarray(picture.convert("L")))


def test_a_real_radiograph_as_a_colour_jpeg_of_poor_quality_is_taken(shared, tmp_path):
    with Image.open(radiographs([shared("cxr-real/images")])[0]) as picture:
        path = saved(tmp_path / "x.jpg", picture.convert("RGB"), quality=20)
    assert read(path).size


def test_real_dicom(shared):
    shapes = [read(path).shape for path in radiographs([shared("cxr-real/native/dicom")])]
    assert shapes == [(1955, 1841), (169, 211), (1024, 1024)]
