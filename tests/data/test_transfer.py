"""Files from a real web server on loopback that cuts, forgets, refuses, misleads and trickles."""

import shutil
import socket
import traceback
from collections import namedtuple

import numpy as np
import pytest

from fxcore.data import transfer
from fxcore.data.transfer import Patience, Remote, Traffic, fetch
from fxcore.errors import InputError
from fxcore.escaping import redacted
from tests.server import Served, serving

BODY = np.random.default_rng(0).bytes(400_000)
OTHER = np.random.default_rng(1).bytes(400_000)
SECRET = "s3cr3t-t0ken"  # noqa: S105 - of nobody
PATIENT = Patience(attempts=3, wait=0.01, longest=0.05, timeout=1.0)


@pytest.fixture
def server():
    with serving() as told:
        yield told


@pytest.fixture(autouse=True)
def _heard(caplog):
    caplog.set_level("DEBUG")


def get(server, folder, one, *, query="", patience=PATIENT, **remote):
    """Put `one` on the server and fetch it."""
    server.files["/a.bin"] = one
    wanted = Remote(server.url(f"/a.bin{query}"), "a.bin", **{"sha256": one.sha256, **remote})
    return fetch(wanted, folder, "a.bin", Traffic("key", 1, None, patience))


def test_a_file_comes_whole_and_leaves_nothing_else(server, tmp_path):
    assert get(server, tmp_path, Served(BODY)).read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_cut_transfer_goes_on_where_it_was_cut(server, tmp_path):
    one = Served(BODY, cut=[150_000, 100_000])
    assert get(server, tmp_path, one).read_bytes() == BODY
    assert server.ranges("/a.bin") == [None, "bytes=150000-", "bytes=250000-"]
    assert server.asked[1][1]["if-range"] == '"one"'


def test_a_server_that_gives_less_than_the_rest_is_asked_for_more(server, tmp_path):
    one = Served(BODY, cut=[100_000], most=120_000)
    assert get(server, tmp_path, one, sha256=None).read_bytes() == BODY
    assert server.ranges("/a.bin") == [None, "bytes=100000-", "bytes=220000-", "bytes=340000-"]


def test_what_an_earlier_process_left_is_gone_on_with(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(BODY[:300_000])
    (tmp_path / "a.bin.part.version").write_text('"one"')
    assert get(server, tmp_path, Served(BODY)).read_bytes() == BODY
    assert server.sent == 100_000


def test_without_ranges_it_begins_again_and_says_so(server, tmp_path, caplog):
    assert get(server, tmp_path, Served(BODY, ranges=False, cut=[200_000])).read_bytes() == BODY
    assert "a.bin: the server cannot go on with a file; from its beginning" in caplog.text


def test_a_file_that_changed_in_between_is_not_mixed(server, tmp_path, caplog):
    (tmp_path / "a.bin.part").write_bytes(OTHER[:300_000])
    (tmp_path / "a.bin.part.version").write_text('"zero"')
    assert get(server, tmp_path, Served(BODY), sha256=None).read_bytes() == BODY
    assert "a.bin: the file has changed; from its beginning" in caplog.text


def test_where_nothing_tells_two_versions_apart_the_rest_of_another_one_is_not_asked_for(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(OTHER[:300_000])
    assert get(server, tmp_path, Served(BODY, etag=None), sha256=None).read_bytes() == BODY
    assert server.ranges("/a.bin") == [None]


def test_two_halves_of_different_files_are_found_by_the_checksum_and_fetched_anew(server, tmp_path, caplog):
    (tmp_path / "a.bin.part").write_bytes(OTHER[:300_000])
    assert get(server, tmp_path, Served(BODY, etag=None)).read_bytes() == BODY
    assert "another checksum than expected, after it was resumed" in caplog.text


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(BODY + BODY)
    assert get(server, tmp_path, Served(BODY)).read_bytes() == BODY


def test_a_part_that_was_whole_is_only_verified(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(BODY)
    assert get(server, tmp_path, Served(BODY)).read_bytes() == BODY
    assert server.sent == 0


def test_a_wrong_checksum_is_one_line_and_leaves_nothing(server, tmp_path):
    with pytest.raises(
        InputError, match=r"^a\.bin: http://127\.0\.0\.1:\d+/a\.bin has another checksum than .* with --force$"
    ):
        get(server, tmp_path, Served(OTHER), sha256=Served(BODY).sha256)
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


def test_another_length_than_expected_is_said_before_anything_comes(server, tmp_path):
    with pytest.raises(InputError, match=r"has 400,000 bytes; 400,001 are expected"):
        get(server, tmp_path, Served(BODY), size=400_001)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            401,
            r"asks for a login, or does not accept yours \(401\); put it into ~/\.netrc, under machine 127\.0\.0\.1\. What",
        ),
        (403, r"does not let you have it \(403\)\. What it takes: an account$"),
        (404, r"/a\.bin is not there \(404\)"),
        (410, r"/a\.bin is not there \(410\)"),
        (418, r"answers 418"),
    ],
)
def test_a_refusal_is_not_tried_again(server, tmp_path, code, said):
    with pytest.raises(InputError, match=said):
        get(server, tmp_path, Served(BODY, answers=[code] * 9), access="an account")
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_a_passing_trouble_is_tried_again(server, tmp_path, code):
    assert get(server, tmp_path, Served(BODY, answers=[code, code])).read_bytes() == BODY


