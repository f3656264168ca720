"""Datasets by their routes, from servers on loopback and a stand-in of Kaggle's client."""

import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
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
from fxcore.data.retrieve import describe, retrieve
from fxcore.data.transfer import Patience
from fxcore.errors import InputError
from fxcore.files import sha256
from fxcore.params.experiment import load
from fxcore.params.registry import known, registry, routes
from fxcore.params.routes import Route
from fxcore.slices.data import RetrieveSlice
from fxcore.slices.make import retrieve_slice
from tests.conftest import PROJECT, TINY
from tests.server import Served, serving

QUICK = Patience(attempts=3, wait=0.01, longest=0.05, timeout=2.0)
RANDOM = np.random.default_rng(0)
PICTURES = {f"MontgomerySet/CXR_png/MCUCXR_{number:04}_0.png": RANDOM.bytes(3000) for number in range(1, 6)}


@pytest.fixture
def server():
    with serving() as told:
        yield told


def packed(content, kind="zip"):
    """The bytes of an archive."""
    sink = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(sink, "w") as made:
            for name, body in content.items():
                made.writestr(name, body)
    else:
        with tarfile.open(fileobj=sink, mode="w:gz") as made:
            for name, body in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(body)
                made.addfile(info, io.BytesIO(body))
    return sink.getvalue()


def sliced(route, key="montgomery"):
    return RetrieveSlice(key=key, dataset=known(key), route=Route.model_validate(route))


@pytest.fixture
def get(tmp_path):
    """Retrieve by a route into `tmp_path/native`; the record."""

    def run(route, key="montgomery", connections=2, **options):
        folder = tmp_path / "native"
        record = tmp_path / "results" / f"{key}.json"
        options = {"patience": QUICK} | options
        retrieve(sliced(route, key), Native(folder, folder), record, connections, **options)
        return json.loads(record.read_text())

    return run


def files(folder):
    """What lies in a dataset's folder, without what retrieval keeps for itself."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: body for name, body in found.items() if not name.startswith(".retrieve/")}


def kept(folder):
    return sorted(path.name for path in (folder / ".retrieve").iterdir())


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


# PhysioNet


def _project(server, files, **options):
    """A folder as PhysioNet has it, for those who may."""
    body = "".join(f"{Served(content).sha256}  {name}\n" for name, content in files.items()).encode()
    for name, content in {"SHA256SUMS.txt": body, **files}.items():
        server.files[f"/files/p/1.0/{name.replace(' ', '%20')}"] = Served(content, **options)
    return server.url("/files/p/1.0")


TREE = {"files/p10/s1/a b.jpg": b"jpg", "files/p11/s2/c.jpg": b"jpeg", "labels.csv.gz": b"gz?", "notes.txt": b"no"}


def test_a_project_of_physionet_comes_by_its_own_list(server, tmp_path, monkeypatch, get):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    route = {"physionet": {"url": _project(server, TREE, login="me:mine"), "only": ["files/*", "labels*"]}}
    record = get(route, "mimic_cxr")
    wanted = {name: body for name, body in TREE.items() if name != "notes.txt"}
    found = files(tmp_path / "native")
    assert {name: body for name, body in found.items() if name != "SHA256SUMS.txt"} == wanted
    assert (record["files"], record["only"]) == (4, ["files/*", "labels*"])
    asked = len(server.asked)
    assert get(route, "mimic_cxr") == record
    assert len(server.asked) == asked  # nothing is missing, so there is no need of a network


def test_a_tree_that_was_mirrored_before_needs_no_room_and_no_download(server, tmp_path, monkeypatch, get):
    route = {"physionet": _project(server, TREE), "gigabytes": 570}
    for name, body in TREE.items():
        (tmp_path / "native" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "native" / name).write_bytes(body)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, 10**9))
    assert get(route, "mimic_cxr")["files"] == 5
    assert [path for path, _ in server.asked] == ["/files/p/1.0/SHA256SUMS.txt"]
    (tmp_path / "native/notes.txt").write_bytes(b"of mine")  # another content is fetched again
    (tmp_path / "native/labels.csv.gz").unlink()
    with pytest.raises(InputError, match="about 114 GB are to come"):  # one of five files
        get(route, "mimic_cxr")


def test_without_a_login_physionet_says_what_it_takes(server, get):
    route = {"physionet": _project(server, TREE, login="me:mine"), "before": ["An account."]}
    with pytest.raises(InputError) as raised:
        get(route, "mimic_cxr")
    assert str(raised.value) == (
        "SHA256SUMS.txt: 127.0.0.1 asks for a login, or does not accept yours (401); put it into ~/.netrc, under machine 127.0.0.1."
        " What it takes: PhysioNet, credentialed; fxcore retrieve mimic_cxr lists it"
    )


@pytest.mark.parametrize("line", [f"{'0' * 64}  ../up", f"{'0' * 64}  /up", "xyz  a", f"{'0' * 64}  .retrieve/lock"])
def test_a_list_that_names_something_else_is_refused(server, tmp_path, get, line):
    server.files = {"/p/SHA256SUMS.txt": Served(f"{line}\n".encode())}
    with pytest.raises(InputError, match=r"SHA256SUMS\.txt, row 1: is no checksum and path below the folder"):
        get({"physionet": server.url("/p/")}, "mimic_cxr")
    assert set(files(tmp_path)) <= {
        "native/SHA256SUMS.txt",
        *(f"native/.retrieve/{one}" for one in ("lock", "ledger.jsonl")),
    }


def test_patterns_that_fit_nothing_are_said(server, get):
    with pytest.raises(InputError, match=r"names no file like file/\*; correct retrieve\.physionet\.only"):
        get({"physionet": {"url": _project(server, TREE), "only": ["file/*"]}}, "mimic_cxr")


# Kaggle: a stand-in of its client, which says what the real one is documented to say

CLIENT = f"""#!{sys.executable}
import os, pathlib, shutil, sys
words = sys.argv[1:]
folder = pathlib.Path(words[words.index("--path") + 1])
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(" ".join(words) + chr(10))
said = os.environ.get("FAKE_SAYS", "")
if said:
    print(said, file=sys.stderr if "kaggle.json" in said else sys.stdout)
    sys.exit(1)
