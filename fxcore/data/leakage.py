"""What any two lists of an experiment share, under each policy, and what each run would test of what it has trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore import tablefile
from fxcore.data import duplicates
from fxcore.data.assign import assign, compared
from fxcore.data.split import LIKE_OFFICIAL
from fxcore.data.store import Store
from fxcore.params.splits import Policy
from fxcore.passes import Split
from fxcore.slices.data import LeakageSlice, SplitRule

POLICIES: tuple[Policy, ...] = ("official", "published", "leak_free")
HERE = "as split here"
"""In place of a policy: the lists of the experiment, which may have a policy a dataset."""
_STRICT = (Split.TEST, Split.VAL, Split.TRAIN)
"""Of two lists that share something, the first here is the one that should not be seen in the other."""


def leakage(slice_: LeakageSlice, stores: Mapping[str, Store], lists: Path, runs: Path) -> None:
    """Write what lists share, a row a policy and pair of lists that share anything, and a row a run.

    Columns of `lists`: `policy`, which is `HERE` for the lists as they are; `held_dataset`, `held_split`, `other_dataset`,
    `other_split`; and how many `images` of the first list are in the second as pictures, how many `patients` are in both (groups as
    files name them), how many `groups` (also joined by pictures), how many images of the first list are `affected`, being of such a
    group, and `of` how many.
    """
    images, pairs = compared(stores, slice_.near)
    groups = duplicates.joined(images["group"].to_numpy(dtype=object), pairs)
    parts = []
    for policy in POLICIES:
        where = pd.concat([_assigned(images, pairs, policy, keys, slice_, stores) for keys in slice_.families.values()])
        found = shared(images.assign(joined=groups, split=where["split"].sort_index()), pairs)
        parts.append(found.assign(policy=policy))
    split = np.concatenate([store.table["split"].to_numpy(dtype=object) for store in stores.values()])
    parts.append(shared(images.assign(joined=groups, split=split), pairs).assign(policy=HERE))
    table = pd.concat(parts, ignore_index=True)
    columns = ["policy", *(one for one in table.columns if one != "policy")]
    tablefile.write(lists, table[columns])
    tablefile.write(runs, pd.DataFrame(_of_runs(slice_, split, groups, images)))


def _assigned(
    images: pd.DataFrame,
    pairs: duplicates.Pairs,
    policy: Policy,
    keys: Iterable[str],
    slice_: LeakageSlice,
    stores: Mapping[str, Store],
) -> pd.DataFrame:
    """The splits of a family as a policy has them, by row of `images`; one without published lists keeps its own."""
    rows = np.flatnonzero(images["dataset"].isin(list(keys)))
    some = images.iloc[rows].reset_index(drop=True)
    some["dataset"] = some["dataset"].cat.remove_unused_categories()
    inside = np.isin(pairs, rows).all(axis=1)
    rules = {key: SplitRule(policy=_policy(policy, stores[key]), holdout=slice_.holdouts[key]) for key in keys}
    found = assign(some, rules, np.searchsorted(rows, pairs[inside]), slice_.seed)
    return found.set_index(rows)


def _policy(policy: Policy, store: Store) -> Policy:
    has = store.table["published"].notna().any() or store.dataset.adapter in LIKE_OFFICIAL
    return "official" if policy == "published" and not has else policy


def shared(images: pd.DataFrame, pairs: duplicates.Pairs) -> pd.DataFrame:
    """What each pair of lists shares, of `images` with their `split`, `group` and `joined` groups; a row a pair that shares anything."""
    lists = _Lists(images)
    of = lists.codes
    named, joined = (pd.factorize(images[column])[0] for column in ("group", "joined"))
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[lists.before(of[both[:, 0]], of[both[:, 1]])]
    pictures = pd.DataFrame({"held": of[both[:, 0]], "other": of[both[:, 1]], "row": both[:, 0]}).drop_duplicates()
    counts = {
        "images": pictures.groupby(["held", "other"]).size(),
        "patients": lists.common(named).groupby(["held", "other"]).size(),
        "groups": lists.common(joined).groupby(["held", "other"]).size(),
        "affected": lists.common(joined).groupby(["held", "other"])["held_images"].sum(),
    }
    table = pd.DataFrame(counts).fillna(0).astype(np.int64)
    table["of"] = np.bincount(of[of >= 0], minlength=len(lists.names))[table.index.get_level_values("held")]
    found = table.reset_index()
    for side in ("held", "other"):
        named_lists = [lists.names[code] for code in found.pop(side)]
        for column, values in zip(
            ("dataset", "split"), zip(*named_lists, strict=True) if named_lists else ([], []), strict=True
        ):
            found[f"{side}_{column}"] = values
    keys = [f"{side}_{column}" for side in ("held", "other") for column in ("dataset", "split")]
    return found[[*keys, "images", "patients", "groups", "affected", "of"]]


class _Lists:
    """The lists of some images: which each is in, -1 for none. Codes rise as lists are less strictly held out."""

    def __init__(self, images: pd.DataFrame) -> None:
        keys = list(images["dataset"].cat.categories)
        self.names = [(key, str(split)) for split in _STRICT for key in keys]
        rank = (
            images["split"]
            .map({str(split): at for at, split in enumerate(_STRICT)})
            .fillna(-1)
            .to_numpy(dtype=np.int64)
        )
        self.codes = np.where(rank < 0, -1, rank * len(keys) + images["dataset"].cat.codes.to_numpy(dtype=np.int64))

    def before(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Of pairs of lists, those of two different ones, the first more strictly held out, or of an earlier dataset."""
        found: NDArray[np.bool_] = (left >= 0) & (left < right)
        return found

    def common(self, groups: NDArray[np.int64]) -> pd.DataFrame:
        """A row for each group in each pair of lists that it is in, and how many images of it are in the first."""
        placed = self.codes >= 0
        table = pd.DataFrame({"list": self.codes[placed], "group": groups[placed]})
        sizes = table.value_counts().rename("held_images").reset_index()
        several = sizes[sizes["group"].duplicated(keep=False)]
        pairs = several.rename(columns={"list": "held"}).merge(
            several[["list", "group"]].rename(columns={"list": "other"}), on="group"
        )
        return pairs[pairs["held"] < pairs["other"]]


def _of_runs(
    slice_: LeakageSlice, split: NDArray[np.object_], groups: NDArray[np.object_], images: pd.DataFrame
) -> Iterator[dict[str, object]]:
    """For each run, how many of its test images are of groups that it, or the run it starts from, trains on."""
    trains, tests = split == Split.TRAIN, split == Split.TEST
    codes, known = pd.factorize(groups)
    keys, names = images["dataset"].cat.codes.to_numpy(), images["dataset"].cat.categories
    for run, of in slice_.runs.items():
        train, test = trains & names.isin(of.trained)[keys], tests & names.isin(of.tested)[keys]
        trained = np.zeros(len(known), dtype=np.bool_)
        trained[codes[train]] = True
        seen = trained[codes[test]]
        yield {"run": run, "affected": int(seen.sum()), "of": int(test.sum()), "allowed": of.allowed or ""}
