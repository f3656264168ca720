"""How time and memory grow with the images of an experiment: stores and predictions are rows, and no picture is drawn or read.

Eleven datasets are split as one family; groups, lists and duplicates cross them. Each job is a process of its own, on one core; what it
takes for a handful of images is taken off before growth is measured: 1 is linear. Thumbs are smooth pictures about a common one, as
alike as real radiographs are: of 1,218 real ones, 13 pairs in a million have hashes that differ by at most four bits; here it is 10.

Usage: python benchmarks/scale.py [figure.png]
Ten minutes on one idle core, 1.3 GB of memory, 1 GB of disk.
"""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from fxcore import machine, paths, tablefile
from fxcore.cli import main as fxcore
from fxcore.data import duplicates
from fxcore.data.normalize import CHECKSUMS
from fxcore.data.store import open_stores
from fxcore.files import sha256, write_json
from fxcore.params import experiment, present
from fxcore.passes import Split, Task
from fxcore.planning import contents
from fxcore.seeding import derive
from fxcore.slices import make

PARAMS = "params.yaml"
IMAGES, FEW = (62_500, 125_000, 250_000, 500_000), 1_100
"""Of all datasets together; and of the experiment that shows what jobs take without images."""
CYCLES, ROUNDS = 20, 2
"""Of the joint run; and of everything that is timed, of which the best counts."""
PATIENT, COPIES = 3, 0.01
"""Images of a patient, on average; and the part of images that show another one again."""
FREQUENCIES, FALL, ALONE, SPREAD = 12, 0.8, 1.0, 0.7
"""Of thumbs: those of each direction, how fast they fall, how much of it is common to all, and how much more some differ than others."""
STRIDE = 20_000
"""Thumbs drawn at a time."""
PROJECT = Path(__file__).parents[1]


class Cost(NamedTuple):
    """What a process took: seconds of the processor, seconds of the wall, and memory in GiB at its largest."""

    seconds: float
    wall: float
    memory: float


def content(number: int, folder: Path) -> dict[str, Any]:
    """The default experiment's datasets and joint run, for classification, with so many images in all."""
    whole = yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8"))
    name, joint = next((name, run) for name, run in whole["runs"].items() if run["role"] == "joint")
    keys = [key for key, tasks in joint["train"]["visits"].items() if Task.CLASSIFICATION in tasks]
    each = max(10, number // len(keys) // 10)
    counts = {"train": 7 * each, "val": each, "test": 2 * each}
    train = {name: value for name, value in joint["train"].items() if name != "snapshots"}
    train["visits"] = {key: ["classification"] for key in keys}
    family = {"policy": "leak_free", "family": "everything"}
    return {
        **{name: whole[name] for name in ("store_size", "model", "pretrain", "evaluate") if name in whole},
        "results_root": str(folder / "results"),
        "datasets": {key: whole["datasets"][key] | {"phantom": counts, "segmentation": None} for key in keys},
        "splits": {**whole.get("splits", {}), "datasets": dict.fromkeys(keys, family), "allow_leakage": {}},
        "runs": {name: {**joint, "train": train}},
    }


# What there is to read


def thumbs(number: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint64]]]:
    """Pictures and their hashes, some at a time; one in `1 / COPIES` is another, a little changed."""
    from scipy.fft import idctn  # slow to import, and jobs are timed with what is imported here

    random, size = np.random.default_rng(0), FREQUENCIES**2
    waves = np.zeros((size, duplicates.SIDE, duplicates.SIDE))
    down, right = (one.reshape(-1) for one in np.mgrid[:FREQUENCIES, :FREQUENCIES])
    waves[np.arange(size), down, right] = 1
    waves = idctn(waves, axes=(1, 2), norm="ortho").reshape(size, -1).astype(np.float32)
    strength = (1 + down**2 + right**2) ** -FALL
    strength[0] = 0
    common = ALONE * random.normal(size=size) * strength
    kept = math.isqrt(duplicates.BITS)
    hashed = waves[(down < kept) & (right < kept)].T
    for start in range(0, number, STRIDE):
        some = min(STRIDE, number - start)
        own = random.normal(size=(some, size)) * strength * np.exp(SPREAD * random.uniform(-1, 1, size=(some, 1)))
        flat = (common + own).astype(np.float32) @ waves
        again = np.flatnonzero(random.random(some) < COPIES)
        flat[again] = flat[random.integers(some, size=len(again))]
        flat[again] *= 1 + 0.01 * random.normal(size=(len(again), 1))
        flat *= 40 / flat.std(axis=1, keepdims=True)
        made = np.clip(np.round(128 + flat), 0, 255).astype(np.uint8).reshape(some, duplicates.SIDE, duplicates.SIDE)
        low = duplicates.ranks(made) @ hashed
        bits = low > np.median(low[:, 1:], axis=1)[:, None]
        yield made, np.packbits(bits, axis=1).view(">u8").reshape(-1).astype(np.uint64)


