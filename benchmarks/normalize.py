"""How fast native pictures become a store, as a ratio to decoding and shrinking the same files with OpenCV, and on two cores to one.

Usage: pip install opencv-python-headless && python benchmarks/normalize.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fxcore.data.native import Native
from fxcore.data.normalize import normalize
from fxcore.params.datasets import Columns, Dataset, Labels
from fxcore.phantom.scene import draw
from fxcore.slices.data import StoreSlice

DRAWN, IMAGES, SIDE, STORE, ROUNDS = 12, 1_800, 1024, 256, 3
"""Phantoms drawn and shifted to make more, their side in pixels, the side in the store, and rounds of which the best counts."""
KINDS = ("png", "jpg")


def files(folder: Path, kind: str) -> Dataset:
    """Write the pictures and their table."""
    (folder / "images").mkdir(parents=True)
    random = np.random.Generator(np.random.PCG64(0))
    drawn = [draw(random, (), SIDE).pixels for _ in range(DRAWN)]
    rows = ["file,split,Nodule"]
    for number in range(IMAGES):
        picture = np.roll(drawn[number % DRAWN], number, axis=1)
        Image.fromarray(picture).save(folder / f"images/{number}.{kind}", quality=95)
        rows.append(f"images/{number}.{kind},{('train', 'val', 'test')[number % 3]},{number % 2}")
    (folder / "index.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return Dataset(columns=Columns(), classification=Labels(classes=("Nodule",)))


def ours(folder: Path, dataset: Dataset, processes: int) -> float:
    """Seconds to make the store, checks and checksums included."""
    slice_ = StoreSlice(key="timed", store_size=STORE, dataset=dataset)
    begun = time.perf_counter()
    normalize(slice_, Native(folder, folder), folder / "store", folder / "work", processes)
    return time.perf_counter() - begun


def theirs(folder: Path) -> float:
    """Seconds to decode and shrink all files, and to keep nothing, in one thread."""
    cv2.setNumThreads(1)
    begun = time.perf_counter()
    for path in sorted((folder / "images").iterdir()):
        picture = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
        cv2.resize(picture, (STORE, STORE), interpolation=cv2.INTER_AREA)
    return time.perf_counter() - begun


def main() -> None:
    """Measure and write a row for each kind of file."""
    sys.stdout.write(
        "| files | OpenCV, one core | ours, one core | share of its speed | ours, two cores | times one core |\n"
    )
    sys.stdout.write(f"|{' --- |' * 6}\n")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name:
            dataset = files(Path(name), kind)
            rounds = [
                (theirs(Path(name)), ours(Path(name), dataset, 1), ours(Path(name), dataset, 2)) for _ in range(ROUNDS)
            ]
            pure, one, two = (IMAGES / min(times) for times in zip(*rounds, strict=True))
        sys.stdout.write(
            f"| {IMAGES} {kind} of {SIDE} × {SIDE} | {pure:,.0f}/s | {one:,.0f}/s | {one / pure:.2f} | {two:,.0f}/s | {two / one:.2f} |\n"
        )


if __name__ == "__main__":
    main()
