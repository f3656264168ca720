"""The lists of a family: what they count, what they refuse, and what a run may not test."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fxcore import tablefile
from fxcore.data import leaks
from fxcore.data.split import split
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.params.splits import Holdout, Near
from fxcore.passes import Split, Task
from fxcore.slices.data import SplitRule, SplitSlice, StoreSlice
from tests.conftest import FOLDER_PARAMS, FolderDataset, make_store, split_store


def _store(to, key="mine", bend=lambda _: None):
    dataset = FolderDataset(to / key / "native")
    # Pictures of their own, smooth enough to be told apart when they are small.
    random = np.random.default_rng(sum(map(ord, key)))
    for row in dataset.rows:
        small = Image.fromarray(random.integers(0, 255, (4, 6), dtype=np.uint8))
        small.resize((30, 20), Image.Resampling.BICUBIC).save(dataset.root / row["file"])
    bend(dataset)
    block = Dataset.model_validate(FOLDER_PARAMS)
    make_store(StoreSlice(key=key, store_size=40, dataset=block), dataset.write(), to / key / "store")
    return to / key / "store"


def _copied(of, number, at, change=lambda picture: picture):
    """Picture `number` of another dataset in place of one of its own, encoded anew."""

    def bend(dataset):
        picture = change(Image.open(of / f"images/{number}.png"))
        picture.convert("L").save(dataset.root / f"images/{at}.png")

    return bend


def _family(to, folders, policy="leak_free"):
    """Stores that are split together."""
    rule = SplitRule(policy=policy, holdout=Holdout())
    slice_ = SplitSlice(family="f", store_size=40, seed=0, near=Near(), datasets=dict.fromkeys(folders, rule))
    split(slice_, {key: Store(folder) for key, folder in folders.items()}, lambda key, kind: to / f"{key}.{kind}")
    return {key: Store(folder, to / f"{key}.parquet") for key, folder in folders.items()}


@pytest.fixture
def copied(tmp_path):
    """Two datasets: the first picture that `b` trains on is one that `a` tests, darker, under another name."""
    a = _store(tmp_path, "a")
    darker = lambda picture: picture.point(lambda grey: 255 * (grey / 255) ** 1.3)  # noqa: E731
    b = _store(tmp_path, "b", _copied(tmp_path / "a/native", 6, 0, darker))
    return tmp_path, {"a": a, "b": b}


def test_a_patient_in_two_lists_of_an_index_is_tested_and_not_trained_on(tmp_path):
    store = split_store(_store(tmp_path, bend=lambda dataset: dataset.rows[0].update(patient="p6")))
    assert store.table["split"].fillna("none").tolist() == ["none", "train", "train", "val", "val", "test", "test"]
    counts = json.loads((store.folder / "split.json").read_text())
    assert counts["withheld"] == {"of a group in test of mine": 1}
    assert counts["images"] == {"train": 2, "val": 2, "test": 2}
    listed = pd.read_parquet(store.folder / "split.parquet")
    assert listed["why"].dropna().tolist() == ["of a group in test of mine"]
    assert counts["sha256"]["train"] == hashlib.sha256(b"images/1.png\nimages/2.png").hexdigest()


def test_a_split_without_an_annotated_image_is_refused_and_nothing_is_written(tmp_path):
    def bend(dataset):
        del dataset.boxes["images"][3:5], dataset.boxes["annotations"][1]

    folder = _store(tmp_path, bend=bend)
    with pytest.raises(
        InputError, match=r"datasets\.mine: split val has no image annotated for localization; hold out"
    ):
        split_store(folder)
    assert not list(folder.glob("split.*"))


def test_lists_that_have_training_images_only_are_said(tmp_path):
    def bend(dataset):
        for row in dataset.rows:
            row["split"] = "train"

    folder = _store(tmp_path, bend=bend)
    with pytest.raises(
        InputError, match=r"split val has no image .*; it lists train images only, so list others; hold out"
    ):
        split_store(folder, val=0.3)


def test_nobody_published_lists_of_a_dataset_of_ones_own(tmp_path):
    folder = _store(tmp_path)
    with pytest.raises(InputError, match=r"splits\.datasets\.mine\.policy: nobody published lists of folder, only of"):
        split_store(folder, "published")


def test_a_picture_under_another_name_does_not_train_where_it_is_tested(copied):
    tmp_path, folders = copied
    stores = _family(tmp_path, folders)
    assert stores["b"].table["split"].fillna("none").tolist() == [
        "none",
        "train",
        "train",
        "val",
        "val",
        "test",
        "test",
    ]
    assert stores["b"].table["group"][0] == stores["a"].table["group"][6] == "a:p6"
    assert stores["a"].table["split"].tolist() == ["train"] * 3 + ["val"] * 2 + ["test"] * 2


def test_a_run_may_not_test_what_it_or_what_it_starts_from_trains_on(copied):
    tmp_path, folders = copied
    stores = _family(tmp_path, folders, "official")
    said = (
        r"^runs\.r: 1 of 2 test images are of patients or groups that it trains on: a images/6.png \(trains on b images/0.png\);"
        r" split these datasets"
        r" by leak_free as one family \(splits.datasets\), or give the reason under splits.allow_leakage.r$"
    )
    for trained in (["a", "b"], ["b"]):
        with pytest.raises(InputError, match=said):
            leaks.check("runs.r", "r", stores, ["a"], trained, Near())
    leaks.check("runs.r", "r", stores, ["a"], ["a"], Near())
    leaks.check("runs.r", "r", stores, ["b"], ["a", "b"], Near())


def test_a_list_of_another_store_is_refused(tmp_path):
    store = split_store(_store(tmp_path))
    listed = pd.read_parquet(store.folder / "split.parquet")
    tablefile.write(store.folder / "split.parquet", listed.iloc[::-1])
    with pytest.raises(InputError, match=r"split.parquet: lists other images than .*store; make it again with"):
        Store(store.folder, store.folder / "split.parquet")


def test_every_annotated_image_of_a_split_is_found(tmp_path):
    store = split_store(_store(tmp_path))
    assert [store.rows(Task.CLASSIFICATION, one).tolist() for one in Split] == [[0, 1, 2], [3, 4], [5, 6]]
