"""Which images of a family of datasets train, choose and test.

Names decide, not positions or numbers: a group whose release does not say lies where a hash of its name puts it (`holdout`), so that
an image stays where it is whatever is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore.data import duplicates
from fxcore.data.holdout import position
from fxcore.data.store import Store
from fxcore.params.splits import Holdout, Near, Policy
from fxcore.passes import Split
from fxcore.slices.data import SplitRule

RANKS = {Split.TRAIN: 1, Split.VAL: 2, Split.TEST: 3}
"""A group is held out as strictly as any of its images."""
_TRAIN, _VAL, _TEST = RANKS.values()
_NAMES = dict(zip(RANKS.values(), RANKS, strict=True))

Rank = NDArray[np.int64]
"""Of each image, 0 for none."""


COLUMNS = ("image", "patient", "group", "official", "published", "usable", "hash")
"""Of a store's table of images."""


def gathered(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The images of several stores, by dataset and row: `dataset`, `row` and `COLUMNS`, groups as files name them."""
    parts = [
        table[list(COLUMNS)].assign(
            dataset=key, row=np.arange(len(table), dtype=np.int64), group=table.get("named", table["group"])
        )
        for key, table in tables.items()
    ]
    return pd.concat(parts, ignore_index=True).astype({"dataset": "category"})


def compared(stores: Mapping[str, Store], near: Near) -> tuple[pd.DataFrame, duplicates.Pairs]:
    """The images of several stores, as `gathered` makes them, and the pairs among them that show one picture."""
    images = gathered({key: store.table for key, store in stores.items()})
    return images, matched(images, thumbs_of(images, {key: store.thumbs for key, store in stores.items()}), near)


def thumbs_of(images: pd.DataFrame, stored: Mapping[str, NDArray[np.uint8]]) -> duplicates.Thumbs:
    """The thumbs of rows of `images`, which lie in the array of each dataset."""
    keys, rows = images["dataset"].cat.codes.to_numpy(), images["row"].to_numpy()
    arrays = [stored[key] for key in images["dataset"].cat.categories]

    def thumbs(at: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(places, SIDE, SIDE) of some places in `images`."""
        found = np.empty((len(at), duplicates.SIDE, duplicates.SIDE), dtype=np.uint8)
        for key in np.unique(keys[at]):
            of = keys[at] == key
            found[of] = arrays[key][rows[at[of]]]
        return found

    return thumbs


def matched(images: pd.DataFrame, thumbs: duplicates.Thumbs, near: Near) -> duplicates.Pairs:
    """Pairs of rows of `images`, of those that can be used, that show one picture though no file says so."""
    usable = np.flatnonzero(images["usable"])
    pairs = duplicates.pairs_of(images["hash"].to_numpy()[usable], lambda rows: thumbs(usable[rows]), near)
    return usable[pairs]


def listed(images: pd.DataFrame, policy: Policy) -> list[str]:
    """The splits that a dataset's list has: the release's own, or a published one."""
    which = "published" if policy == "published" and images["published"].notna().any() else "official"
    return [split for split in Split if (images[which] == split).any()]


def assign(images: pd.DataFrame, rules: Mapping[str, SplitRule], pairs: duplicates.Pairs, seed: int) -> pd.DataFrame:
    """The split of each image, the group that decided it, and why an image is in none; `images` as `gathered` makes them.

    Datasets under `leak_free` are split together, groups joined where `pairs` say that two images show one picture. What a release
    says stays, but that no image trains or chooses of whose group another is held out more strictly: such are withheld. The others are
    split alone, and keep what their lists say.
    """
    policies = images["dataset"].astype(str).map({key: rule.policy for key, rule in rules.items()}).to_numpy()
    found = pd.DataFrame({"split": None, "group": images["group"], "why": None}, dtype=object)
    together = np.flatnonzero((policies == "leak_free") & images["usable"])
    inside = np.isin(pairs, together).all(axis=1)
    local = np.searchsorted(together, pairs[inside])
    groups = duplicates.joined(images["group"].to_numpy(dtype=object)[together], local)
    _place(found, images, together, groups, rules, seed)
    for key, rule in rules.items():
        if rule.policy != "leak_free":
            rows = np.flatnonzero((images["dataset"] == key) & images["usable"])
            _place(found, images, rows, images["group"].to_numpy(dtype=object)[rows], rules, seed)
    return found


def _place(
    found: pd.DataFrame,
    images: pd.DataFrame,
    rows: NDArray[np.int64],
    groups: NDArray[np.object_],
    rules: Mapping[str, SplitRule],
    seed: int,
) -> None:
    """Fill in the rows of one or several datasets that are split together; `groups` of these rows."""
    some = images.iloc[rows]
    if some.empty:
        return
    keys = some["dataset"].cat
    policy = rules[keys.categories[keys.codes.iat[0]]].policy
    release = _Release(some, policy)
    drawn = _drawn(some["group"], release, [rules[key].holdout for key in keys.categories], seed)
    given, codes = release.given, pd.factorize(groups)[0]
    role = _role(codes, given, drawn)
    split = np.where(given == 0, role, np.where((given == _TRAIN) & (drawn == _VAL), _VAL, given))
    why = np.full(len(some), None, dtype=object)
    unlisted = release.listed & (given == 0)
    split[unlisted], why[unlisted] = 0, "in no published list"
    if policy == "leak_free":
        split[(given == _TRAIN) & release.lacks(_VAL) & (role == _VAL)] = _VAL
        stricter = role > split
        why[stricter] = _holders(codes, release, stricter)
        split[stricter] = 0
    names = np.array([None, *map(str, _NAMES.values())], dtype=object)
    found.loc[rows, "split"], found.loc[rows, "group"], found.loc[rows, "why"] = names[split], groups, why


class _Release:
    """What lists say of some images, by image: `given`, and whether the dataset has published lists and is split by them."""

    def __init__(self, some: pd.DataFrame, policy: Policy) -> None:
        self.keys: NDArray[np.int64] = some["dataset"].cat.codes.to_numpy(dtype=np.int64)
        self.names = list(some["dataset"].cat.categories)
        published = some["published"].notna().to_numpy() & (policy == "published")
        self.listed = self._any(published)
        says = some["published"].where(self.listed, some["official"])
        self.given: Rank = says.map(RANKS).fillna(0).to_numpy(dtype=np.int64)

    def _any(self, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether there is one in the image's dataset."""
        found: NDArray[np.bool_] = np.bincount(self.keys, there, len(self.names)).astype(np.bool_)[self.keys]
        return found

    def lacks(self, rank: int) -> NDArray[np.bool_]:
        """Whether an image's dataset says of no image that it is of a split."""
        return ~self._any(self.given == rank)


def _drawn(names: pd.Series, release: _Release, holdouts: Sequence[Holdout], seed: int) -> Rank:
    """Where the hash of each image's own group puts it, as far as its release does not say."""
    codes, known = pd.factorize(names)
    at = np.array([position(name, seed) for name in known])[codes]
    val, test = (np.array([getattr(one, of) for one in holdouts])[release.keys] for of in ("val", "test"))
    lacks_test = release.lacks(_TEST)
    test = np.where(lacks_test, test, 0.0)
    val = np.where(release.lacks(_VAL), val, 0.0)
    free = np.where(at < test, _TEST, np.where(at < test + val, _VAL, _TRAIN))
    held = np.where((at < val) & ~lacks_test, _VAL, _TRAIN)
    drawn: Rank = np.select([release.given == 0, release.given == _TRAIN], [free, held], release.given)
    return drawn


def _role(codes: NDArray[np.int64], given: Rank, drawn: Rank) -> Rank:
    """How strictly each image's group is held out: by what a release says of any of its images, else by the hash."""
    said, hashed = (np.zeros(int(codes.max()) + 1, dtype=np.int64) for _ in range(2))
    np.maximum.at(said, codes, given)
    # Where a release says that a group trains, the hash chooses between training and validation, and for that release's images only.
    counts = (given == _TRAIN) | (said[codes] == 0)
    np.maximum.at(hashed, codes[counts], drawn[counts])
    role: Rank = np.where(said > _TRAIN, said, hashed)[codes]
    return role


def _holders(codes: NDArray[np.int64], release: _Release, of: NDArray[np.bool_]) -> list[str]:
    """For some images, which dataset holds their group out, and as what."""
    order = np.lexsort((release.keys, -release.given, codes))
    _, first = np.unique(codes[order], return_index=True)
    holder = order[first][codes[of]]
    return [
        f"of a group in {_NAMES[max(int(release.given[at]), _VAL)]} of {release.names[release.keys[at]]}"
        for at in holder
    ]
