"""Datasets from PhysioNet, and through a stand-in of Kaggle's client."""

import os
import shutil
import stat
import sys
from collections import namedtuple

import pytest

from fxcore.errors import InputError
from fxcore.files import sha256
from tests.data.conftest import PICTURES, files, kept, packed
from tests.server import Served

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
