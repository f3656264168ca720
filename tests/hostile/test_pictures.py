"""Pictures of strangers, of every format: grey of the size that they have, or one line; nothing is started, nothing else is read."""

import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid

from fxcore.data import codestream, dicom, images, radiograph, shapes
from fxcore.data.adapters import jsrt
from fxcore.data.records import Mask, MaskFile
from fxcore.errors import InputError
from tests.conftest import PROJECT
from tests.data.test_dicom import LOSSLESS_JPEG, RAMP, encapsulated, made, table
from tests.hostile.mutations import bent, few, refused, some, written

GREY = (np.arange(64 * 48) % 251).astype(np.uint8).reshape(64, 48)
PATIENT = "Doe^Jane"


def saved(picture, kind, **how):
    sink = io.BytesIO()
    picture.save(sink, kind, **how)
    return sink.getvalue()


def metaimage(values, tmp, compressed=False):
    path = Path(tmp) / "x.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(path), compressed)
    return path.read_bytes()


def dataset(syntax=uid.ExplicitVRLittleEndian, **values):
    """A DICOM file, with a patient in its header."""
    of = made(RAMP, **values)
    if syntax.is_encapsulated:
        of.compress(syntax)
    of.file_meta.TransferSyntaxUID = syntax
    sink = io.BytesIO()
    of.save_as(sink, enforce_file_format=True)
    return sink.getvalue()


PICTURES = {
    "grey.png": saved(Image.fromarray(GREY), "PNG"),
    "deep.png": saved(Image.fromarray(GREY.astype(np.uint16) * 200), "PNG"),
    "palette.png": saved(Image.fromarray(GREY).convert("P"), "PNG"),
    "grey.jpg": saved(Image.fromarray(GREY), "JPEG"),
    "colour.jpg": saved(Image.fromarray(GREY).convert("RGB"), "JPEG"),
    "grey.bmp": saved(Image.fromarray(GREY), "BMP"),
    "grey.tif": saved(Image.fromarray(GREY), "TIFF", compression="tiff_lzw"),
    "float.tif": saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
    "grey.gif": saved(Image.fromarray(GREY), "GIF"),
    "plain.dcm": dataset(WindowCenter="100", WindowWidth="300"),
    "rle.dcm": dataset(uid.RLELossless),
    "wavelet.dcm": dataset(uid.JPEG2000Lossless),
    "deflated.dcm": dataset(uid.DeflatedExplicitVRLittleEndian),
    "table.dcm": dataset(VOILUTSequence=table(0, [0, 1, 1023], 10)),
}


@pytest.mark.parametrize("name", PICTURES)
@few
@given(data=st.data())
def test_a_bent_picture_is_read_or_refused(tmp_path, name, data):
    path = written(tmp_path / name, data.draw(bent(PICTURES[name])))
    found = []
    said = refused(lambda: found.append(images.read(path, "row 2")), "row 2: ", path)
    said += refused(lambda: found.append(radiograph.read(path)), path)
    refused(lambda: shapes.bitmap(Mask("Lung", MaskFile(path), "row 2"), 64, 48), "row 2: Lung")
    assert PATIENT not in said
    assert all(one.dtype == np.uint8 and one.ndim == 2 and 0 < one.size <= images.MOST_PIXELS for one in found)


@pytest.mark.parametrize("compressed", [False, True])
@few
@given(data=st.data())
def test_a_bent_metaimage_is_read_or_refused(tmp_path, compressed, data):
    whole = metaimage(GREY.astype(np.float32), tmp_path, compressed)
    path = written(tmp_path / "x.mha", data.draw(bent(whole)))
    refused(lambda: images.read(path, "row 2"), "row 2: ", path)


@some
@given(st.binary(max_size=400), st.sampled_from([*PICTURES, "x.mha", "x.mhd", "no suffix"]))
def test_any_bytes_are_refused(tmp_path, content, name):
    path = written(tmp_path / name, content)
    assert refused(lambda: images.read(path, "row 2"), path)
    assert refused(lambda: radiograph.read(path), path)
    refused(lambda: jsrt.read(path, "row 2"), path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["tif", "mha"])
