"""The lists of images that Ark trained and tested on, which users put beside the releases: its own, not the hash's, nor by patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from fxcore.data.published import LISTS
from fxcore.passes import Split
from fxcore.seeding import derive

FOLDER = "ark"


def dealt(lines: Iterable[str], numbers: Mapping[Split, int]) -> dict[Split, list[str]]:
    """Lines, one an image, dealt out to splits of some numbers by a hash of each, whatever patient it is of."""
    shuffled = iter(sorted(lines, key=lambda line: derive("ark", line)))
    return {split: [next(shuffled) for _ in range(number)] for split, number in numbers.items()}


def write(adapter: str, lists: Mapping[Split, Iterable[str]], folder: Path) -> None:
    """Write the lists of a release below `folder`."""
    (folder / FOLDER).mkdir()
    for split, name in LISTS[adapter].items():
        (folder / FOLDER / name).write_text("".join(f"{line}\n" for line in lists[split]), encoding="utf-8")


def images(splits: Iterable[Split]) -> dict[Split, int]:
    """How many images each split has."""
    counts = Counter(splits)
    return {split: counts[split] for split in Split}
