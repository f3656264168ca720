"""Files, seeds, machine facts, source closures, progress."""

import errno
import hashlib
import json
import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore import files, machine, progress, sources
from fxcore.errors import InputError
from fxcore.failures import failures
from fxcore.files import atomic, atomic_folder, read_json, sha256, write_json
from fxcore.seeding import derive
from tests.conftest import PROJECT


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


@given(
    st.lists(st.one_of(st.integers(), st.text()), max_size=4), st.lists(st.one_of(st.integers(), st.text()), max_size=4)
)
def test_seeds_differ_exactly_when_names_do(first, second):
    same = [(type(one), one) for one in first] == [(type(one), one) for one in second]
    assert (derive(*first) == derive(*second)) == same
    assert 0 <= derive(*first) < 2**63


def test_seeds_are_the_same_in_every_process():
    assert derive(42, "order", 0) == _in_another_process()


def _in_another_process():
    code = "from fxcore.seeding import derive; print(derive(42, 'order', 0))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


def test_where_native_data_lie(tmp_path, monkeypatch):
    monkeypatch.delenv("FXCORE_NATIVE", raising=False)
    here = machine.load(tmp_path / "local.yaml")
    assert str(here.folder("nih14", None)) == "native/nih14"
    assert str(here.folder("nih14", "../shared/nih")) == "../shared/nih"
    (tmp_path / "local.yaml").write_text("native: /data\nthreads: 4\nworkers: 3\n")
    assert str(machine.load(tmp_path / "local.yaml").folder("nih14", "NIH")) == "/data/NIH"
    monkeypatch.setenv("FXCORE_NATIVE", "/elsewhere")
    assert str(machine.load(tmp_path / "local.yaml").folder("nih14", None)) == "/elsewhere/nih14"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("native_root: /data\n", r"local\.yaml: native_root is not a parameter; did you mean native\?"),
        ("threads: 0\n", r"local\.yaml: threads is 0; .*greater than or equal to 1"),
        ("device: tpu\n", r"local\.yaml: device is 'tpu'; .*'auto', 'cpu' or 'cuda'"),
        ("threads: 2\nworkers: 2\n", r"local\.yaml: workers is 2; leave the job at least one of its 2 threads"),
    ],
)
def test_a_mistake_in_local_yaml_is_one_line(tmp_path, text, message):
    (tmp_path / "local.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        machine.load(tmp_path / "local.yaml")


def test_visible_gpus_are_counted_without_torch(monkeypatch):
    for value, count in (("", 0), ("-1", 0), ("0", 1), ("2,3", 2)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert machine.gpus() == count


def test_a_closure_holds_what_a_module_imports_and_nothing_else():
    pretrain = sources.closure("fxcore.training.pretrain")
    assert {"fxcore/training/loop.py", "fxcore/models/localization/matcher.py", "fxcore/data/store.py"} <= set(pretrain)
    assert not [
        path for path in pretrain if "evaluation" in path or "report" in path or "phantom" in path or "cli" in path
    ]
    table = sources.closure("fxcore.report.table")
    assert not [path for path in table if path.startswith(("fxcore/models/", "fxcore/training/"))]
    assert not [path for path in sources.closure("fxcore.data.normalize") if "adapters/" in path]


def test_a_table_depends_on_the_published_numbers_and_training_does_not():
    published = "fxcore/report/published/pretraining.csv"
    assert published in sources.closure("fxcore.report.table")
    assert published not in sources.closure("fxcore.training.pretrain")
    visits = sources.closure("fxcore.data.visits")
    assert not [path for path in visits if path.startswith(("fxcore/models/", "fxcore/training/", "fxcore/phantom/"))]


def test_a_closure_is_what_python_really_imports():
    code = (
        "import sys, fxcore.training.pretrain\n"
        "print('\\n'.join(sorted(m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] == 'fxcore')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    imported = {str(os.path.relpath(line, PROJECT)) for line in ran.stdout.split()}
    assert set(sources.closure("fxcore.training.pretrain")) == imported


def test_a_file_in_many_closures_is_parsed_once(monkeypatch):
    parsed, parse = [], sources.ast.parse
    monkeypatch.setattr(sources.ast, "parse", lambda text: parsed.append(text) or parse(text))
    for known in (sources.closure, sources._imports):
        known.cache_clear()
    files = {file for name in ("data.store", "data.split") for file in sources.closure(f"fxcore.{name}")}
    assert len(parsed) == len({file for file in files if file.endswith(".py")})


def test_a_module_that_is_not_ours_is_said():
    with pytest.raises(ModuleNotFoundError, match=r"fxcore\.nothing is not a module of fxcore"):
        sources.closure("fxcore.nothing")


def test_progress_says_step_rate_and_time_left_but_not_too_often(monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, logger="fxcore")
    bar = progress.Progress("normalize nih14", 100, "images")
    for _ in range(100):
        now[0] += 1
        bar.advance()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 10
    assert lines[0] == "normalize nih14: 10 of 100 images, 1/s, 1 min 30 s left"
    assert lines[-1] == "normalize nih14: 100 of 100 images, 1/s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.4, "4 s"), (75, "1 min 15 s"), (3600, "1 h 0 min"), (12059, "3 h 20 min")]
)
def test_durations_as_a_reader_says_them(seconds, text):
    assert progress.duration(seconds) == text


def test_what_went_wrong_is_said_once_more_and_old_failures_are_not(tmp_path):
    (tmp_path / "normalize").mkdir()
    old, new, fine = (tmp_path / "normalize" / name for name in ("old.log", "new.log", "fine.log"))
    old.write_text("fxcore normalize: an old mistake\n")
    os.utime(old, (100, 100))
    new.write_text("12:00:00 reading\nfxcore normalize: index.csv, row 4: wrong\n")
    fine.write_text("12:00:00 done\n")
    assert failures(tmp_path, since=200) == "\nWhat went wrong:\n  fxcore normalize: index.csv, row 4: wrong\n"
    assert failures(tmp_path, since=new.stat().st_mtime + 10) == ""


def test_files_have_the_mode_of_any_other_file(tmp_path):
    (tmp_path / "plain").touch()
    with atomic(tmp_path / "made") as part:
        part.write_text("x")
        part.chmod(0o600)  # as safetensors leaves its files
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "plain").stat().st_mode