def test_values_that_are_no_numbers_are_refused(tmp_path, kind, value):
    values = GREY.astype(np.float32)
    values[3, 4] = value
    path = tmp_path / f"x.{kind}"
    path.write_bytes(saved(Image.fromarray(values), "TIFF") if kind == "tif" else metaimage(values, tmp_path))
    with pytest.raises(InputError, match=r"cannot be decoded \(some of its values are no numbers\)"):
        images.read(path, "row 2")


@pytest.mark.parametrize(
    "values",
    [
        {"RescaleSlope": "1e308", "RescaleIntercept": "1e308"},
        {"VOILUTSequence": table(0, [65535] * 256, 0)},
        {"VOILUTSequence": table(0, [], 8)},
    ],
)
def test_a_header_that_makes_no_numbers_of_pixels_is_refused(tmp_path, values):
    path = written(tmp_path / "x.dcm", dataset(**values))
    with pytest.raises(InputError, match="cannot be decoded, it is cut short or damaged"):
        dicom.read(path, "row 2")


def test_a_table_with_larger_entries_than_it_says_is_white_and_not_black(tmp_path):
    path = written(tmp_path / "x.dcm", dataset(VOILUTSequence=table(0, [0] * 100 + [1023], 8)))
    assert set(np.unique(dicom.read(path, "row 2"))) == {0, 255}


@pytest.mark.parametrize("name", ["x.mha", "x.mhd"])
@pytest.mark.parametrize(
    "pixels",
    [
        "/etc/passwd",
        "../secret.raw",
        "LIST\n/etc/passwd",
        "secret%02d.raw 1 1 1",
        "LIST 2D",
        "",
        "sub/x.raw",
        "link.raw",
    ],
)
def test_a_header_of_a_metaimage_names_no_other_file(tmp_path, name, pixels):
    (tmp_path / "secret.raw").write_bytes(bytes(GREY))
    folder = tmp_path / "native"
    folder.mkdir()
    (folder / "link.raw").symlink_to("../secret.raw")
    header = f"ObjectType = Image\nNDims = 2\nDimSize = 48 64\nElementType = MET_UCHAR\nElementDataFile = {pixels}\n"
    for text in (header, f"ObjectType = Image\nComment = ElementDataFile = LOCAL\n{header.partition(chr(10))[2]}"):
        path = written(folder / name, text.encode())
        with pytest.raises(InputError, match=r"cannot be decoded \(its header names pixels that are not beside it\)"):
            images.read(path, "row 2")


def test_a_header_with_its_pixels_beside_it_is_read(tmp_path):
    header = "ObjectType = Image\nNDims = 2\nDimSize = 48 64\nElementType = MET_UCHAR\nElementDataFile = x.raw\n"
    (tmp_path / "x.raw").write_bytes(bytes(GREY))
    shown = images.read(written(tmp_path / "x.mhd", header.encode()), "row 2")
    np.testing.assert_array_equal(shown, np.round(GREY * (255 / 250)))


def test_a_page_of_postscript_is_not_given_to_the_program_that_runs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n(x) (w) file closefile\nshowpage\n%%EOF\n"
    for name in ("x.png", "x.eps", "x"):
        with pytest.raises(InputError, match="cannot be decoded"):
            images.read(written(tmp_path / name, content), "row 2")