shutil.copyfile(os.environ["FAKE_FILE"] + ("" if "--force" in words else os.environ.get("FAKE_CUT", "")), folder / "set.zip")
"""


@pytest.fixture
def client(tmp_path, monkeypatch):
    """The stand-in on the path; the commands it was given."""
    program = tmp_path / "bin" / "kaggle"
    program.parent.mkdir()
    program.write_text(CLIENT)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    archive = tmp_path / "archive"
    archive.write_bytes(packed(PICTURES))
    (tmp_path / "archive-cut").write_bytes(archive.read_bytes()[:5000])
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "commands"))
    monkeypatch.setenv("FAKE_FILE", str(archive))
    return lambda: (tmp_path / "commands").read_text().splitlines()


COMPETITION = {"kaggle": {"competition": "rsna-pneumonia-detection-challenge"}}


def test_kaggles_client_downloads_and_we_unpack(tmp_path, client, get):
    record = get(COMPETITION, "rsna_pneumonia")
    assert files(tmp_path / "native") == PICTURES
    assert kept(tmp_path / "native") == ["ledger.jsonl", "lock"]
    (command,) = client()
    start = (
        f"competitions download --competition rsna-pneumonia-detection-challenge --path {tmp_path}/native/.retrieve/"
    )
    assert command.startswith(start)
    assert record["named"][0]["sha256"] == sha256(tmp_path / "archive")
    assert get(COMPETITION, "rsna_pneumonia") == record
    assert len(client()) == 1
    assert (
        get({"kaggle": {"dataset": "somebody/a-copy"}}, "siim_acr")["from"]
        == "https://www.kaggle.com/datasets/somebody/a-copy"
    )
    assert client()[1].startswith("datasets download --dataset somebody/a-copy ")


def test_an_archive_that_the_client_takes_for_whole_and_is_not_is_fetched_anew(tmp_path, client, get, monkeypatch):
    monkeypatch.setenv("FAKE_CUT", "-cut")
    get(COMPETITION, "rsna_pneumonia")
    assert [line.endswith("--force") for line in client()] == [False, True]
    assert files(tmp_path / "native") == PICTURES


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (
            "403 - Forbidden - You must accept this competition's rules before you'll be able to download files.",
            r"accept the rules at https://www\.kaggle\.com/c/rsna-pneumonia-detection-challenge/rules with the account of your token",
        ),
        ("403 Client Error: Forbidden for url: https://api.kaggle.com/v1/x?token=KEY", r"accept the rules at"),
        ("401 - Unauthorized - Unauthenticated", r"no login, or one that is not accepted"),
        (
            "OSError: Could not find kaggle.json. Make sure it's located in /x. Or use the environment method.",
            r"no login",
        ),
        ("404 - Not Found", r"is not there \(404\)"),
        (
            "Strange: KEY at https://me:KEY@example.org/a?b=KEY",
            r"^kaggle: Strange: … at https://example\.org/a\?…; try again later$",
        ),
        ("", r"failed without a word|wrote no archive"),
    ],
)
@pytest.mark.usefixtures("client")
def test_what_the_client_fails_with_is_said_without_secrets(get, monkeypatch, tmp_path, says, said):
    monkeypatch.setenv("KAGGLE_KEY", "KEY")
    monkeypatch.setenv("FAKE_SAYS", says or " ")
    with pytest.raises(InputError, match=said) as raised:
        get(COMPETITION, "rsna_pneumonia")
    assert "KEY" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert files(tmp_path / "native") == {}


def test_without_the_client_it_is_said_how_to_get_it(get, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(
        InputError, match="its client is not installed; install it into this environment with: pip install kaggle"
    ):
        get(COMPETITION, "rsna_pneumonia")


# Routes


def test_there_is_a_route_to_every_known_dataset_and_the_folder_it_fills_is_read_by_its_adapter():
    assert list(routes()) == list(registry())
    kinds = {key: route.kind for key, route in routes().items()}
    # the specification's table of routes (part D), but for NIH from Kaggle and NODE21, whose files have no known addresses
    assert [key for key, kind in kinds.items() if kind == "by_hand"] == [
        *("chexpert", "node21", "candid_ptx", "vindr_ribcxr", "jsrt", "padchest")
    ]
    assert [key for key, kind in kinds.items() if kind == "http"] == ["shenzhen", "chestx_det", "montgomery"]
    assert [key for key, kind in kinds.items() if kind == "kaggle"] == ["nih14", "tbx11k", "rsna_pneumonia", "siim_acr"]
    names = [one.place for file in routes()["shenzhen"].http for one in file.each()]
    assert (len(names), names[0], names[-1]) == (662, "CXR_png/CHNCXR_0001_0.png", "CXR_png/CHNCXR_0662_1.png")
    assert sum(name.endswith("_1.png") for name in names) == 336


def test_the_page_tells_the_same_routes():
    page = (PROJECT / "docs/how-to/get-the-data.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ") and "`" in line]
    told = {key: kind.strip() for kind, keys in rows for key in re.findall(r"`(\w+)`", keys)}
    names = {"http": "web server", "kaggle": "Kaggle", "by_hand": "by hand"}
    access = {"physionet": {True: "PhysioNet, credentialed", False: "PhysioNet, open"}}
    assert told == {
        key: names.get(route.kind) or access[route.kind][bool(route.before)] for key, route in routes().items()
    }


@pytest.mark.parametrize("key", list(registry()))
def test_what_to_do_is_said_for_every_known_dataset(key, tmp_path):
    params = load(TINY)
    slice_ = retrieve_slice(params, key)
    said = describe(slice_, Native(tmp_path / key, tmp_path / key))
    assert said.startswith(f"{key}: {registry()[key].title} ")
    if slice_.route.kind == "by_hand":
        assert f"Put this into {tmp_path / key}:" in said
        assert "https://" in said or "http://" in said


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({}, "gives no route; give one of http, kaggle, physionet, by_hand"),
        ({"http": ["http://a/b"], "physionet": "http://a/"}, "gives http and physionet"),
        ({"http": "http://me:secret@a/b"}, "give a list of files"),
        (
            {"http": ["http://me:secret@a/b"]},
            r"has a login in it; take it out and put it into ~/\.netrc, under machine a",
        ),
        ({"http": ["ftp://secret/b"]}, "is no URL that begins with http:// or https://"),
        ({"physionet": "http://me:secret@a/b"}, "has a login in it"),
        ({"http": ["http://a/b", "http://c/b"]}, "two files would be b"),
        ({"http": [{"url": "http://a/b", "name": "../b"}]}, r"\.\./b is no path below the dataset's folder"),
        ({"http": [{"url": "http://a/b", "name": ".retrieve/b"}]}, "is no path below"),
        ({"http": [{"url": "http://a/[1-3].png", "name": "b"}]}, r"give it the same \[1-3\]"),
        ({"http": [{"url": "http://a/[1-3].png", "sha256": "0" * 64}]}, "sha256 is of one file"),
        ({"kaggle": {}}, "give competition or dataset, one of them"),
    ],
)
def test_a_wrong_route_is_named_and_no_login_repeated(tmp_path, capsys, route, said):
    content = yaml.safe_load(TINY.read_text())
    content["datasets"]["mine"] = {"adapter": "montgomery", "retrieve": route, "classification": {"classes": ["TB"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    assert cli.main(["retrieve", "mine", "--params", str(tmp_path / "params.yaml")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "datasets.mine.retrieve" in line
    assert re.search(said, line), line
    assert "secret" not in line


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
        "Then: fxcore check candid_ptx",
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
