"""Files and folders that appear whole or not at all, JSON, checksums."""

import errno
import hashlib
import json
import os
import subprocess
import sys

import pytest

from fxcore import files
from fxcore.errors import InputError
from fxcore.files import atomic, atomic_folder, read_json, sha256, write_json


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with atomic(path) as part:
        part.write_text("old")
    with pytest.raises(RuntimeError), atomic(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [one.name for one in path.parent.iterdir()] == ["a.txt"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with atomic_folder(tmp_path / "made") as part:
        (part / "a").touch()
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "made") as part:
        (part / "b").touch()
        raise RuntimeError
    assert [one.name for one in tmp_path.rglob("*")] == ["made", "a"]


def test_json_does_not_depend_on_key_order_and_refuses_what_is_no_number(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": {"d": 2, "c": 3}})
    write_json(tmp_path / "b.json", {"a": {"c": 3, "d": 2}, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "c.json", float("nan"))
    assert not (tmp_path / "c.json").exists()


def test_json_is_read_by_others_and_comes_back_without_its_seal(tmp_path):
    content = {"é": [1, 0.1, None], "nested": {"b": "x\n", "a": {}}}
    for name, seal in (("sealed", True), ("plain", False)):
        write_json(tmp_path / name, content, seal=seal)
        read = json.loads((tmp_path / name).read_text())
        assert read.pop("seal", None) == (read_seal(tmp_path / name) if seal else None)
        assert read == content
    assert read_json(tmp_path / "sealed") == content
    write_json(tmp_path / "empty", {})
    assert read_json(tmp_path / "empty") == {}


def read_seal(path):
    """SHA-256 of what stands before the last entry's line."""
    return hashlib.sha256(path.read_bytes().rpartition(b'\n "seal"')[0]).hexdigest()


def test_no_bit_of_json_flips_and_no_end_is_lost_unnoticed(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"classes": ["é", "b"], "value": 0.25, "of": {"seal": None, "x": True}})
    whole = path.read_bytes()
    assert len(whole) > 1_000 / 8
    changes = [whole[:length] for length in range(len(whole))]
    for at in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        changes.append(bytes(changed))
    for change in changes:
        path.write_bytes(change)
        with pytest.raises(InputError, match=r"a\.json: not readable \(.*\); make it again with: snakemake"):
            read_json(path)


@pytest.mark.parametrize("what", ["mkdir", "touch", "write", "fsync", "replace"])
def test_a_full_disk_is_one_line_whatever_it_refuses(tmp_path, monkeypatch, what):
    path = tmp_path / "deep" / "a.json"
    if what != "mkdir":
        write_json(path, {"old": 1})

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = {"fsync": "os.fsync", "write": "pathlib.Path.write_text"}.get(what, f"pathlib.Path.{what}")
    with monkeypatch.context() as full:
        full.setattr(place, refuse)
        with pytest.raises(
            InputError, match=r"a\.json: cannot be written \(No space left on device\); make room or rights"
        ):
            write_json(path, {"new": 2})
    assert [one.name for one in tmp_path.rglob("*.*")] == ([] if what == "mkdir" else ["a.json"])
    assert what == "mkdir" or read_json(path) == {"old": 1}


def test_an_error_that_is_no_refusal_of_the_system_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a") as part:
        (part.parent / "nothing").read_text()


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {
        files._part(tmp_path / "a").name.replace(f"-{os.getpid()}.", f"-{pid}.") for pid in (ended.pid, os.getppid())
    }
    for name in names:
        (tmp_path / name).mkdir()
    foreign = tmp_path / f".a.00000000-{ended.pid}.part"  # of another machine
    foreign.touch()
    files._tidy.cache_clear()
    write_json(tmp_path / "b.json", {})
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {"b.json", foreign.name, *(name for name in names if f"-{os.getppid()}." in name)}


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "abc").write_text("abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_files_have_the_mode_of_any_other_file(tmp_path):
    (tmp_path / "plain").touch()
    with atomic(tmp_path / "made") as part:
        part.write_text("x")
        part.chmod(0o600)  # as safetensors leaves its files
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_to_do_names_the_experiment(tmp_path, monkeypatch):
    missing = tmp_path / "a.json"
    monkeypatch.setenv("FXCORE_PARAMS", "my own.yaml")
    with pytest.raises(
        InputError, match=r"again with: snakemake --cores all --config 'params=my own.yaml' --force -- \S+$"
    ):
        read_json(missing)
    monkeypatch.setenv("FXCORE_PARAMS", "params.yaml")
    with pytest.raises(InputError, match=r"again with: snakemake --cores all --force -- \S+$"):
        read_json(missing)
