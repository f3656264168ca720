"""The pictures that pretraining without labels sees: some splits of some datasets, without those that judge it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import provenance, tablefile
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.files import write_json
from fxcore.params.cxrlt import Held
from fxcore.passes import Split
from fxcore.seeding import derive
from fxcore.slices.cxrlt import CorpusSlice

JUDGES = {"dev": Split.VAL, "test": Split.TEST, "gold": Split.TEST}
"""Sets that heads are measured on, and the split of each; gold is a dataset of its own."""


def held_out(table: pd.DataFrame, how: Held) -> NDArray[np.bool_]:
    """Which images of a store are held out of its training split, chosen by a hash of their patient's, or their own, name."""
    units = table["group" if how.by == "patient" else "image"]
    train = (table["split"] == Split.TRAIN).to_numpy()
    names = sorted(units[train].unique(), key=lambda name: derive("cxrlt holdout", name))
    return np.asarray(train & units.isin(names[: round(how.share * len(names))]))


def judged(slice_: CorpusSlice, stores: Mapping[str, Store]) -> dict[str, pd.DataFrame]:
    """The images of each of `JUDGES` that the study has."""
    found = {}
    for name, split in JUDGES.items():
        key = slice_.gold if name == "gold" else slice_.labels
        if key is not None:
            table = stores[key].table
            found[name] = table[table["split"] == split]
    return found


def corpus(slice_: CorpusSlice, stores: Mapping[str, Store], rows: Path, facts: Path) -> None:
    """Write the rows of every source that pretraining sees, and what was counted on the way.

    Images of patients that heads are measured on are left out, and so is what is held out for choosing learning rates: neither
    may have shaped the backbone (CXR-LT spec, reproducibility, leakage).

    Raises:
        InputError: a source has no image left.
    """
    against = judged(slice_, stores)
    closed = set().union(*(table["group"] for table in against.values()))
    parts, said = [], {}
    for key, splits in slice_.sources.items():
        store = stores[key]
        table = store.table
        asked = table["split"].isin(splits).to_numpy()
        judges = asked & table["group"].isin(closed).to_numpy()
        held = asked & ~judges & (held_out(table, slice_.holdout) if key == slice_.labels else False)
        taken = np.flatnonzero(asked & ~judges & ~held)
        if not len(taken):
            raise InputError(f"cxrlt.sources.{key}: no image of {', '.join(splits)} is left; take another split")
        parts.append(pd.DataFrame({"source": key, "row": taken}))
        left_out = {"holdout": int(held.sum()), "evaluated": int(judges.sum())}
        said[key] = _counted(store, splits, asked, taken, against) | {"left_out": left_out}
    table = pd.concat(parts, ignore_index=True).astype({"source": "category"})
    tablefile.write(rows, table)
    write_json(facts, {"provenance": provenance.describe(slice_), "sources": said, "total": len(table)})


def _counted(
    store: Store,
    splits: tuple[Split, ...],
    asked: NDArray[np.bool_],
    taken: NDArray[np.int64],
    against: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """What the page of data says of a source, and what its pictures are to the bit."""
    table = store.table[asked]
    listed = store.table.iloc[taken][["image", "group"]].to_csv(index=False).encode()
    return {
        "images": {str(split): int((table["split"] == split).sum()) for split in splits},
        "taken": len(taken),
        "synthetic": bool(store.manifest["synthetic"]),
        "contamination": {
            name: {
                "images": int(table["image"].isin(of["image"]).sum()),
                "groups": int(table.loc[table["group"].isin(of["group"]), "group"].nunique()),
            }
            for name, of in against.items()
        },
        "sha256": {"images.npy": store.manifest["files"]["images.npy"], "list": hashlib.sha256(listed).hexdigest()},
    }
