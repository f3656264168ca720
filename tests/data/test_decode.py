"""Decoding: killed at any moment it goes on where it was, to the same bytes; what it stands on decides what may be gone on with."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fxcore.data import decode as decoding
from fxcore.data.adapters import folder
from fxcore.data.native import Native, Problems
from fxcore.data.records import Box
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from tests.conftest import FOLDER_PARAMS, PROJECT

DATASET = Dataset.model_validate(FOLDER_PARAMS)


@pytest.fixture
def records(folder_dataset):
    root = folder_dataset.write()
    return list(folder.records("mine", DATASET, Native(root, root), Problems()))


def _decode(records, work, identity="one", processes=1, dataset=DATASET):
    return decoding.decode("mine", records, dataset, 32, work, identity, processes)


def _content(work):
    return [(work / f"{name}.npy").read_bytes() for name in ("images", "masks")]


@pytest.fixture(autouse=True)
def chunks_of_two(monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK", 2)


def test_it_goes_on_after_the_last_chunk_of_the_journal(records, tmp_path):
    whole = _decode(records, tmp_path / "whole")
    read = []

    def counted(path, where):
        read.append(path.name)
        if len(read) == 6:
            raise KeyboardInterrupt
        return original(path, where)

    original = records[0].read
    with pytest.raises(KeyboardInterrupt):
        _decode([_reading(one, counted) for one in records], tmp_path / "cut")
    read.clear()
    again = _decode([_reading(one, counted) for one in records], tmp_path / "cut")
    # seven images in chunks of two: the fifth and sixth were under way, four were done
    assert read == ["4.png", "5.png", "6.png"]
    assert again == whole
    assert _content(tmp_path / "cut") == _content(tmp_path / "whole")


def _reading(record, read):
    return replace(record, read=read)


def test_a_line_that_was_being_written_does_not_count(records, tmp_path):
    whole = _decode(records, tmp_path / "work")
    journal = tmp_path / "work" / "journal.jsonl"
    journal.write_text(journal.read_text()[:-40])
    assert _decode(records, tmp_path / "work") == whole


def test_a_damaged_line_does_not_count(records, tmp_path):
    whole = _decode(records, tmp_path / "work")
    journal = tmp_path / "work" / "journal.jsonl"
    identity, line, *rest = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([identity, line.replace("30", "31", 1), *rest]))
    assert _decode(records, tmp_path / "work") == whole


def _dies(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_ends_the_job_in_one_line_and_the_next_goes_on(records, tmp_path):
    whole = _decode(records, tmp_path / "whole")
    with pytest.raises(
        InputError, match=r"^a process that decodes pictures died, .* what is decoded is not decoded again$"
    ):
        _decode([*records[:-1], _reading(records[-1], _dies)], tmp_path / "work", processes=2)
    assert _decode(records, tmp_path / "work") == whole
    assert _content(tmp_path / "work") == _content(tmp_path / "whole")


def test_another_identity_begins_anew(records, tmp_path):
    _decode(records, tmp_path / "work", "one")
    pictures = np.load(tmp_path / "work" / "images.npy", mmap_mode="r+")
    pictures[0] = 7
    pictures.flush()
    _decode(records, tmp_path / "work", "one")
    assert np.load(tmp_path / "work" / "images.npy")[0].min() == 7  # taken for done
    _decode(records, tmp_path / "work", "two")
    assert np.load(tmp_path / "work" / "images.npy")[0].max() != 7


def test_two_processes_write_the_same_bytes(records, tmp_path):
    assert _decode(records, tmp_path / "one") == _decode(records, tmp_path / "two", processes=2)
    assert _content(tmp_path / "one") == _content(tmp_path / "two")


def test_all_that_is_wrong_is_found_at_once(records, tmp_path):
    records[2].file.write_bytes(records[2].file.read_bytes()[:60])
    Image.fromarray(np.full((20, 30), 9, dtype=np.uint8)).save(records[4].file)
    records[5].file.unlink()
    wide = Box("nodule", (25.0, 2.0, 9.0, 3.0), "boxes.json, annotation 9")
    found = _decode([*records[:6], replace(records[6], boxes=(wide,))], tmp_path / "work")
    wrong = [(one.wrong, one.unreadable) for one in found if one.wrong]
    assert [unreadable for _, unreadable in wrong] == [True, True, False, False]
    for (message, _), part in zip(
        wrong,
        (
            "row 4: .*images/2.png cannot be decoded",
            "row 6: .*images/4.png has the value 9 in every pixel",
            "row 7: no image .*images/5.png",
            r"boxes.json, annotation 9: box \[25.0, 2.0, 9.0, 3.0\] .* leaves the image",
        ),
        strict=True,
    ):
        assert re.search(part, message)


JOB = """
import sys
from pathlib import Path
from fxcore.data import decode as decoding
decoding.CHUNK = 4
from fxcore import commands, cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_killed_at_random_it_makes_the_same_store(tmp_path):
    params = (
        (PROJECT / "tests/presets/tiny.yaml")
        .read_text()
        .replace("train: 12, val: 6, test: 6", "train: 160, val: 20, test: 20")
    )
    file = tmp_path / "params.yaml"
    file.write_text(params)

    def start(results, *words):
        command = [sys.executable, "-c", JOB, *words, "example_a", "--results", str(results), "--params", str(file)]
        return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL, start_new_session=True)

    assert start(tmp_path, "phantom").wait() == 0
    assert start(tmp_path, "normalize", "--threads", "1").wait() == 0
    store = tmp_path / "data/example_a/72"
    whole = {path.name: path.read_bytes() for path in store.iterdir()}
    for path in store.iterdir():
        path.unlink()
    journal = tmp_path / "work/data/example_a/72/journal.jsonl"
    for lines in (3, 11, 30):
        job = start(tmp_path, "normalize", "--threads", "1")
        while job.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < lines):
            time.sleep(0.002)
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        assert not list(store.iterdir())
    assert start(tmp_path, "normalize", "--threads", "2").wait() == 0
    assert {path.name: path.read_bytes() for path in store.iterdir()} == whole
    assert not journal.parent.exists()


def test_a_picture_that_is_put_there_or_replaced_is_decoded_again(records, tmp_path):
    second, third, fifth = (records[at].file for at in (1, 2, 4))
    good = second.read_bytes()
    second.write_bytes(good[:40])
    third.unlink()
    refused = _decode(records, tmp_path / "work")
    assert [at for at, one in enumerate(refused) if one.wrong] == [1, 2]
    second.write_bytes(good)
    Image.fromarray(255 - np.asarray(Image.open(records[3].file))).save(third)
    Image.fromarray(255 - np.asarray(Image.open(fifth))).save(fifth)  # it was decoded well, and is another one now
    assert _decode(records, tmp_path / "work") == _decode(records, tmp_path / "anew")
    assert _content(tmp_path / "work") == _content(tmp_path / "anew")