def png(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def patched(content, mark, at, form, *values):
    """The bytes with numbers written behind the first place of a mark."""
    changed = bytearray(content)
    struct.pack_into(form, changed, content.index(mark) + at, *values)
    return bytes(changed)


def lying(syntax, stream, pixels=RAMP, **values):
    sink = io.BytesIO()
    encapsulated(made(pixels, **values), syntax, stream).save_as(sink, enforce_file_format=True)
    return sink.getvalue()


def resized(content, side):
    """A DICOM file whose header says another number of rows and columns, after its picture was compressed."""
    for element, stated in ((0x10, 64), (0x11, 48)):
        before, after = (struct.pack("<HH2sHH", 0x28, element, b"US", 2, one) for one in (stated, side))
        assert content.count(before) == 1
        content = content.replace(before, after)
    return content


def wavelet():
    of = made(RAMP)
    of.compress(uid.JPEG2000Lossless)
    large = 60_000, 60_000
    stream = patched(of.PixelData[16:], b"\xff\x4f\xff\x51", 8, ">II", *large)
    return lying(uid.JPEG2000Lossless, patched(stream, b"\xff\x4f\xff\x51", 24, ">II", *large))


def deflated():
    of = made(np.zeros((64, 48), dtype=np.uint16))
    of.PixelData = bytes(300 << 20)
    of.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    sink = io.BytesIO()
    of.save_as(sink, enforce_file_format=True)
    return sink.getvalue()


MHA = "ObjectType = Image\nNDims = {}\nDimSize = {}\nElementType = MET_DOUBLE\nElementDataFile = LOCAL\n"
LARGE = 65_500, 65_500
BOMBS = {
    "large.png": lambda: png(60_000, 60_000),
    "line.png": lambda: png(2**31 - 1, 1),
    "large.jpg": lambda: patched(PICTURES["grey.jpg"], b"\xff\xc0", 5, ">HH", *LARGE),
    "large.bmp": lambda: patched(PICTURES["grey.bmp"], b"BM", 18, "<ii", 60_000, 60_000),
    "large.gif": lambda: patched(PICTURES["grey.gif"], b"GIF8", 6, "<HH", *LARGE),
    "large.mha": lambda: MHA.format(2, "100000 100000").encode(),
    "deep.mha": lambda: MHA.format(10, " ".join(["100"] * 10)).encode(),
    "large.dcm": lambda: dataset(Rows=65_535, Columns=65_535),
    "large rle.dcm": lambda: resized(PICTURES["rle.dcm"], 65_535),
    "lying baseline.dcm": lambda: lying(
        uid.JPEGBaseline8Bit, patched(PICTURES["grey.jpg"], b"\xff\xc0", 5, ">HH", *LARGE), GREY
    ),
    "lying lossless.dcm": lambda: lying(
        uid.JPEGLossless, patched(LOSSLESS_JPEG, b"\xff\xc3", 5, ">HH", *LARGE), RAMP[:4, :4]
    ),
    "lying wavelet.dcm": wavelet,
    "deflated.dcm": deflated,
    "frames.dcm": lambda: dataset(PixelData=bytes(64 * 48 * 2 * 5)),
}
READ = """
import resource, sys, time
from pathlib import Path
import SimpleITK
from fxcore.data import dicom, images
from fxcore.errors import InputError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), -1))
for path in sorted(Path(sys.argv[1]).iterdir()):
    begun = time.monotonic()
    try:
        said = f"taken: {images.read(path, 'row 2').shape}"
    except InputError as error:
        said = str(error)
    print(f"{path.name}\\t{time.monotonic() - begun:.1f}\\t{said}")
"""


def test_bombs_take_neither_memory_nor_time(tmp_path):
    """All of them in one process that may have a gigabyte more; each claims to be larger than that."""
    for name, content in BOMBS.items():
        written(tmp_path / name, content())
    ran = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert [name for name, *_ in lines] == sorted(BOMBS)
    for name, seconds, said in lines:
        assert float(seconds) < 5, name
        assert re.search(r"cannot be decoded|pixels; expected a radiograph", said), (name, said)
        assert "MemoryError" not in said
        assert said.startswith(f"row 2: {tmp_path / name}")


def test_sizes_of_a_stream_are_those_of_all_its_headers():
    jpeg = PICTURES["grey.jpg"]
    assert codestream.jpeg(jpeg) == {(64, 48, 1)}
    frame = jpeg[jpeg.index(b"\xff\xc0") :][:13]
    second = patched(frame, b"\xff\xc0", 5, ">HH", *LARGE)
    assert codestream.jpeg(jpeg.replace(frame, frame + second)) == {(64, 48, 1), (*LARGE, 1)}
    assert codestream.jpeg(PICTURES["colour.jpg"]) == {(64, 48, 3)}
    assert codestream.jpeg(LOSSLESS_JPEG) == {(4, 4, 1)}
    of = made(RAMP)
    of.compress(uid.JPEG2000Lossless)
    assert codestream.jpeg_2000(of.PixelData) == {(64, 48, 1)}


@some
@given(st.binary(max_size=200))
def test_any_stream_has_sizes_or_is_cut_short(stream):
    for sizes in (codestream.jpeg, codestream.jpeg_2000):
        for begin in (b"\xff\xd8", b"\xff\x4f\xff\x51"):
            try:
                assert isinstance(sizes(begin + stream), set)
            except struct.error:
                continue
