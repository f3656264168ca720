"""The splits of a family of datasets: a list of each dataset's images, and what each list counts."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fxcore import provenance, tablefile
from fxcore.data.assign import assign, compared, listed
from fxcore.data.published import LISTS
from fxcore.data.store import ANNOTATED, Store
from fxcore.errors import InputError
from fxcore.files import write_json
from fxcore.passes import Split
from fxcore.slices.data import SplitSlice

log = logging.getLogger(__name__)

LIKE_OFFICIAL = ("chexpert", "mimic_cxr", "vindr_cxr")
"""Releases whose own splits are those that were published on."""


def split(slice_: SplitSlice, stores: Mapping[str, Store], output: Callable[[str, str], Path]) -> None:
    """Write the list of each dataset of a family, and what it counts; `output` gives the file of a dataset and kind.

    Raises:
        InputError: a dataset has no published lists and is to be split by them, or a split would have no image for a task.
    """
    for key, store in stores.items():
        if slice_.datasets[key].policy == "published":
            _check_published(key, store)
    images, pairs = compared(stores, slice_.near)
    log.info("%d images of %d datasets, %d pairs of pictures alike", len(images), len(stores), len(pairs))
    assigned = assign(images, slice_.datasets, pairs, slice_.seed)
    parts = {key: assigned[(images["dataset"] == key).to_numpy()].reset_index(drop=True) for key in stores}
    facts = {
        key: _counted(key, stores[key], part) | {"listed": listed(stores[key].table, slice_.datasets[key].policy)}
        for key, part in parts.items()
    }
    for key, part in parts.items():
        tablefile.write(output(key, "parquet"), stores[key].table[["image"]].join(part))
        rule = slice_.datasets[key].model_dump(mode="json")
        write_json(output(key, "json"), {**provenance.describe(slice_), "family": slice_.family, **rule, **facts[key]})


def _check_published(key: str, store: Store) -> None:
    adapter = store.dataset.adapter
    if adapter in LIKE_OFFICIAL or store.table["published"].notna().any():
        return
    if adapter in LISTS:
        names = ", ".join(LISTS[adapter].values())
        raise InputError(
            f"splits.datasets.{key}.policy: the published lists {names} are not in the dataset's folder; put them there, or"
            " take another policy"
        )
    known = ", ".join((*LIKE_OFFICIAL, *LISTS))
    raise InputError(
        f"splits.datasets.{key}.policy: nobody published lists of {adapter}, only of {known}; take another policy"
    )


def _counted(key: str, store: Store, part: pd.DataFrame) -> dict[str, Any]:
    """Images, patients, annotated images and positives of each split, why images are withheld, and a checksum of each list.

    Raises:
        InputError: a split has no image annotated for a task.
    """
    dataset, table = store.dataset, store.table
    where = part["split"]
    annotated = {task: _by_split(where[table[ANNOTATED[task]]]) for task in dataset.tasks}
    for task, counts in annotated.items():
        if empty := [one for one in dataset.splits if not counts[one]]:
            says = [one for one in Split if (table["official"] == one).any()]
            lists = (
                f" it lists {' and '.join(says)} images only, so list others;"
                if says and len(says) < len(Split)
                else ""
            )
            raise InputError(
                f"datasets.{key}: split {empty[0]} has no image annotated for {task};{lists} hold out more or less"
                f" (splits.datasets.{key}.holdout), take another policy, or remove the task from params"
            )
    patients = table[["patient"]].assign(split=where)
    return {
        "images": _by_split(where),
        "groups": _by_split(part.drop_duplicates(["group", "split"])["split"]),
        "patients": _by_split(patients.drop_duplicates()["split"]),
        "annotated": annotated,
        "annotated_patients": {
            task: _by_split(patients[table[ANNOTATED[task]]].drop_duplicates()["split"]) for task in dataset.tasks
        },
        "positives": {
            task: {
                name: _by_split(where.iloc[store.with_class(task, at)]) for at, name in enumerate(dataset.classes(task))
            }
            for task in dataset.tasks
        },
        "withheld": dict(sorted(Counter(part["why"].dropna()).items())),
        "sha256": {one: _digest(table.loc[where == one, "image"]) for one in Split},
    }


def _digest(images: pd.Series) -> str:
    """Of the names in order: it tells a list of images from any other."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()


def _by_split(splits: pd.Series) -> dict[Split, int]:
    counts = Counter(splits)
    return {split: counts[split] for split in Split}
