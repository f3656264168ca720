"""Labels of one dataset in the classes of another: label augmentation (CXR-LT spec, label augmentation)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fxcore.data.store import Store
from fxcore.passes import Task

SAME = {"effusion": "pleural effusion", "no finding": "normal"}
"""Names of classes in other datasets, in lower case, and what CXR-LT calls them."""


def plain(name: str) -> str:
    """A class name without what differs between releases."""
    key = name.lower().replace("_", " ")
    return SAME.get(key, key)


def targets_in(store: Store, classes: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Class targets 0..1 (images, classes) and which are known, for the classes asked for, found by name.

    A class that the dataset does not have is unknown for all its images; uncertain labels follow the dataset's own policy.
    """
    heads = store.heads((Task.CLASSIFICATION,))
    own = {plain(name): at for at, name in enumerate(heads.classes(Task.CLASSIFICATION))}
    targets, known = store.targets(heads)
    found = np.zeros((len(targets), len(classes)), dtype=np.float32)
    sure = np.zeros(found.shape, dtype=np.bool_)
    for column, name in enumerate(classes):
        at = own.get(plain(name))
        if at is not None:
            found[:, column], sure[:, column] = targets[:, at], known[:, at]
    return found, sure