def test_trouble_that_does_not_pass_is_given_up(server, tmp_path):
    with pytest.raises(InputError, match=r"a\.bin: 127\.0\.0\.1 answers 503, 3 times in a row; start again later"):
        get(server, tmp_path, Served(BODY, answers=[503] * 9))
    assert len(server.asked) == 3


def test_a_server_may_say_how_long_to_wait(server, tmp_path, caplog):
    get(server, tmp_path, Served(BODY, answers=[503], headers={"Retry-After": "7"}))
    assert "again in 0 s" in caplog.text  # as long as our patience is here, 0.05 s, and no longer


@pytest.mark.parametrize(
    "page",
    [
        Served(b"<p>Sign in</p>", kind="text/html; charset=utf-8"),
        Served(b"\n <!-- hi --> <!DOCTYPE html><title>Sign in</title>"),
    ],
    ids=["says so", "says it is a file"],
)
@pytest.mark.parametrize("sent", [False, True])
def test_a_page_to_log_in_is_no_file(server, tmp_path, page, sent):
    server.files["/login"] = page
    one = Served(b"", to="/login?next=a.bin") if sent else page
    where = r" \(where the server sent us\)" if sent else ""
    with pytest.raises(
        InputError, match=rf"^a\.bin: 127\.0\.0\.1{where} gives a web page and not the file, likely to log in"
    ):
        get(server, tmp_path, one, sha256=None)
    assert not (tmp_path / "a.bin").exists()


def test_a_server_that_is_silent_or_gone_is_given_up(server, tmp_path):
    quick = Patience(attempts=2, wait=0.01, timeout=0.2)
    with pytest.raises(InputError, match=r"no answer from 127\.0\.0\.1, 2 times in a row"):
        get(server, tmp_path, Served(BODY, pause=0.6, piece=1000), patience=quick)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        remote = Remote(f"http://127.0.0.1:{free.getsockname()[1]}/a", "a")
        with pytest.raises(InputError, match=r"the connection to 127\.0\.0\.1 broke or could not be made, 2 times"):
            fetch(remote, tmp_path, "a", Traffic("key", 1, None, quick))


def test_a_slow_server_is_not_given_up(server, tmp_path):
    slow = Served(BODY[:100_000], pause=0.1, piece=10_000)  # a second, in steps that are shorter than the patience
    assert get(server, tmp_path, slow, patience=Patience(attempts=1, timeout=0.5)).read_bytes() == BODY[:100_000]


def test_logins_come_from_netrc(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    (tmp_path / "files").mkdir()
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert get(server, tmp_path / "files", Served(BODY, login=f"me:{SECRET}")).read_bytes() == BODY


@pytest.mark.parametrize(
    "one",
    [
        Served(BODY),
        Served(BODY, cut=[0] * 9),
        Served(BODY, cut=[150_000]),
        Served(BODY, answers=[403] * 9),
        Served(BODY, answers=[404] * 9),
        Served(BODY, answers=[503] * 9),
        Served(BODY, login="another:one"),
        Served(BODY, to=f"/gone?token={SECRET}"),
        Served(BODY, to=f"http://me:{SECRET}@127.0.0.1:1/closed?token={SECRET}"),
        Served(BODY, to=f"/a.bin?token={SECRET}"),
        Served(BODY, to=f"nowhere://{SECRET}"),
    ],
    ids=lambda one: (
        f"cut {one.cut}" if one.cut else str(one.answers or one.to or (one.login and "login")).replace(SECRET, "…")
    ),
)
@pytest.mark.parametrize("right", [True, False])
def test_no_secret_is_in_a_log_an_error_or_a_file(server, tmp_path, caplog, monkeypatch, one, right):
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    caplog.set_level("INFO")  # as the command has it; libraries tell more at DEBUG
    folder = tmp_path / "files"
    folder.mkdir()
    checksum = one.sha256 if right else Served(OTHER).sha256
    said = ""
    try:
        get(
            server,
            folder,
            Served(**vars(one) | {"cut": [*one.cut], "answers": [*one.answers]}),
            query=f"?token={SECRET}",
            sha256=checksum,
        )
    except InputError as error:
        said = "".join(traceback.format_exception(error))
    assert any(SECRET in path for path, _ in server.asked) or "nowhere" in str(one.to)
    assert SECRET not in caplog.text + said
    assert not any(SECRET.encode() in path.read_bytes() for path in folder.iterdir())


def test_redacting_keeps_what_anybody_may_read():
    assert (
        redacted(f"https://me:{SECRET}@example.org:8443/a/b.zip?key={SECRET}#{SECRET}")
        == "https://example.org:8443/a/b.zip?…"
    )


def test_a_full_disk_is_said_before_a_byte_is_written(server, tmp_path, monkeypatch):
    """The free space is a number of ours; that a real write fails is tested on the command, with a limit of the system."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**8, 10**8))
    with pytest.raises(InputError, match=r"100 MB are free, and 400 kB are to come; free space and start again"):
        get(server, tmp_path, Served(BODY))
    assert list(tmp_path.iterdir()) == []


def test_how_far_it_is_is_said_now_and_then(server, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(transfer, "INTERVAL", 0.0)
    get(server, tmp_path, Served(BODY))
    lines = [line for line in caplog.messages if line.startswith("key: ")]
    assert lines[-1].startswith("key: 400 kB of 400 kB, 0 of 1 files, ")
    assert lines[-1].endswith("B/s, 0 s left")
    caplog.clear()
    traffic = Traffic("many", 3, None, PATIENT)
    traffic.moved(2_000_000, files=2)
    assert caplog.messages[-1].startswith("many: 2 MB, 2 of 3 files, ")
