"""What is trained on and tested: images that are the same, or of one patient or group, in two lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from fxcore.data import duplicates
from fxcore.data.assign import compared
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.params.splits import Near
from fxcore.passes import Split

SHOWN = 3


def everything(stores: Mapping[str, Store], near: Near) -> tuple[pd.DataFrame, duplicates.Pairs]:
    """The images of some stores with their splits, and the pairs among them that show one picture."""
    images, pairs = compared(stores, near)
    images["split"] = np.concatenate([store.table["split"].to_numpy(dtype=object) for store in stores.values()])
    images["group"] = np.concatenate([store.table["group"].to_numpy(dtype=object) for store in stores.values()])
    return images, pairs


def check(
    place: str, run: str, stores: Mapping[str, Store], tested: Iterable[str], trained: Iterable[str], near: Near
) -> None:
    """See that a run, which stands at `place` in the parameters, tests nothing that it, or one that it starts from, trains on.

    Raises:
        InputError: it does; names some of the images, and what to do.
    """
    images, pairs = everything(stores, near)
    keys = images["dataset"].astype(str)
    groups = duplicates.joined(images["group"].to_numpy(dtype=object), pairs)
    train = np.flatnonzero((images["split"] == Split.TRAIN) & keys.isin(set(trained)))
    test = np.flatnonzero((images["split"] == Split.TEST) & keys.isin(set(tested)))
    first = dict(zip(groups[train][::-1], train[::-1], strict=True))
    if not (seen := [at for at in test if groups[at] in first]):
        return
    some = ", ".join(f"{_named(images, at)} (trains on {_named(images, first[groups[at]])})" for at in seen[:SHOWN])
    raise InputError(
        f"{place}: {len(seen)} of {len(test)} test images are of patients or groups that it trains on: {some}; split these datasets by"
        f" leak_free as one family (splits.datasets), or give the reason under splits.allow_leakage.{run}"
    )


def _named(images: pd.DataFrame, at: np.int64) -> str:
    return f"{images['dataset'].iloc[at]} {images['image'].iloc[at]}"
