"""The list of what a run trains on: it changes with what training reads, and with nothing else."""

import json

import numpy as np
import pytest
from PIL import Image

from fxcore import provenance
from fxcore.data.visits import visits
from fxcore.files import read_json, sha256
from fxcore.params.datasets import Dataset
from fxcore.params.splits import Near
from fxcore.slices.data import StoreSlice, VisitsSlice
from tests.conftest import FOLDER_PARAMS, FolderDataset, changed, make_store, split_store

TASKS = ("classification", "segmentation")


def _listed(to, tasks=TASKS, bend=lambda _: None, size=32, **changes):
    """The file's bytes for a dataset, bent or with other parameters."""
    dataset = FolderDataset(to / "native")
    bend(dataset)
    block = Dataset.model_validate(changed(FOLDER_PARAMS, changes))
    make_store(StoreSlice(key="mine", store_size=size, dataset=block), dataset.write(), to / "store")
    slice_ = VisitsSlice(
        run="r", place="runs.r", store_size=size, visits=(("mine", tasks),), before=(), near=Near(), allowed=False
    )
    visits(slice_, {"mine": split_store(to / "store")}, to / "visits.json")
    return (to / "visits.json").read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    _listed(folder)
    return folder


def test_it_names_files_classes_policies_and_numbers_of_the_visited_tasks(plain):
    content = read_json(plain / "visits.json")
    assert list(content) == ["mine"]
    files = ("images.npy", "labels.parquet", "masks.npy")
    listed = content["mine"]["sha256"].pop("list of images")
    assert len(listed) == 64
    assert content["mine"]["sha256"] == {name: sha256(plain / "store" / name) for name in files}
    assert content["mine"]["annotated"] == {task: {"train": 3, "val": 2, "test": 2} for task in TASKS}
    assert content["mine"]["heads"] == {
        "classification": {
            "classes": ["Nodule", "Mass"],
            "uncertain": "u_ignore",
            "blank": "blank_ignore",
            "reported": None,
            "smoothing": [0.55, 0.85],
            "smoothing_seed": 0,
        },
        "localization": [],
        "segmentation": ["lung"],
        "mirror": True,
    }


def _paint(dataset):
    Image.fromarray(np.eye(20, 30, dtype=np.uint8) * 255).save(dataset.root / "images/0.png")


def _move_mask(dataset):
    dataset.masks["annotations"][0]["segmentation"] = [[13, 4, 25, 4, 25, 15, 13, 15]]


def _move_box(dataset):
    dataset.boxes["annotations"][0]["bbox"] = [13, 4, 10, 6]


def _relabel(dataset):
    dataset.rows[0]["Nodule"] = "1"


def _resplit(dataset):
    dataset.rows[0]["split"] = "val"


@pytest.mark.parametrize("bend", [_paint, _move_mask, _relabel, _resplit])
def test_it_changes_with_what_the_visited_tasks_read(plain, tmp_path, bend):
    assert _listed(tmp_path, bend=bend) != (plain / "visits.json").read_bytes()


def test_it_changes_with_a_tasks_file_exactly_where_the_task_is_visited(plain, tmp_path):
    assert _listed(tmp_path / "moved", bend=_move_box) == (plain / "visits.json").read_bytes()
    boxes = [
        _listed(tmp_path / name, ("localization",), bend) for name, bend in (("a", _move_box), ("b", lambda _: None))
    ]
    assert boxes[0] != boxes[1]
    labels = [_listed(tmp_path / name, ("localization",), bend) for name, bend in (("c", _relabel), ("d", _move_mask))]
    assert labels[0] == labels[1] == boxes[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"classification__uncertain": "u_ones"},
        {"classification__blank": "blank_zero"},
        {"classification__classes": ["Mass", "Nodule"]},
        {"mirror": False},
    ],
    ids=str,
)
def test_it_changes_with_a_policy(plain, tmp_path, changes):
    assert _listed(tmp_path, **changes) != (plain / "visits.json").read_bytes()


def test_policies_of_tasks_that_are_not_visited_do_not_matter(tmp_path):
    one = _listed(tmp_path / "a", ("localization",), classification__uncertain="u_ones")
    assert one == _listed(tmp_path / "b", ("localization",), classification__classes=["Mass"])


def test_an_image_that_another_task_no_longer_lists_does_not_matter(plain, tmp_path):
    made = _listed(tmp_path, bend=lambda dataset: dataset.boxes["images"].pop(1))
    assert made == (plain / "visits.json").read_bytes()


def test_it_changes_neither_with_the_commit_nor_with_time_nor_with_names_of_files(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda: "another+")

    def rename(dataset):
        write = dataset.write

        def renamed():
            root = write()
            (root / "boxes.json").rename(root / "rectangles.json")
            return root

        dataset.write = renamed

    made = _listed(tmp_path, bend=rename, localization__file="rectangles.json", folder="elsewhere")
    assert json.loads((tmp_path / "store/manifest.json").read_text())["commit"] == "another+"
    assert made == (plain / "visits.json").read_bytes()


def test_it_changes_with_the_size_of_the_pictures(plain, tmp_path):
    assert _listed(tmp_path, size=40) != (plain / "visits.json").read_bytes()
