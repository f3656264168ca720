"""What lists share: every overlap that phantoms were given, under each policy, and no other."""

import json
from collections import Counter
from itertools import combinations

import pandas as pd
import pytest

from fxcore.data.leakage import HERE, leakage
from fxcore.data.native import Native
from fxcore.data.normalize import normalize
from fxcore.data.split import split
from fxcore.data.store import Store
from fxcore.params.splits import Holdout, Near
from fxcore.phantom import phantom
from fxcore.slices.data import LeakageSlice, PhantomSlice, RunLists, SplitRule, SplitSlice, StoreSlice
from tests.data.adapters.trip import known

NIH = ("nih14", "rsna_pneumonia", "siim_acr", "chestx_det")
COUNTS = {"train": 24, "val": 6, "test": 20}
HOLDOUTS = {key: Holdout(val=0.2, test=0.4) for key in NIH} | {"rsna_pneumonia": Holdout(val=6 / 50, test=20 / 50)}
NEAR = Near(correlation=0.99)
RSNA = tuple(
    (side, of, value)
    for side, split in (("held", "test"), ("other", "train"))
    for of, value in (("dataset", "rsna_pneumonia"), ("split", split))
)
"""Its test list and its training list."""
RANK = {"test": 0, "val": 1, "train": 2}


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """Phantoms of NIH and three releases that took pictures from it: folder, native pictures that are the same, stores that are split."""
    root = tmp_path_factory.mktemp("family")
    stores, same = {}, {}
    for key in NIH:
        dataset = known(key, source="phantom", phantom=COUNTS)
        native = root / "native" / key
        phantom.write(PhantomSlice(key=key, dataset=dataset), native)
        slice_ = StoreSlice(key=key, store_size=64, dataset=dataset)
        normalize(slice_, Native(native, native), root / "data" / key, root / "work" / key)
        stores[key] = Store(root / "data" / key)
        for image, of in json.loads((native / phantom.SHARED).read_text()).items():
            same[key, image] = (of["adapter"], of["image"])
    rules = {key: SplitRule(policy="leak_free", holdout=HOLDOUTS[key]) for key in NIH}
    slice_ = SplitSlice(family="nih", store_size=64, seed=0, near=NEAR, datasets=rules)
    split(slice_, stores, lambda key, kind: root / f"{key}.{kind}")
    return root, same, {key: Store(store.folder, root / f"{key}.parquet") for key, store in stores.items()}


@pytest.fixture(scope="module")
def found(family):
    root, _, stores = family
    runs = {
        "joint": RunLists(tested=NIH, trained=NIH, allowed=None),
        "published": RunLists(tested=("nih14",), trained=NIH, allowed="to be seen"),
    }
    slice_ = LeakageSlice(store_size=64, seed=0, near=NEAR, families={"nih": NIH}, holdouts=HOLDOUTS, runs=runs)
    leakage(slice_, stores, root / "lists.parquet", root / "runs.parquet")
    return [pd.read_parquet(root / f"{name}.parquet").astype(str).to_dict("records") for name in ("lists", "runs")]


@pytest.fixture(scope="module")
def mixed(family):
    """The same stores, RSNA on its published lists and the others leak-free: the stores as split, and what lists share."""
    root, _, stores = family
    rules = {key: SplitRule(policy="leak_free", holdout=HOLDOUTS[key]) for key in NIH}
    rules["rsna_pneumonia"] = SplitRule(policy="published", holdout=HOLDOUTS["rsna_pneumonia"])
    slice_ = SplitSlice(family="nih", store_size=64, seed=0, near=NEAR, datasets=rules)
    split(slice_, stores, lambda key, kind: root / f"{key}-mixed.{kind}")
    stores = {key: Store(store.folder, root / f"{key}-mixed.parquet") for key, store in stores.items()}
    slice_ = LeakageSlice(store_size=64, seed=0, near=NEAR, families={"nih": NIH}, holdouts=HOLDOUTS, runs={})
    leakage(slice_, stores, root / "mixed.parquet", root / "mixed-runs.parquet")
    return stores, pd.read_parquet(root / "mixed.parquet").astype(str).to_dict("records")


def _planted(same, where):
    """How many images of a list are pictures of another one, by both; `where` says the list of an image, if it is in one."""
    clusters = {}
    for image, source in same.items():
        clusters.setdefault(source, {source}).add(image)
    pictures = {}
    for cluster in clusters.values():
        for pair in combinations([one for one in cluster if where.get(one)], 2):
            one, other = sorted(pair, key=lambda image: (RANK[where[image]], image[0]))
            here, there = ((image[0], where[image]) for image in (one, other))
            if here != there:
                pictures.setdefault((*here, *there), set()).add(one)
    return {of: len(images) for of, images in pictures.items()}


