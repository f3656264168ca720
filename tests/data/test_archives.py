"""Archives, good ones and those that would do harm."""

import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple

import pytest

from fxcore.data.archives import ArchiveError, Limits, check, extract, inside, merge
from fxcore.errors import InputError

GOOD = {"a/one.txt": b"one", "a/b/two.bin": bytes(range(256)) * 100, "three.csv": b""}


def zipped(path, content, mode=zipfile.ZIP_DEFLATED):
    """A zip of names or `ZipInfo`s with their bytes."""
    with zipfile.ZipFile(path, "w", mode) as made:
        for name, body in content.items():
            made.writestr(name, body)
    return path


def tarred(path, content, **special):
    """A tar of names with their bytes, and members of special kinds: `name=(type, link)`."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as made:
        for name, body in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            made.addfile(info, io.BytesIO(body))
        for name, (kind, link) in special.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            made.addfile(info)
    return path


def linked(name, kind=stat.S_IFLNK):
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_a_good_archive_comes_out_as_it_went_in(tmp_path, name):
    archive = (zipped if name.endswith("zip") else tarred)(tmp_path / name, GOOD)
    check(archive)
    assert extract(archive, tmp_path / "out") == {name: len(body) for name, body in GOOD.items()}
    assert files(tmp_path / "out") == GOOD


OUTSIDE = [
    "../up.txt",
    "a/../../up.txt",
    "/etc/up.txt",
    "C:\\up.txt",
    "c:up.txt",
    "..\\up.txt",
    "a\\..\\..\\up.txt",
    "..",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name, pack):
    archive = pack(tmp_path / ("a.zip" if pack is zipped else "a.tar.gz"), {"good.txt": b"", name: b"bad"})
    with pytest.raises(ArchiveError, match=r"in it lies outside its folder; nothing of it was taken"):
        extract(archive, tmp_path / "box" / "out")
    assert set(files(tmp_path)) == {archive.name, "box/out/good.txt"}


@pytest.mark.parametrize("name", ["a/b.png", "..a", "a..b/c", "ä b/ß.txt", "C/up"])
def test_other_names_stay_inside(name):
    assert str(inside(name)) == name


def test_no_name_and_a_name_with_a_zero_are_no_paths():
    assert [inside(name) for name in ("", " ", ".", "a\0b")] == [None] * 4


@pytest.mark.parametrize(
    ("kind", "link", "said"),
    [
        (tarfile.SYMTYPE, "/etc", "a link"),
        (tarfile.LNKTYPE, "good.txt", "a link"),
        (tarfile.CHRTYPE, "", "a device"),
        (tarfile.FIFOTYPE, "", "a device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused_by_name(tmp_path, kind, link, said):
    archive = tarred(tmp_path / "a.tar", {"good.txt": b""}, bad=(kind, link))
    with pytest.raises(ArchiveError, match=rf"a\.tar: 'bad' in it is {said}; nothing"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out/bad").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused_by_name(tmp_path, kind):
    archive = zipped(tmp_path / "a.zip", {linked("bad", kind): b"/etc"})
    with pytest.raises(ArchiveError, match=r"a\.zip: 'bad' in it is a link or a device; nothing"):
        extract(archive, tmp_path / "out")
    assert not os.path.lexists(tmp_path / "out/bad")


def test_a_file_through_a_link_of_the_archive_is_never_written(tmp_path):
    (tmp_path / "away").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path / "away")
        made.addfile(info)
        made.addfile(tarfile.TarInfo("link/bad"))
    with pytest.raises(ArchiveError, match="a link"):
        extract(tmp_path / "a.tar", tmp_path / "out")
    assert list((tmp_path / "away").iterdir()) == []


SMALL = Limits(total=10**6, ratio=20, free=10**5, files=50, headroom=0)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_bomb_is_refused_before_the_disk_has_it(tmp_path, pack):
    archive = pack(tmp_path / ("a.zip" if pack is zipped else "a.tar.gz"), {"zero": bytes(3 * 10**5)})
    with pytest.raises(ArchiveError, match=r"unpacks to more than 100 kB, from .* B; it looks like a bomb"):
        extract(archive, tmp_path / "out", SMALL)
    assert not (tmp_path / "out/zero").exists()


def test_a_bomb_of_many_small_files_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", {f"{number}": b"" for number in range(51)})
    with pytest.raises(ArchiveError, match=r"has more than 50 files; it looks like a bomb"):
        extract(archive, tmp_path / "out", SMALL)
    parts = zipped(tmp_path / "b.zip", {f"{number}": bytes(10**4) for number in range(11)})
    with pytest.raises(ArchiveError, match="more than 100 kB"):
        extract(parts, tmp_path / "parts", SMALL)


def test_an_archive_that_lies_about_a_size_is_damaged(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"zero": bytes(10**5)})
    body = archive.read_bytes().replace((10**5).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(body)
    with pytest.raises(ArchiveError, match="damaged or cut short"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.csv.gz"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.85])
def test_what_is_cut_short_is_found(tmp_path, name, part):
    path = tmp_path / name
    body = os.urandom(60_000)
    if name == "a.csv.gz":
        path.write_bytes(gzip.compress(body))
    else:
        (zipped if name == "a.zip" else tarred)(path, {"one": body[:30_000], "two": body[30_000:]})
    check(path)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(ArchiveError, match=rf"^{name}: is damaged or cut short \(.*\); it is no whole archive$"):
        check(path)


def test_a_changed_byte_is_found(tmp_path):
    path = zipped(tmp_path / "a.zip", {"one": os.urandom(10_000)}, zipfile.ZIP_STORED)
    body = bytearray(path.read_bytes())
    body[5_000] ^= 1
    path.write_bytes(body)
    for found in (lambda: check(path), lambda: extract(path, tmp_path / "out")):
        with pytest.raises(ArchiveError, match="damaged"):
            found()


def test_no_archive_at_all_is_damaged(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>no</html>")
    (tmp_path / "a.tar").write_bytes(b"<html>no</html>")
    for name in ("a.zip", "a.tar"):
        with pytest.raises(ArchiveError, match=rf"{name}: is damaged or cut short") as raised:
            extract(tmp_path / name, tmp_path / f"out-{name}")
        assert "\n" not in str(raised.value)
    (tmp_path / "a.csv").write_bytes(b"a,b\n")
    check(tmp_path / "a.csv")  # not looked at


def test_an_archive_with_a_password_is_for_a_person(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"one": b"one"})
    body = bytearray(archive.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of a member, in its two headers
        body[body.index(mark) + at] |= 1
    archive.write_bytes(body)
    with pytest.raises(ArchiveError, match=r"a\.zip: .*password.*; unpack it yourself"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path, names):
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        for name in names:
            made.addfile(tarfile.TarInfo(name))
    with pytest.raises(ArchiveError, match=r"comes twice in it|is a file and a folder"):
        extract(tmp_path / "a.tar", tmp_path / "out")


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", GOOD)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 5, 5))
    with pytest.raises(InputError, match=r"5 B are free, too few to unpack a\.zip") as raised:
        extract(archive, tmp_path / "out")
    assert not isinstance(raised.value, ArchiveError)


def test_a_name_of_no_alphabet_stays_one_line(tmp_path):
    name = b"a\n\xff\x1b[2J".decode("utf-8", "surrogateescape")
    assert extract(tarred(tmp_path / "good.tar", {name: b"1"}), tmp_path / "good") == {name: 1}
    with pytest.raises(ArchiveError) as raised:
        extract(tarred(tmp_path / "bad.tar", {f"../{name}": b"1"}), tmp_path / "bad")
    assert (
        str(raised.value).encode()
        == rb"bad.tar: '../a\n\udcff\x1b[2J' in it lies outside its folder; nothing of it was taken"
    )


def test_merging_adds_to_folders_that_are_there(tmp_path):
    for name, content in (("one", {"images/1": b"1", "a": b"a"}), ("two", {"images/2": b"2", "a": b"b"})):
        extract(tarred(tmp_path / f"{name}.tar", content), tmp_path / name)
    (tmp_path / "all").mkdir()
    merge(tmp_path / "one", tmp_path / "all")
    merge(tmp_path / "two", tmp_path / "all")
    assert files(tmp_path / "all") == {"images/1": b"1", "images/2": b"2", "a": b"b"}
    assert list((tmp_path / "two").iterdir()) == []
