"""A small labelled dataset with studies, and a backbone that was only drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fxcore.files import write_json
from fxcore.params.datasets import Dataset
from fxcore.slices.data import Heads

CLASSES = ("Effusion", "Mass", "Normal")


class SmallStore:
    """What heads read of a store: pictures whose brightness tells the first class, and a table."""

    def __init__(self, table: pd.DataFrame, labels: np.ndarray, classes: tuple[str, ...] = CLASSES, known=None) -> None:
        random = np.random.default_rng(len(table))
        self.table = table.reset_index(drop=True)
        self.labels = labels.astype(np.float32)
        self.known = np.ones(labels.shape, bool) if known is None else known
        self.classes = classes
        shade = 60 + 120 * self.labels[:, :1, None]
        self.images = np.clip(shade + random.normal(0, 20, (len(table), 32, 32)), 0, 255).astype(np.uint8)
        self.manifest = {"synthetic": True, "files": {"images.npy": "0" * 64}}

    def image(self, row) -> np.ndarray:
        return self.images[row].copy()

    def heads(self, tasks) -> Heads:
        block = {"classification": {"classes": list(self.classes)}, "source": "native"}
        return Heads.of(Dataset.model_validate(block), tasks)

    def rows(self, _, split) -> np.ndarray:
        return np.flatnonzero(self.table["split"] == split)

    def targets(self, _):
        return self.labels, self.known


def table_of(splits: dict[str, int], prefix: str = "a") -> pd.DataFrame:
    """Studies of two images, patients of two studies, splits of whole patients."""
    rows = []
    for split, number in splits.items():
        for at in range(number):
            patient, study = f"{prefix}-{split}-{at // 4}", f"{prefix}-{split}-{at // 4}-{at // 2 % 2}"
            rows.append((f"{prefix}-{split}-{at}", patient, study, f"g:{patient}", split))
    return pd.DataFrame(rows, columns=["image", "patient", "study", "group", "split"])


@pytest.fixture
def labelled():
    """40 training, 16 development and 16 test images; every other study has an effusion, every fourth a mass."""
    table = table_of({"train": 40, "val": 16, "test": 16})
    study = pd.factorize(table["study"])[0]
    labels = np.stack([study % 2 == 0, study % 4 == 1, study % 4 == 3], axis=1)
    return SmallStore(table, labels)


@pytest.fixture
def gold(labelled):
    """The first image of each test study, labelled by hand for two of the classes, in another order."""
    test = labelled.table[labelled.table["split"] == "test"].iloc[::2]
    labels = labelled.labels[test.index][:, [2, 0]]
    return SmallStore(test, labels, ("Normal", "Effusion"))


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