def _where(stores, policy):
    """The list of each image: by the release, or as split; the rest of what a release says nothing of is not compared."""
    found = {}
    for key, store in stores.items():
        column = store.table["split" if policy == "leak_free" else "official"]
        found |= {
            (key, image): of for image, of in zip(store.table["image"], column, strict=True) if isinstance(of, str)
        }
    return found


def _listed(rows, policy, among=None):
    names = ("held_dataset", "held_split", "other_dataset", "other_split")
    return {
        tuple(one[name] for name in names): int(one["images"])
        for one in rows
        if one["policy"] == policy and int(one["images"]) and (among is None or {one[n] for n in names[::2]} <= among)
    }


def test_pictures_that_were_planted_are_found_between_lists_and_no_other(family, found):
    _, same, stores = family
    rows, _ = found
    assert _listed(rows, "leak_free") == _planted(same, _where(stores, "leak_free"))
    # By the release: NIH, SIIM and ChestX-Det say what is test; who validates is held out of training by name.
    official = _listed(rows, "official", set(NIH) - {"rsna_pneumonia"})
    folded = Counter()
    for (held, held_split, other, other_split), number in official.items():
        of = (held, "test" if held_split == "test" else "train", other, "test" if other_split == "test" else "train")
        folded[of] += number
    expected = _planted({one: of for one, of in same.items() if one[0] != "rsna_pneumonia"}, _where(stores, "official"))
    assert {of: number for of, number in folded.items() if of[1] != of[3]} == {
        of: number for of, number in expected.items() if of[1] != of[3]
    }
    leaks = {(of[0], of[2]): number for of, number in expected.items() if of[1] == "test" and of[3] == "train"}
    # SIIM and ChestX-Det train on three that NIH tests; NIH, as small as here, trains on two of SIIM's four test images from there.
    assert leaks == {("nih14", "chestx_det"): 3, ("nih14", "siim_acr"): 3, ("siim_acr", "nih14"): 2}


def test_nothing_that_is_held_out_trains_where_lists_are_leak_free(found):
    rows, _ = found
    leaks = [one for one in rows if one["other_split"] == "train" and one["held_split"] != "train"]
    assert not [one for one in leaks if one["policy"] == "leak_free"]
    assert {one["policy"] for one in leaks} == {"official", "published"}


def _of(rows, policy):
    return [{name: value for name, value in one.items() if name != "policy"} for one in rows if one["policy"] == policy]


def test_where_all_have_one_policy_the_lists_as_split_are_those_of_the_policy(found):
    rows, _ = found
    assert _of(rows, HERE) == _of(rows, "leak_free") != []


def test_lists_as_split_are_counted_where_policies_are_mixed(family, found, mixed):
    _, same, _ = family
    stores, rows = mixed
    assert _listed(rows, HERE) == _planted(same, _where(stores, "leak_free"))
    pair = {f"{side}_{of}": value for side, of, value in RSNA}
    (own,) = [one for one in _of(rows, HERE) if pair.items() <= one.items()]
    (published,) = [one for one in _of(rows, "published") if pair.items() <= one.items()]
    assert own == published
    # What others are split by does not change what a policy would do to all.
    assert [one for one in rows if one["policy"] != HERE] == [one for one in found[0] if one["policy"] != HERE]


def test_a_split_by_image_shares_patients_with_itself(family, found):
    """RSNA's published lists; counted here from their names and the mapping to patients alone."""
    _, _, stores = family
    rows, _ = found
    table = stores["rsna_pneumonia"].table
    train = set(table.loc[table["published"] == "train", "named"])
    test = table[table["published"] == "test"]
    both = set(test["named"]) & train
    affected = int(test["named"].isin(both).sum())
    (row,) = [
        one
        for one in rows
        if (one["policy"], one["held_dataset"], one["held_split"], one["other_dataset"], one["other_split"])
        == ("published", "rsna_pneumonia", "test", "rsna_pneumonia", "train")
    ]
    assert (int(row["patients"]), int(row["affected"]), int(row["of"])) == (len(both), affected, len(test))
    assert affected > 0.2 * len(test)


def test_runs_are_counted_on_the_lists_that_they_use(found):
    _, of_runs = found
    by_name = {one["run"]: one for one in of_runs}
    assert by_name["joint"]["affected"] == by_name["published"]["affected"] == "0"
    assert by_name["published"]["allowed"] == "to be seen"
    assert int(by_name["published"]["of"]) == 20


def test_groups_that_are_shared_are_never_fewer_than_patients(found):
    rows, _ = found
    assert all(int(one["patients"]) <= int(one["groups"]) for one in rows)
    assert all(int(one["affected"]) <= int(one["of"]) for one in rows)
    assert all(RANK[one["held_split"]] <= RANK[one["other_split"]] for one in rows)
