"""Archives that are altered, lie or unpack to more than a disk: whole and inside their folder, or one line and nothing of them."""

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore.data import archives
from fxcore.data.archives import Limits
from tests.conftest import PROJECT
from tests.hostile.mutations import WORDS, bent, few, refused, some, written

CONTENT = {"a.txt": b"hello " * 40, "b/c.csv": b"1,2\n" * 30, "b/d/é.bin": bytes(range(256))}
LIMITS = Limits(total=10**6, free=10**5, files=100, headroom=0)


def zipped(content=CONTENT, how=zipfile.ZIP_DEFLATED):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", how) as made:
        for name, body in content.items():
            made.writestr(name, body)
    return sink.getvalue()


def tarred(content=CONTENT, form=tarfile.PAX_FORMAT):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as made:
        for name, body in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            made.addfile(info, io.BytesIO(body))
    return sink.getvalue()


ARCHIVES = {
    "a.zip": zipped(),
    "lzma.zip": zipped(how=zipfile.ZIP_LZMA),
    "stored.zip": zipped(how=zipfile.ZIP_STORED),
    "a.tar": tarred(),
    "gnu.tar": tarred({"x" * 150 + "/y": b"z", **CONTENT}, tarfile.GNU_FORMAT),
    "a.tar.gz": gzip.compress(tarred()),
    "a.tar.bz2": bz2.compress(tarred()),
    "a.tar.xz": lzma.compress(tarred()),
}


def unpacked(tmp_path, name, content):
    """What is said of an archive; it leaves everything around its folder as it was."""
    archive, folder = written(tmp_path / "in" / name, content), tmp_path / "out"
    found = {}
    said = refused(lambda: found.update(archives.extract(archive, folder, LIMITS)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    there = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert said or there == found
    assert sum(there.values()) <= LIMITS.total
    return said


@pytest.mark.parametrize("name", ARCHIVES)
@few
@given(data=st.data())
def test_a_bent_archive_is_unpacked_or_refused(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("bent")
    content = data.draw(bent(ARCHIVES[name]))
    unpacked(folder, name, content)
    refused(lambda: archives.check(folder / "in" / name))


@pytest.mark.parametrize("pack", [lambda body: gzip.compress(body, 1), bz2.compress, lzma.compress, bytes])
@few
@given(data=st.data())
def test_a_bent_tar_in_a_whole_envelope_is_unpacked_or_refused(tmp_path_factory, pack, data):
    form = data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    content = data.draw(bent(tarred({"x" * 150: b"z", **CONTENT}, form)))
    unpacked(tmp_path_factory.mktemp("bent"), "a.tar", pack(content))


names = st.sampled_from(
    [*WORDS, "/etc/x", "../x", "a/../../x", "C:/x", "a\\..\\x", "./x", "x/", "//x", "a//b"]
) | st.text(max_size=12)


@pytest.mark.parametrize("pack", [zipped, tarred])
@some
@given(found=st.lists(names, min_size=1, max_size=4))
def test_any_names_stay_inside_or_are_refused(tmp_path_factory, pack, found):
    try:
        content = pack(dict.fromkeys(found, b"x"))
    except (IndexError, ValueError):  # what the library packs no file under
        return
    unpacked(tmp_path_factory.mktemp("names"), "a", content)


@some
@given(st.binary(max_size=300), st.sampled_from([*ARCHIVES, "a.gz", "a.tgz", "a"]))
def test_any_bytes_are_one_line(tmp_path_factory, content, name):
    folder = tmp_path_factory.mktemp("any")
    assert unpacked(folder, name, content) or not any((folder / "out").iterdir())
    refused(lambda: archives.check(folder / "in" / name))


KINDS = {
    "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "unknown": b"Z",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["a.txt", "/etc/passwd", "../../x", ""])
def test_nothing_but_files_and_folders_is_taken_from_a_tar(tmp_path, kind, target):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as made:
        made.addfile(tarfile.TarInfo("a.txt"))
        info = tarfile.TarInfo("odd\nname")
        info.type, info.linkname = KINDS[kind], target
        made.addfile(info)
    said = unpacked(tmp_path, "a.tar", sink.getvalue())
    assert "odd" in said or kind == "unknown"
    assert [path.name for path in (tmp_path / "out").iterdir()][:1] == ["a.txt"]


def header_bomb(kind):
    """A tar whose header about another header is a quarter of a gigabyte, packed into a quarter of a megabyte."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 256 << 20
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=1) as packed:
        packed.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(256):
            packed.write(bytes(1 << 20))
    return sink.getvalue()


EXTRACT = """
import resource, sys
from pathlib import Path
from fxcore.data import archives
from fxcore.errors import InputError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (128 << 20), -1))
for at, path in enumerate(sorted(Path(sys.argv[1]).iterdir())):
    try:
        archives.extract(path, Path(sys.argv[2]) / str(at), archives.Limits(free=10**6, ratio=2))
        print("taken")
    except InputError as error:
        print(error)
"""


def test_bombs_take_no_memory_and_no_disk(tmp_path):
    for name, kind in (("pax", tarfile.XHDTYPE), ("global", tarfile.XGLTYPE), ("long", tarfile.GNUTYPE_LONGNAME)):
        written(tmp_path / f"in/{name}.tar.gz", header_bomb(kind))
    written(tmp_path / "in/zeros.zip", zipped({"x": bytes(100 << 20)}))
    written(tmp_path / "in/zeros.tar.xz", lzma.compress(tarred({"x": bytes(20 << 20)}), preset=0))
    ran = subprocess.run(
        [sys.executable, "-c", EXTRACT, str(tmp_path / "in"), str(tmp_path / "out")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 5
    for line in lines[:3]:
        assert "is damaged or cut short" in line
    for line in lines[3:]:
        assert "it looks like a bomb, and nothing of it was taken" in line
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()) <= 2 * 10**6


def test_an_archive_in_an_archive_is_a_file(tmp_path):
    assert unpacked(tmp_path, "a.zip", zipped({"inner.zip": zipped()})) == ""
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["inner.zip"]


def test_many_names_of_one_file_in_a_zip_are_no_more_than_it_may_unpack_to(tmp_path):
    """Entries that overlap: a small file of which each entry is the whole, as bombs without nesting have."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("0", bytes(90_000))
        first = made.infolist()[0]
        for name in map(str, range(1, 50)):
            info = zipfile.ZipInfo(name)
            info.header_offset, info.compress_type = first.header_offset, first.compress_type
            info.compress_size, info.file_size, info.CRC = first.compress_size, first.file_size, first.CRC
            made.filelist.append(info)
            made.NameToInfo[name] = info
    said = unpacked(tmp_path, "a.zip", sink.getvalue())
    assert "bomb" in said or "damaged" in said
