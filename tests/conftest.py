"""What several tests share: the tiny experiment, small datasets in the folder format, and the shared material."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

from fxcore import yamlfile
from fxcore.params.experiment import Params, load
from fxcore.params.splits import Holdout, Near
from fxcore.slices.data import SplitRule, SplitSlice, StoreSlice

if TYPE_CHECKING:
    from fxcore.data.store import Store

PROJECT = Path(__file__).parents[1]
SHARED = PROJECT.parent / "shared"
TINY = PROJECT / "tests" / "presets" / "tiny.yaml"


class Shared(LoadScopeScheduling):
    """Of the processes that test, one takes all tests of a file, which share what they make; and one all of the workflow."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return WORKFLOW if file.startswith(WORKFLOW) else file


WORKFLOW = "tests/workflow/"


def pytest_xdist_make_scheduler(config, log):
    return Shared(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The workflow takes longest: it is first."""
    items.sort(key=lambda item: not item.nodeid.startswith(WORKFLOW))


@pytest.fixture
def shared():
    """Real radiographs and recorded tensors beside the project; tests that need them skip where they are missing."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/{name}, which is not part of the project and not beside this checkout")
        return path

    return find


@pytest.fixture(scope="session")
def _tiny() -> dict[str, Any]:
    return yamlfile.load(TINY)


@pytest.fixture
def tiny(_tiny):
    """Parameters of the tiny preset with changes: `tiny(pretrain__stage="pass")`; with other runs, without those beside them."""

    def make(**changes: Any) -> Params:
        if changes.keys() & {"runs", "datasets"}:
            changes = BESIDE | changes
        return Params.model_validate(changed(_tiny, changes))

    return make


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """The store of the tiny preset's dataset, made once; no test changes it."""
    from fxcore.phantom.phantom import write
    from fxcore.slices.make import phantom_slice, store_slice

    root, params = tmp_path_factory.mktemp("data"), load(TINY)
    write(phantom_slice(params, "example_a"), root / "native")
    make_store(store_slice(params, "example_a"), root / "native", root / "store")
    return {"example_a": split_store(root / "store")}


BESIDE: dict[str, Any] = {"finetune": {}, "few_shot": {}, "release": [], "cxrlt": None}
"""Nothing that goes on from the runs of the tiny preset, for experiments with other runs."""


def changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with nested values replaced; `a__b` names the key b of the block a."""
    made = copy.deepcopy(content)
    for key, value in changes.items():
        *path, last = key.split("__")
        block = made
        for name in path:
            block = block.setdefault(name, {})
        block[last] = value
    return made


def split_store(folder: Path, policy: str = "leak_free", **of: Any) -> Store:
    """The store in a folder, split by a policy; `of` are parts that are held out."""
    from fxcore.data.split import split
    from fxcore.data.store import Store

    key = Store(folder).manifest["params"]["key"]
    rule = SplitRule(policy=policy, holdout=Holdout(**of))
    slice_ = SplitSlice(family=key, store_size=1, seed=0, near=Near(), datasets={key: rule})
    split(slice_, {key: Store(folder)}, lambda _, kind: folder / f"split.{kind}")
    return Store(folder, folder / "split.parquet")


def make_store(slice_: StoreSlice, folder: Path, store: Path, processes: int = 1) -> None:
    """The store of a dataset whose native files lie in `folder`."""
    from fxcore.data.native import Native
    from fxcore.data.normalize import normalize

    normalize(slice_, Native(folder, folder), store, store.with_name(f"{store.name}-work"), processes)


class FolderDataset:
    """A small dataset in the folder format that a test can bend before it is read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        splits = ["train"] * 3 + ["val"] * 2 + ["test"] * 2
        self.rows = [
            {"file": f"images/{i}.png", "patient": f"p{i}", "split": split, "Nodule": str(i % 2), "Mass": ""}
            for i, split in enumerate(splits)
        ]
        images = [{"id": i, "file_name": row["file"], "height": 20, "width": 30} for i, row in enumerate(self.rows)]
        self.boxes = {
            "images": copy.deepcopy(images),
            "categories": [{"id": 1, "name": "nodule"}],
            "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [3, 4, 10, 6]} for i in (0, 3, 5)],
        }
        self.masks = {
            "images": copy.deepcopy(images),
            "categories": [{"id": 1, "name": "lung"}],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "segmentation": [[3, 4, 13, 4, 13, 10, 3, 10]]}
                for i in range(7)
            ],
        }
        (root / "images").mkdir(parents=True)
        random = np.random.default_rng(0)
        for row in self.rows:
            Image.fromarray(random.integers(0, 255, (20, 30), dtype=np.uint8)).save(root / row["file"])

    def write(self) -> Path:
        with (self.root / "index.csv").open("w", newline="") as sink:
            writer = csv.DictWriter(sink, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        (self.root / "boxes.json").write_text(json.dumps(self.boxes))
        (self.root / "masks.json").write_text(json.dumps(self.masks))
        return self.root


@pytest.fixture
def folder_dataset(tmp_path):
    return FolderDataset(tmp_path / "native")


FOLDER_PARAMS = {
    "columns": {"patient": "patient"},
    "classification": {"classes": ["Nodule", "Mass"]},
    "localization": {"file": "boxes.json", "classes": ["nodule"]},
    "segmentation": {"file": "masks.json", "classes": ["lung"]},
}
