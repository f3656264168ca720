"""Bits that flip and files that are cut short: whoever reads them next says which file it is and how to make it again, and that works.

What a job would only have gone on with is not used: it begins again.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.faults.conftest import ROOT, Job

STORE = "data/example_a/72"
READ = {
    f"{STORE}/manifest.json": "split example_a",
    f"{STORE}/images.parquet": "split example_a",
    f"{STORE}/thumbs.npy": "leakage",
    f"{STORE}/masks.parquet": "split example_a",
    f"{STORE}/labels.parquet": "pretrain foundation_x cycle_1",
    f"{STORE}/boxes.parquet": "pretrain foundation_x cycle_1",
    f"{STORE}/images.npy": "pretrain foundation_x cycle_1",
    f"{STORE}/masks.npy": "pretrain foundation_x cycle_1",
    "splits/example_a.parquet": "visits foundation_x",
    "splits/example_a.json": "table table3_pretraining",
    "metrics/leakage/lists.parquet": "table leakage",
    "metrics/leakage/runs.parquet": "table leakage",
    "checkpoints/foundation_x/cycle_1.safetensors": "pretrain foundation_x cycle_2",
    "checkpoints/foundation_x/optimizer/cycle_1.safetensors": "pretrain foundation_x cycle_2",
    "kept/foundation_x/snapshots/cycle_1.safetensors": "score foundation_x",
    "kept/foundation_x/cycle_2.safetensors": "score foundation_x",
    "kept/foundation_x/manifest.json": "score foundation_x",
    "predictions/foundation_x.parquet": "evaluate foundation_x",
    "predictions/foundation_x.json": "pretrain transfer cycle_1",
    "predictions/few_shot/transfer.parquet": "evaluate-few-shot",
    "predictions/few_shot/transfer.json": "evaluate-few-shot",
    "metrics/foundation_x.json": "table table3_pretraining",
    "metrics/few_shot.json": "table table6_few_shot",
    "corpus.parquet": "ssl vit 32",
    "corpus.json": "table cxrlt_data",
    "checkpoints/cxrlt/vit/32.safetensors": "ssl vit 48",
    "backbones/vit/48.safetensors": "head linear",
    "predictions/cxrlt/decoder.parquet": "evaluate-head decoder",
    "predictions/cxrlt/decoder.json": "evaluate-head decoder",
    "metrics/cxrlt/decoder.json": "table cxrlt_task1",
}
"""Files of every kind, and a job that reads each."""
FLIPS, CUTS = 4, 2
"""Of each file, at places that a seed decides."""
PARTLY = ("images.npy", "masks.npy")
"""A job reads some rows of them: a bit of the others changes nothing."""


def flipped(content: bytes, schedule: random.Random) -> bytes:
    at = schedule.randrange(8 * len(content))
    changed = bytearray(content)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def cut(content: bytes, schedule: random.Random) -> bytes:
    return content[: schedule.randrange(len(content))]


@pytest.fixture(scope="module")
def damaged(made, tmp_path_factory):
    return made.copy(tmp_path_factory.mktemp("damaged") / "run")


def named(jobs: list[Job], name: str) -> Job:
    return next(job for job in jobs if job.name == name)


@pytest.mark.long
@pytest.mark.parametrize("name", READ)
def test_a_damaged_file_is_named_by_its_reader_and_made_again(made, damaged, name):
    path, schedule = damaged.folder / ROOT / name, random.Random(name)  # noqa: S311 - no secret
    job, whole = named(made.jobs, READ[name]), path.read_bytes()
    expected, noticed = made.content(job), 0
    for damage in (flipped,) * FLIPS + (cut,) * CUTS:
        path.write_bytes(damage(whole, schedule))
        ended = damaged.run(job)
        if ended.code == 0 and path.name in PARTLY:
            assert damaged.content(job) == expected
        else:
            _names(f"{ROOT}/{name}", job, ended.said)
            noticed += 1
        path.write_bytes(whole)
    assert noticed == FLIPS + CUTS or (path.name in PARTLY and noticed > CUTS)
    again = [name.replace("kept/", "checkpoints/"), name] if path.suffix == ".safetensors" else [name]
    for one in again:
        (damaged.folder / ROOT / one).unlink(missing_ok=True)
    for one in again:
        maker = next(maker for maker in made.jobs if f"{ROOT}/{one}" in maker.outputs)
        assert damaged.run(maker).code == 0
        assert damaged.content(maker) == made.content(maker)
    assert damaged.run(job).code == 0
    assert damaged.content(job) == expected


def _names(name: str, job: Job, said: str) -> None:
    """Whether the last line names the file and the command that makes it again."""
    made = "results/kept/foundation_x/manifest.json" if "kept/" in name else name
    pattern = rf"^fxcore {job.rule}: {name}: .* make (it|both) again.*: snakemake --cores all (--force )?-- {made}$"
    assert re.search(pattern, said.splitlines()[-1]), said
    assert "Traceback" not in said


@pytest.mark.long
def test_unfinished_work_that_is_damaged_is_done_again(made, damaged):
    """Autosaves and journals: the jobs that go on from them begin anew."""
    schedule, tried = random.Random(8), 0  # noqa: S311 - no secret
    for name in (
        "pretrain foundation_x cycle_1",
        "head linear",
        "ssl vit 32",
        "normalize example_a",
        "few-shot transfer",
    ):
        job = named(made.jobs, name)
        for damage in (flipped, flipped, cut):
            damaged.remove(job)
            left: list[Path] = []
            while not left:
                assert damaged.run(job, kill=schedule.randint(job.steps // 2, job.steps)).killed
                left = [one for one in (damaged.folder / ROOT / "work").rglob("*.*") if _unfinished(one)]
            for path in left:
                path.write_bytes(damage(path.read_bytes(), schedule))
                tried += 1
            assert damaged.run(job).code == 0
            assert damaged.content(job) == made.content(job)
    assert tried >= 15


def _unfinished(path: Path) -> bool:
    return path.suffix in (".safetensors", ".jsonl", ".parquet") and path.stat().st_size > 0
