"""What looking for leakage costs: hashing beside decoding, the index beside comparing all pairs, the join of 1.2 million images.

Hashes are those of a population as alike as real radiographs are: two of them differ by 25 of 64 bits on average, and 2 pairs in
100,000 by at most four (measured on 700).

Usage: python benchmarks/leakage.py [images]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fxcore.data import duplicates, images
from fxcore.data.assign import assign
from fxcore.data.leakage import shared
from fxcore.params.splits import Holdout, Near
from fxcore.phantom.scene import draw
from fxcore.slices.data import SplitRule

IMAGES = 1_200_000
DATASETS, ALL_PAIRS, DECODED, SIDE, STORE = 11, 20_000, 60, 1024, 512
DIFFER = 0.28
"""Chance that a bit differs between two pictures, for most of the population."""


def timed(what: Callable[[], object]) -> tuple[float, object]:
    """Seconds, and what came of it."""
    begun = time.perf_counter()
    found = what()
    return time.perf_counter() - begun, found


def hashing(folder: Path) -> float:
    """Speed of decoding, shrinking and hashing, as a part of that of decoding and shrinking alone."""
    path = folder / "picture.jpg"
    Image.fromarray(draw(np.random.Generator(np.random.PCG64(0)), (), SIDE).pixels).save(path, quality=95)

    def decoded() -> list[NDArray[np.uint8]]:
        return [images.resize(images.read(path, "here"), STORE) for _ in range(DECODED)]

    def hashed() -> list[int]:
        return [duplicates.perceptual(duplicates.thumb(one)) for one in decoded()]

    plain, with_hash = (min(timed(of)[0] for _ in range(3)) for of in (decoded, hashed))
    return plain / with_hash


def population(number: int) -> NDArray[np.uint64]:
    """Hashes as alike as those of real radiographs."""
    random = np.random.Generator(np.random.PCG64(1))
    flipped = (1 - np.sqrt(1 - 2 * DIFFER)) / 2
    found = np.zeros(number, dtype=np.uint64)
    for bit in range(duplicates.BITS):
        found |= (random.random(number) < flipped).astype(np.uint64) << np.uint64(bit)
    return found


def all_pairs(hashes: NDArray[np.uint64], distance: int) -> int:
    """Pairs within a distance, comparing each with all that follow."""
    return sum(int((np.bitwise_count(hashes[at + 1 :] ^ hashes[at]) <= distance).sum()) for at in range(len(hashes)))


def table(number: int, hashes: NDArray[np.uint64]) -> pd.DataFrame:
    """Images of datasets that share a third of their patients, three images each; every other dataset has lists of its own."""
    random = np.random.Generator(np.random.PCG64(2))
    dataset = random.integers(DATASETS, size=number)
    patient = random.integers(number // 3, size=number)
    own = patient % 3 != 0
    names = np.where(
        own, [f"{a}:{b:08d}" for a, b in zip(dataset, patient, strict=True)], [f"nih:{b:08d}" for b in patient]
    )
    listed = np.where(dataset % 2 == 0, np.array(["train", "train", "test"])[patient % 7 % 3], None)
    return pd.DataFrame(
        {
            "dataset": pd.Categorical([f"d{one:02d}" for one in dataset]),
            "image": [f"i{at}" for at in range(number)],
            "group": names,
            "official": listed,
            "published": None,
            "usable": True,
            "hash": hashes,
        }
    )


def main(number: int) -> None:
    """Print the ratios."""
    say = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        say(
            f"hashing: {hashing(Path(folder)):.2f} of the speed of decoding and shrinking alone ({SIDE} to {STORE} pixels, JPEG)\n"
        )
    near = Near()
    few = population(ALL_PAIRS)
    (index, pairs), (brute, count) = (
        timed(lambda: duplicates.near(few, near.distance)),
        timed(lambda: all_pairs(few, near.distance)),
    )
    assert len(pairs) == count  # noqa: S101 - both must find the same
    say(f"index: {brute / index:.0f} times as fast as comparing all pairs of {ALL_PAIRS:,} hashes\n")
    hashes = population(number)
    seconds, pairs = timed(lambda: duplicates.near(hashes, near.distance))
    say(f"index: {number:,} hashes in {seconds:.0f} s, {len(pairs):,} pairs\n")
    content = table(number, hashes)
    rules = {key: SplitRule(policy="leak_free", holdout=Holdout()) for key in content["dataset"].cat.categories}
    seconds, found = timed(lambda: assign(content, rules, np.empty((0, 2), dtype=np.int64), 0))
    say(f"split: {number:,} images of {DATASETS} datasets in {seconds:.0f} s\n")
    where = content.assign(joined=content["group"], split=found["split"])
    seconds, rows = timed(lambda: shared(where, np.empty((0, 2), dtype=np.int64)))
    baseline, _ = timed(
        lambda: where[["group", "dataset", "split"]].merge(where[["group", "dataset", "split"]], on="group")
    )
    say(
        f"join: {number:,} images in {seconds:.0f} s, {len(rows)} pairs of lists; {seconds / baseline:.2f} of one merge of the tables\n"
    )
    say(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
