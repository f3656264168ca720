"""Datasets by their routes, from servers on loopback."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yaml

from fxcore import cli
from fxcore.data import archives
from fxcore.data import retrieve as retrieving
from fxcore.data.native import Native
from fxcore.data.retrieve import retrieve
from fxcore.errors import InputError
from tests.conftest import PROJECT, TINY
from tests.data.conftest import PICTURES, QUICK, RANDOM, files, kept, packed, sliced
from tests.server import Served

# HTTP


def test_files_and_archives_are_put_in_place_and_written_down(server, tmp_path, get):
    server.files = {"/x/Set.zip": Served(packed(PICTURES)), "/x/a%20b.csv": Served(b"a,b\n")}
    table = {"url": server.url("/x/a%20b.csv?key=1"), "sha256": Served(b"a,b\n").sha256}
    record = get({"http": [{"url": server.url("/x/Set.zip"), "extract": True}, table]})
    assert files(tmp_path / "native") == {**PICTURES, "a b.csv": b"a,b\n"}
    assert kept(tmp_path / "native") == ["ledger.jsonl", "lock"]
    archive = server.files["/x/Set.zip"]
    assert record["named"] == [
        {
            "name": "Set.zip",
            "from": server.url("/x/Set.zip"),
            "sha256": archive.sha256,
            "bytes": len(archive.body),
            "holds": 5,
        },
        {"name": "a b.csv", "from": server.url("/x/a%20b.csv?…"), "sha256": Served(b"a,b\n").sha256, "bytes": 4},
    ]
    assert (record["files"], record["bytes"]) == (2, len(archive.body) + 4)


def test_what_is_there_is_not_asked_for_again_and_what_is_missing_is(server, tmp_path, get):
    names = [f"/CXR_png/{number:02}.png" for number in range(8, 13)]
    server.files = {name: Served(name.encode()) for name in names}
    route = {"http": [{"url": server.url("/CXR_png/[08-12].png"), "name": "CXR_png/[08-12].png"}]}
    first = get(route)
    assert files(tmp_path / "native") == {name[1:]: name.encode() for name in names}
    assert get(route) == first
    assert len(server.asked) == 5
    (tmp_path / "native/CXR_png/10.png").unlink()
    (tmp_path / "native/CXR_png/11.png").write_bytes(b"/CXR_png/XX.png")
    os.utime(tmp_path / "native/CXR_png/12.png")  # another time alone is no other content
    assert get(route) == first
    assert sorted(path for path, _ in server.asked[5:]) == ["/CXR_png/10.png", "/CXR_png/11.png"]
    assert get(route, force=True) == first
    assert len(server.asked) == 12


def test_an_unpacked_archive_is_fetched_again_when_a_file_of_it_is_gone(server, tmp_path, get):
    server.files = {"/Set.zip": Served(packed(PICTURES))}
    route = {"http": [{"url": server.url("/Set.zip"), "extract": True}]}
    get(route)
    get(route)
    assert len(server.asked) == 1
    (tmp_path / "native" / next(iter(PICTURES))).unlink()
    get(route)
    assert files(tmp_path / "native") == PICTURES


def test_the_first_checksum_is_asked_of_later_downloads(server, tmp_path, get):
    server.files = {"/a.csv": Served(b"one\n")}
    route = {"http": [server.url("/a.csv")]}
    get(route)
    (tmp_path / "native/a.csv").unlink()
    server.files = {"/a.csv": Served(b"two\n")}
    with pytest.raises(InputError, match=r"a\.csv: .* has another checksum than the expected sha256 .* --force"):
        get(route)
    assert files(tmp_path / "native") == {}
    get(route, force=True)
    assert files(tmp_path / "native") == {"a.csv": b"two\n"}


def test_a_file_that_was_put_there_with_the_right_checksum_is_taken_as_it_is(server, tmp_path, get):
    (tmp_path / "native").mkdir()
    (tmp_path / "native/a.csv").write_bytes(b"one\n")
    get({"http": [{"url": server.url("/a.csv"), "sha256": Served(b"one\n").sha256}]})
    assert server.asked == []


def test_the_first_failure_ends_all_and_what_came_stays(server, tmp_path, get):
    server.files = {f"/{number}.bin": Served(RANDOM.bytes(70_000)) for number in range(6)}
    server.files["/3.bin"].answers = [403]
    route = {"http": [server.url("/[0-5].bin")]}
    with pytest.raises(InputError, match=r"3\.bin: 127\.0\.0\.1 does not let you have it"):
        get(route, connections=1)
    assert len(server.asked) == 4
    assert not (tmp_path / "results").exists()
    get(route)
    assert len(server.asked) == 4 + 3
    assert files(tmp_path / "native") == {f"{number}.bin": server.files[f"/{number}.bin"].body for number in range(6)}


def test_several_files_come_at_once(server, get):
    server.files = {f"/{number}.bin": Served(b"x" * 40, piece=10, pause=0.1) for number in range(6)}
    begun = time.monotonic()
    get({"http": [server.url("/[0-5].bin")]}, connections=6)
    assert time.monotonic() - begun < 6 * 0.4 / 2


@pytest.mark.parametrize("name", ["../up.txt", "/etc/up.txt", ".retrieve/lock"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_hostile_archive_leaves_nothing_anywhere(server, tmp_path, get, name, kind):
    server.files = {f"/a.{kind}": Served(packed({"good.txt": b"", name: b"bad"}, kind))}
    with pytest.raises(InputError, match=r"lies outside its folder|unpack it yourself"):
        get({"http": [{"url": server.url(f"/a.{kind}"), "extract": True}]})
    assert files(tmp_path) == {"native/.retrieve/lock": b""}
    assert not (tmp_path / "up.txt").exists()


def test_unpacking_that_was_killed_is_done_again_without_a_download(server, tmp_path, get, monkeypatch):
    server.files = {"/Set.zip": Served(packed(PICTURES))}
    route = {"http": [{"url": server.url("/Set.zip"), "extract": True}]}
    (tmp_path / "native/.retrieve/unpacked/left").mkdir(parents=True)

    def killed(made, folder):
        """What a kill leaves between two files."""
        (folder / "MontgomerySet/CXR_png").mkdir(parents=True)
        first = next(iter(PICTURES))
        (made / first).replace(folder / first)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(retrieving.archives, "merge", killed)
        with pytest.raises(KeyboardInterrupt):
            get(route)
    assert len(files(tmp_path / "native")) == 1
    get(route)
    assert files(tmp_path / "native") == PICTURES
    assert kept(tmp_path / "native") == ["ledger.jsonl", "lock"]
    assert len(server.asked) == 1


def test_what_is_on_its_way_from_elsewhere_is_not_taken_for_it(server, tmp_path, get, monkeypatch):
    server.files = {"/one/a.zip": Served(packed({"a": b"1"})), "/two/a.zip": Served(packed({"a": b"2"}))}
    one, two = ({"http": [{"url": server.url(f"/{place}/a.zip"), "extract": True}]} for place in ("one", "two"))
    with monkeypatch.context() as patched:
        patched.setattr(retrieving.archives, "merge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            get(one)
    get(two)
    assert files(tmp_path / "native") == {"a": b"2"}
    get(one, force=True)
    assert files(tmp_path / "native") == {"a": b"1"}
    assert [path for path, _ in server.asked] == ["/one/a.zip", "/two/a.zip", "/one/a.zip"]


def test_a_ledger_with_a_torn_line_is_read_as_far_as_it_is_whole(server, tmp_path, get):
    server.files = {f"/{number}.csv": Served(b"%d" % number) for number in range(3)}
    route = {"http": [server.url("/[0-2].csv")]}
    get(route, connections=1)
    ledger = tmp_path / "native/.retrieve/ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-20])
    get(route)
    assert len(server.asked) == 4
    assert len(ledger.read_text().splitlines()) == 4  # the torn one among them
    get(route)
    assert len(server.asked) == 4


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
def test_a_cut_file_that_no_length_and_no_checksum_tells_of_is_found(server, tmp_path, get, name):
    body = packed({"a.csv": RANDOM.bytes(5000)}, "zip" if name == "a.zip" else "tar")
    server.files = {f"/{name}": Served(body[:3000], length=False)}
    with pytest.raises(InputError, match=rf"{name}: is damaged or cut short"):
        get({"http": [server.url(f"/{name}")]})
    assert files(tmp_path / "native") == {}
    server.files = {f"/{name}": Served(body)}
    get({"http": [server.url(f"/{name}")]})
    assert files(tmp_path / "native") == {name: body}


def test_several_archives_may_fill_one_folder_but_one_at_a_time(server, tmp_path, get, monkeypatch):
    merge, at_once, most = archives.merge, [], []

    def counted(made, folder):
        """Moving, and how many move with it; it calls itself for what is inside."""
        if folder != tmp_path / "native":
            return merge(made, folder)
        at_once.append(made)
        most.append(len(at_once))
        time.sleep(0.02)
        merge(made, folder)
        return at_once.remove(made)

    monkeypatch.setattr(retrieving.archives, "merge", counted)
    parts = [{f"images/{part}_{number}.png": bytes([part, number]) for number in range(40)} for part in range(6)]
    server.files = {f"/images_{part}.tar.gz": Served(packed(content, "tar")) for part, content in enumerate(parts)}
    get({"http": [{"url": server.url("/images_[0-5].tar.gz"), "extract": True}]}, connections=6)
    assert files(tmp_path / "native") == {name: body for content in parts for name, body in content.items()}
    assert most == [1] * 6


def test_disk_is_looked_at_before_anything_is_asked_for(server, monkeypatch, get):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, 4 * 10**11))
    with pytest.raises(
        InputError, match=r"native: about 440 GB are to come, and 400 GB are free; free space, or say elsewhere"
    ):
        get({"http": [server.url("/a")], "gigabytes": 440})
    with pytest.raises(InputError, match="about 500 GB are to come"):  # the archive, and as much out of it
        get({"http": [{"url": server.url("/a.zip"), "size": 25 * 10**10, "extract": True}]})
    assert server.asked == []


def test_two_retrievals_of_one_dataset_do_not_meet(server, tmp_path, get, caplog):
    caplog.set_level("INFO")
    server.files = {"/a": Served(b"a")}
    with ThreadPoolExecutor(1) as pool:
        with retrieving._opened(tmp_path / "native", "montgomery"):
            second = pool.submit(get, {"http": [server.url("/a")]})
            deadline = time.monotonic() + 10
            while "another retrieval is at work in" not in caplog.text and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.3)
            assert server.asked == []
        second.result()
    assert "montgomery: another retrieval is at work in" in caplog.text
    assert files(tmp_path / "native") == {"a": b"a"}


def test_names_of_no_alphabet_are_written_down(server, get):
    name = b"\xff.png".decode("utf-8", "surrogateescape")
    server.files = {"/a.tar.gz": Served(packed({name: b"1"}, "tar"))}
    route = {"http": [{"url": server.url("/a.tar.gz"), "extract": True}]}
    get(route)
    get(route)
    assert len(server.asked) == 1


def test_a_place_that_is_taken_is_said(server, tmp_path, get):
    (tmp_path / "native/a.csv").mkdir(parents=True)
    server.files = {"/a.csv": Served(b"a")}
    with pytest.raises(InputError, match=r"a\.csv: cannot be put there \(Is a directory\)"):
        get({"http": [server.url("/a.csv")]})
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file/native"
    with pytest.raises(InputError, match=r"file/native: cannot be written to \(Not a directory\); say elsewhere"):
        retrieve(
            sliced({"http": [server.url("/a.csv")]}), Native(folder, folder), tmp_path / "x.json", 1, patience=QUICK
        )


# The command


def _params(tmp_path, route, key="montgomery"):
    content = yaml.safe_load(TINY.read_text()) | {"results_root": str(tmp_path / "results")}
    content["datasets"][key] = {"source": "retrieve", "retrieve": route}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def _command(tmp_path, file, *words, key="montgomery"):
    return [
        sys.executable,
        "-m",
        "fxcore",
        "retrieve",
        key,
        "--params",
        str(file),
        "--results",
        str(tmp_path / "results"),
        *words,
    ]


def _environment(tmp_path):
    return os.environ | {"FXCORE_NATIVE": str(tmp_path / "native"), "PYTHONPATH": str(PROJECT)}


def test_a_dataset_for_a_person_says_what_to_do_until_it_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FXCORE_NATIVE", str(tmp_path))
    command = ["retrieve", "candid_ptx", "--params", str(TINY), "--results", str(tmp_path / "results")]
    assert cli.main(command) == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "candid_ptx: CANDID-PTX figshare 14173982 (data use agreement and ethics course; custom DUA)",
        "  1. Request access at https://doi.org/10.17608/k6.auckland.14173982; it takes a data use agreement and an ethics course.",
        "  2. Download and unpack what you are given.",
        f"Put this into {tmp_path}/candid_ptx:",
        "  Pneumothorax_reports.csv",
        "  dataset/ with the DICOM files, named by SOP instance",
        "Then, with source: native in the parameters: fxcore check candid_ptx",
    ]
    assert said.err.startswith(
        f"fxcore retrieve: datasets.candid_ptx: {tmp_path}/candid_ptx has no Pneumothorax_reports.csv"
    )
    (tmp_path / "candid_ptx/dataset").mkdir(parents=True)
    (tmp_path / "candid_ptx/Pneumothorax_reports.csv").write_text("")
    assert cli.main(command) == 0
    assert "fxcore check candid_ptx reads it" in capsys.readouterr().out


def test_killed_twice_at_random_the_file_is_whole_and_verified_in_the_end(server, tmp_path):
    """Two SIGKILLs of the real command, at moments a seed draws, while a slow server still sends."""
    body = packed({f"MontgomerySet/CXR_png/{number}.png": RANDOM.bytes(50_000) for number in range(30)})
    one = server.files["/Set.zip"] = Served(body, piece=20_000, pause=0.02)  # 1.5 s
    route = {"http": [{"url": server.url("/Set.zip"), "sha256": one.sha256, "extract": True}]}
    command, native = _command(tmp_path, _params(tmp_path, route)), tmp_path / "native/montgomery"
    moments = np.random.default_rng(11)
    for time_killed in range(2):
        process = subprocess.Popen(command, cwd=PROJECT, env=_environment(tmp_path), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while len(server.asked) <= time_killed and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.1, 0.6))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert files(native) == {}  # nothing half-written under a name of the release
    ran = subprocess.run(command, cwd=PROJECT, env=_environment(tmp_path), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert files(native) == {name: archive.read(name) for name in archive.namelist()}
    assert json.loads((tmp_path / "results/retrieved/montgomery.json").read_text())["named"][0]["sha256"] == one.sha256
    # three answers, and the later ones went on: not thrice the whole
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in server.ranges("/Set.zip")[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] < len(body)


def test_a_disk_that_is_full_ends_with_a_line_and_it_goes_on_later(server, tmp_path):
    """The kernel refuses to let a file grow beyond a limit of the process: the same failed write as on a full disk, another number."""
    body = RANDOM.bytes(500_000)
    server.files["/a.bin"] = Served(body)
    command = _command(tmp_path, _params(tmp_path, {"http": [server.url("/a.bin")]}))
    limited = ["bash", "-c", 'ulimit -f 300; exec "$@"', "bash", *command]  # 300 KiB
    ran = subprocess.run(limited, cwd=PROJECT, env=_environment(tmp_path), capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith("fxcore retrieve: ")
    assert "the disk is full (File too large); free space and start again, it goes on with the" in ran.stderr
    assert files(tmp_path / "native/montgomery") == {}
    again = subprocess.run(command, cwd=PROJECT, env=_environment(tmp_path), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert files(tmp_path / "native/montgomery") == {"a.bin": body}
    assert int(server.ranges("/a.bin")[1].removeprefix("bytes=").rstrip("-")) > 200_000