def stores(file: Path) -> None:
    """Stores of rows: images in random order over datasets that share a third of their patients."""
    params = experiment.load(file)
    sizes = [sum((dataset.phantom or {}).values()) for dataset in params.datasets.values()]
    parts = list(thumbs(sum(sizes)))
    small, hashes = (np.concatenate(one) for one in zip(*parts, strict=True))
    random = np.random.default_rng(1)
    order, patients = random.permutation(sum(sizes)), random.integers(sum(sizes) // PATIENT, size=sum(sizes))
    ends = np.cumsum(sizes)
    for at, key in enumerate(params.datasets):
        rows = order[ends[at] - sizes[at] : ends[at]]
        slice_ = make.store_slice(params, key)
        folder = paths.store(Path(params.results_root), key, params.store_size)
        folder.mkdir(parents=True)
        side = params.store_size
        # Files with nothing in them: nobody reads a pixel.
        np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (len(rows), side, side))
        classes = len(slice_.dataset.classes(Task.SEGMENTATION))
        np.save(folder / "masks.npy", np.empty((0, classes, side, -(-side // 8)), dtype=np.uint8))
        np.save(folder / "thumbs.npy", small[rows])
        for name, table in tables(slice_.dataset, key, hashes[rows], patients[rows], at).items():
            tablefile.write(folder / f"{name}.parquet", table)
        manifest = {
            "adapter": slice_.dataset.adapter,
            "synthetic": True,
            "images": len(rows),
            "params": json.loads(slice_.canonical()),
            "files": dict.fromkeys(paths.STORE_FILES[:-1], "0") | {"thumbs.npy": sha256(folder / "thumbs.npy")},
        }
        write_json(folder / paths.MANIFEST, manifest)


def tables(
    dataset: Any, key: str, hashes: NDArray[np.uint64], patients: NDArray[np.int64], seed: int
) -> dict[str, pd.DataFrame]:
    """The tables of a store; every other dataset has lists of its own, by patient."""
    random, number = np.random.default_rng(10 + seed), len(hashes)
    shared = patients % 3 == 0
    names = np.where(shared, "everywhere", key) + np.array([":"]) + patients.astype(str)
    official = np.where(patients % 5 == 4, "test", "train").astype(object) if seed % 2 else None
    classes = dataset.classes(Task.CLASSIFICATION)
    codes = random.choice([0, 1, -1], p=[0.88, 0.1, 0.02], size=(number, len(classes)))
    boxed = np.flatnonzero(random.random(number) < 0.3) if dataset.classes(Task.LOCALIZATION) else np.empty(0, int)
    images = pd.DataFrame(
        {
            "image": [f"{key}-{at:07d}.png" for at in range(number)],
            "patient": names,
            "study": names,
            "group": names,
            "official": official,
            "view": None,
            "width": 1024,
            "height": 1024,
            "hash": hashes,
            "has_labels": True,
            "has_boxes": bool(len(boxed)),
            "has_masks": False,
            "usable": True,
            "mask_row": -1,
            "published": None,
            **dict.fromkeys(CHECKSUMS, np.zeros(number, dtype=np.uint32)),  # nobody reads a pixel
        }
    )
    boxes = pd.DataFrame({"row": boxed, "label": 0, "left": 1.0, "top": 1.0, "width": 9.0, "height": 9.0})
    return {
        "images": images,
        "labels": pd.DataFrame(codes, columns=list(classes)).astype("Int8"),
        "boxes": boxes,
        "masks": pd.DataFrame({"row": [], "label": [], "counts": []}),
    }


def predictions(file: Path) -> None:
    """What `score` would have left: of two branches validation and test, of the untrained network test."""
    params = experiment.load(file)
    results, run = Path(params.results_root), params.joint
    random = np.random.default_rng(2)
    parts, chosen = [], {}
    for key, store in open_stores(results, params.datasets, params.store_size).items():
        classes = len(store.dataset.classes(Task.CLASSIFICATION))
        for branch in ("student", "teacher", "untrained"):
            for split in (Split.VAL, Split.TEST)[branch == "untrained" :]:
                rows = store.rows(Task.CLASSIFICATION, split)
                scores = random.random(len(rows) * classes).astype(np.float32)
                columns = {"row": np.repeat(rows, classes), "label": np.tile(np.arange(classes), len(rows))}
                where = {"dataset": key, "task": "classification", "branch": branch, "split": str(split)}
                parts.append(pd.DataFrame(columns | {"score": scores}).assign(**where))
        chosen[key] = {"classification": {"student": 1, "teacher": 1, "choice": "teacher"}}
    output = paths.predictions(results, run)
    output.parent.mkdir(parents=True)
    tablefile.write(output, pd.concat(parts, ignore_index=True))
    facts = {"params": json.loads(make.score_slice(params, run).canonical()), "chosen": chosen}
    facts |= {"seen": {key: {"classification": 1} for key in chosen}, "candidates": [], "snapshots": []}
    write_json(paths.choice(results, run), facts)


# What is timed


def _jobs(of: Callable[[experiment.Params], Sequence[Sequence[str]]], file: Path) -> None:
    """Commands of fxcore, one after another."""
    params = present.load(file, machine.load())
    for command in of(params):
        if fxcore([*command, "--results", params.results_root]):
            raise SystemExit(f"{' '.join(command)} failed")


def plan(file: Path) -> None:
    """What Snakemake reads before it looks at any file."""
    from fxcore.planning.plan import Plan

    Plan.load(str(file)).targets()


def order(file: Path) -> None:
    """The order of images and their seeds in every pass of a run."""
    from fxcore.data.loaders import shuffled

    params = experiment.load(file)
    slice_ = make.train_slice(params, params.joint)
    opened = open_stores(Path(params.results_root), params.datasets, params.store_size)
    for one in slice_.passes(CYCLES):
        rows = opened[one.dataset].rows(one.task, Split.TRAIN)
        size = slice_.pretrain.batch_size
        shuffled(rows, size, one.updates(len(rows), size), derive(slice_.seed, slice_.run, "order", one.index))


def resamples(file: Path) -> None:
    """AUC of one class with its interval, were all images one test set."""
    from fxcore.evaluation.bootstrap import replicates
    from fxcore.evaluation.classification import Labelled, auc

    params = experiment.load(file)
    number = sum(sum((dataset.phantom or {}).values()) for dataset in params.datasets.values())
    random = np.random.default_rng(3)
    labels = random.random((number, 1)) < 0.1
    data = Labelled(random.normal(labels, 1.0), labels.astype(float), np.ones(labels.shape, dtype=bool))
    patients = random.integers(max(2, number // PATIENT), size=number)
    replicates({"auc": auc(data).statistic}, patients, params.evaluate.resamples, 0)


def _sliced(command: str, name: str | None, of: Any) -> list[str]:
    return [command, *([name] if name else []), "--params", of.canonical()]


def _tables(params: experiment.Params) -> list[list[str]]:
    shown = contents.tables(params)
    return [["summary", params.joint], *(_sliced("table", one, make.table_slice(params)) for one in shown)]


UNTIMED: Mapping[str, Callable[[Path], None]] = {"stores": stores, "predictions": predictions}
TIMED: Mapping[str, Callable[[Path], None]] = {
    "plan": plan,
    "split": functools.partial(
        _jobs, lambda params: [_sliced("split", "everything", make.split_slice(params, "everything"))]
    ),
    "leakage": functools.partial(_jobs, lambda params: [_sliced("leakage", None, make.leakage_slice(params))]),
    "visits": functools.partial(
        _jobs, lambda params: [_sliced("visits", params.joint, make.visits_slice(params, params.joint))]
    ),
    f"order of {CYCLES} cycles": order,
    "evaluate": functools.partial(
        _jobs, lambda params: [_sliced("evaluate", params.joint, make.evaluate_slice(params, params.joint))]
    ),
    "intervals of one AUC": resamples,
    "tables": functools.partial(_jobs, _tables),
}
"""In the order in which an experiment needs them."""


def process(command: Sequence[str], output: Any = subprocess.DEVNULL) -> Cost:
    """What a command takes, and all that it starts; one thread each."""
    begun = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    started = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=subprocess.PIPE, env=environment)
    assert started.stderr is not None  # noqa: S101
    with started.stderr as stream:
        said = stream.read()
    _, status, usage = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {said.decode()[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, usage.ru_maxrss / 2**20)


def best(command: Sequence[str], rounds: int, output: Any = subprocess.DEVNULL) -> Cost:
    """The least of each that a command takes, in some rounds."""
    return Cost(*(min(one) for one in zip(*(process(command, output) for _ in range(rounds)), strict=True)))


def measure(number: int) -> dict[str, Cost]:
    """What each job takes for so many images."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "params.yaml"
        file.write_text(yaml.safe_dump(content(number, folder), sort_keys=False), encoding="utf-8")
        found = {}
        for job in dict.fromkeys(("stores", "split", "predictions", *TIMED)):
            command = [sys.executable, __file__, "--job", job, str(file)]
            found[job] = best(command, ROUNDS if job in TIMED else 1)
    return {job: found[job] for job in TIMED}


def growth(images: Sequence[int], took: Sequence[float], least: float) -> str:
    """Slope of the logarithm of what is taken on that of images, 1 being linear; none where no number of them takes `least`."""
    if max(took) < least or min(took) <= 0:
        return "none"
    return f"{np.polyfit(np.log(images), np.log(took), 1)[0]:.2f}"


def dry_run() -> tuple[int, Cost]:
    """Jobs that Snakemake lists where nothing is made and every pass of the joint run is a job, and its best of some rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = yaml.safe_load(Path(PARAMS).read_text(encoding="utf-8"))
        joint = next(run for run in whole["runs"].values() if run["role"] == "joint")
        joint["train"] |= {"cycles": CYCLES, "horizon_cycles": CYCLES, "override": {"pretrain": {"stage": "pass"}}}
        file, said = folder / "params.yaml", folder / "said"
        file.write_text(yaml.safe_dump(whole | {"results_root": name}, sort_keys=False), encoding="utf-8")
        command = ["snakemake", "--cores", "all", "--dry-run", "--config", f"params={file}"]
        with said.open("w") as output:
            cost = best([sys.executable, "-m", *command], ROUNDS, output)
        jobs = next(line for line in said.read_text(encoding="utf-8").splitlines() if line.startswith("total "))
    return int(jobs.split()[1]), cost


def draw(images: Sequence[int], least: Mapping[str, Cost], found: Sequence[Mapping[str, Cost]], path: Path) -> None:
    """Seconds and memory of every job against images, beyond what a few images take, with a straight line to compare with."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from fxcore.report.style import LINES, STYLE, WIDTH

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        panels = figure.subplots(1, 2)
        labels = ("seconds of one core", "memory in GiB")
        for axis, label, field in zip(panels, labels, ("seconds", "memory"), strict=True):
            shown = [one for one in TIMED if one not in ("plan", "tables")]
            for job, style in zip(shown, LINES, strict=True):
                beyond = [max(getattr(one[job], field) - getattr(least[job], field), 0) for one in found]
                axis.plot(images, beyond, label=job, **style)
            top = max(getattr(found[-1][job], field) for job in shown)
            axis.plot(images, [top * one / images[-1] for one in images], color="0.6", linewidth=0.8, label="linear")
            axis.set(xscale="log", yscale="log", xlabel="images", ylabel=f"{label}, beyond {FEW:,} images")
            axis.yaxis.set_major_formatter("{x:g}")  # powers are markup, which our style shows as it is
            axis.set_xticks(images, [f"{one:,}" for one in images])
            axis.minorticks_off()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path)


def main() -> None:
    """Write a row a job: seconds of the processor for each number of images, memory for the most, and how both grow."""
    if sys.argv[1:2] == ["--job"]:
        (UNTIMED | TIMED)[sys.argv[2]](Path(sys.argv[3]))
        return
    say = sys.stdout.write
    jobs, dry = dry_run()
    say(
        f"dry run of {jobs:,} jobs: {dry.wall:.1f} s, {dry.seconds:.1f} s of processors, {dry.memory:.2f} GiB; aim < 10 s\n\n"
    )
    least, found = measure(FEW), [measure(number) for number in IMAGES]
    say(f"| job | {FEW:,} images | {' | '.join(f'{one:,}' for one in IMAGES)} | slope | memory | slope |\n")
    say(f"|{' --- |' * (len(IMAGES) + 5)}\n")
    for job, start in least.items():
        taken = [one[job] for one in found]
        seconds = growth(IMAGES, [one.seconds - start.seconds for one in taken], 0.5)
        memory = growth(IMAGES, [one.memory - start.memory for one in taken], 0.05)
        cells = " | ".join(f"{one.seconds:.3g} s" for one in (start, *taken))
        say(f"| {job} | {cells} | {seconds} | {taken[-1].memory:.2f} GiB | {memory} |\n")
    if sys.argv[1:]:
        draw(IMAGES, least, found, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
