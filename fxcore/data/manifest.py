"""What a store says of itself: what it holds, and what made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fxcore import provenance
from fxcore.slices.data import StoreSlice


def manifest(slice_: StoreSlice, tables: Mapping[str, pd.DataFrame], version: int) -> dict[str, Any]:
    """What the store holds and who made it; how its images are split, and counts of that, are beside the split (`split`)."""
    dataset, table = slice_.dataset, tables["images"]
    return {
        **provenance.describe(slice_),
        "adapter": dataset.adapter,
        "adapter_version": version,
        "synthetic": dataset.source == "phantom",
        "images": int(table["usable"].sum()),
    }
