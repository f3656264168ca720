"""How fast the store gives images, as a ratio to decoding the PNG files they were made from, on one core.

Usage: python benchmarks/store.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fxcore.data.native import Native
from fxcore.data.normalize import normalize
from fxcore.data.store import Store
from fxcore.params.datasets import Annotations, Columns, Dataset
from fxcore.phantom.scene import draw
from fxcore.slices.data import StoreSlice

IMAGES, SIDE, STORE, REPEATS = 24, 1024, 256, 5
"""Phantoms drawn, their side in pixels as NIH's and RSNA's, the side in the store, and rounds of which the best counts."""


def rate(read: Callable[[int], object]) -> float:
    """Images a second, in the best of several rounds."""
    best = 0.0
    for _ in range(REPEATS):
        begun = time.perf_counter()
        for row in range(IMAGES):
            read(row)
        best = max(best, IMAGES / (time.perf_counter() - begun))
    return best


def main() -> None:
    """Draw radiographs, make a store of them, and time both ways to get at the pixels."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        random = np.random.Generator(np.random.PCG64(0))
        rows = ["file,split"]
        for number in range(IMAGES):
            Image.fromarray(draw(random, (), SIDE).pixels).save(folder / f"{number}.png")
            rows.append(f"{number}.png,{('train', 'val', 'test')[number % 3]}")
        (folder / "index.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        images = ",".join(
            f'{{"id": {n}, "file_name": "{n}.png", "width": {SIDE}, "height": {SIDE}}}' for n in range(IMAGES)
        )
        categories = '[{"id": 1, "name": "Nodule"}]'
        (folder / "boxes.json").write_text(f'{{"images": [{images}], "categories": {categories}, "annotations": []}}')
        boxes = Annotations(file="boxes.json", classes=("Nodule",))
        dataset = Dataset(columns=Columns(), localization=boxes)
        normalize(
            StoreSlice(key="timed", store_size=STORE, dataset=dataset),
            Native(folder, folder),
            folder / "store",
            folder / "work",
        )
        store = Store(folder / "store")
        decoded = rate(lambda row: np.asarray(Image.open(folder / f"{row}.png")))
        mapped = rate(lambda row: store.image(row))
    sys.stdout.write(
        f"decode PNG {SIDE} x {SIDE} (Pillow): {decoded:,.0f} images a second\n"
        f"read the store, {STORE} x {STORE}: {mapped:,.0f} images a second\n"
        f"ratio: {mapped / decoded:,.0f}\n"
    )


if __name__ == "__main__":
    main()
