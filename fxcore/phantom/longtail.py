"""Which classes of CXR-LT the studies have: a long tail in the real order, the same studies whoever asks.

Everything derives from a study's split and its place there, not from a dataset's key or size: two datasets of the same studies agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import floor

import numpy as np

from fxcore.data.adapters.cxr_lt_2024_gold import FINDINGS as GOLD
from fxcore.passes import Split
from fxcore.phantom.labels import MEANS, plain
from fxcore.seeding import derive

COUNTS = {
    "Support Devices": 86079,
    "Lung Opacity": 77482,
    "Cardiomegaly": 74738,
    "Pleural Effusion": 66401,
    "Atelectasis": 65376,
    "Pneumonia": 46660,
    "Edema": 37256,
    "Normal": 34292,
    "Enlarged Cardiomediastinum": 29628,
    "Consolidation": 15371,
    "Pneumothorax": 13858,
    "Fracture": 11568,
    "Infiltration": 10087,
    "Rib Fracture": 8919,
    "Nodule": 7531,
    "Mass": 5288,
    "Calcification of the Aorta": 4239,
    "Hernia": 3986,
    "Emphysema": 3661,
    "Adenopathy": 3409,
    "Tortuous Aorta": 3336,
    "Pleural Thickening": 3272,
    "Granuloma": 2965,
    "Fissure": 2803,
    "Lung Lesion": 2338,
    "Tuberculosis": 2078,
    "Subcutaneous Emphysema": 2046,
    "Pulmonary Embolism": 1631,
    "Fibrosis": 1169,
    "Pulmonary Hypertension": 903,
    "Kyphosis": 778,
    "Infarction": 727,
    "Pneumomediastinum": 704,
    "Hydropneumothorax": 646,
    "Pleural Other": 616,
    "Pneumoperitoneum": 516,
    "Azygos Lobe": 199,
    "Round(ed) Atelectasis": 172,
    "Clavicle Fracture": 168,
    "Lobar Atelectasis": 129,
}
"""Positive training images of each class in the release, of 258,871; the most first."""
NORMAL = "Normal"
MOST, POWER = 1 / 3, 0.75
"""Share of studies with the most frequent class, and the power that brings the rarest from 1 in 2,000 to 1 in 400."""
BLOCK = 45
"""Studies in a row of which at least one in the first block has each class: fewer than the least split of an example has."""


def finding(name: str) -> str:
    """What is drawn for a class other than `NORMAL`; classes with one drawing are kinds of the most frequent of them."""
    return MEANS[plain(name)][0]


def share(name: str) -> float:
    """The share of studies with a class in the long run."""
    return MOST * (COUNTS[name] / max(COUNTS.values())) ** POWER


def classes(split: Split, place: int) -> frozenset[str]:
    """What a study shows; empty where it is something that no class means."""
    return _block(split, place // BLOCK)[place % BLOCK]


def reported(split: Split, place: int) -> frozenset[str]:
    """What is mined from a study's report: of each test study that is not normal, one class of task 2 is wrong."""
    shown = classes(split, place)
    if split is not Split.TEST or NORMAL in shown:
        return shown
    names = [name for name in COUNTS if name in GOLD and name != NORMAL]
    shares = np.array([share(name) for name in names])
    wrong = generator("reported", str(split), place).choice(len(names), p=shares / shares.sum())
    return shown ^ {names[int(wrong)]}


def generator(*names: str | int) -> np.random.Generator:
    """The randomness of a named part of the studies."""
    return np.random.Generator(np.random.PCG64(derive("cxr-lt", *names)))


def _quota(name: str, block: int) -> int:
    """How many studies of a block have a class: its share of all up to there, and one in the first block at least."""
    each = BLOCK * share(name)
    until, before = (floor(blocks * each + max(0.5, 1 - each)) for blocks in (block + 1, block))
    return until - before


@cache
def _block(split: Split, block: int) -> tuple[frozenset[str], ...]:
    """Classes of each study of a block.

    A class whose finding a more frequent class has is a kind of that class: its studies are among that one's, others becoming
    that one's where they are too few, and no study has two kinds.
    """

    def shuffled(name: str, places: Sequence[int]) -> list[int]:
        """The places in an order of the class's own."""
        return [places[int(at)] for at in generator(name, str(split), block).permutation(len(places))]

    found: list[set[str]] = [set() for _ in range(BLOCK)]
    everybody = shuffled(NORMAL, range(BLOCK))
    healthy, ill = everybody[: _quota(NORMAL, block)], everybody[_quota(NORMAL, block) :]
    for place in healthy:
        found[place].add(NORMAL)
    parents: dict[str, str] = {}
    free: dict[str, list[int]] = {}
    for name in COUNTS:
        if name == NORMAL:
            continue
        parent, number = parents.setdefault(finding(name), name), _quota(name, block)
        others = [place for place in shuffled(name, ill) if parent not in found[place]]
        places = [*free.get(parent, ()), *others]
        chosen, free[parent] = places[:number], places[:number] if name == parent else free[parent][number:]
        for place in chosen:
            found[place] |= {parent, name}
    return tuple(map(frozenset, found))
