"""From native files to the store: numbers worked out by hand, and nothing half-written."""

import hashlib
import json
import re

import numpy as np
import pytest
from PIL import Image

from fxcore.data import decode, images
from fxcore.data.store import Store
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset, Labels
from fxcore.passes import Split, Task
from fxcore.slices.data import Heads, StoreSlice
from tests.conftest import FOLDER_PARAMS, make_store, split_store

SLICE = StoreSlice(key="mine", store_size=32, dataset=Dataset.model_validate(FOLDER_PARAMS))


def _store(dataset, tmp_path):
    make_store(SLICE, dataset.write(), tmp_path / "store", processes=2)
    return split_store(tmp_path / "store")


def test_counts_of_the_manifest(folder_dataset, tmp_path):
    del folder_dataset.boxes["images"][1]
    store = _store(folder_dataset, tmp_path)
    manifest, counts = store.manifest, json.loads((store.folder / "split.json").read_text())
    assert manifest["images"] == 7
    assert counts["images"] == counts["groups"] == counts["patients"] == {"train": 3, "val": 2, "test": 2}
    assert counts["annotated"]["localization"] == {"train": 2, "val": 2, "test": 2}
    assert counts["positives"] == {
        "classification": {
            "Nodule": {"train": 1, "val": 1, "test": 1},
            "Mass": {"train": 0, "val": 0, "test": 0},
        },
        "localization": {"nodule": {"train": 1, "val": 1, "test": 1}},
        "segmentation": {"lung": {"train": 3, "val": 2, "test": 2}},
    }
    assert counts["withheld"] == {}
    assert counts["listed"] == ["train", "val", "test"]
    assert counts["sha256"]["val"] == hashlib.sha256(b"images/3.png\nimages/4.png").hexdigest()
    assert set(manifest["sources"]) == {"index.csv", "boxes.json", "masks.json"}
    assert manifest["synthetic"] is False


def test_where_no_study_is_named_each_image_is_one(folder_dataset, tmp_path):
    table = _store(folder_dataset, tmp_path).table
    assert table["study"].tolist() == table["image"].tolist() == [f"images/{number}.png" for number in range(7)]


def test_rows_of_a_task_and_split(folder_dataset, tmp_path):
    del folder_dataset.boxes["images"][1]
    store = _store(folder_dataset, tmp_path)
    assert store.rows(Task.LOCALIZATION, Split.TRAIN).tolist() == [0, 2]
    assert store.rows(Task.CLASSIFICATION, Split.VAL).tolist() == [3, 4]


def test_boxes_stay_in_native_pixels(folder_dataset, tmp_path):
    store = _store(folder_dataset, tmp_path)
    labels, boxes = store.boxes(3)
    assert (labels.tolist(), boxes.tolist()) == ([0], [[3, 4, 10, 6]])
    assert store.boxes(1)[1].shape == (0, 4)
    assert store.native_size(3) == (30, 20)


def test_a_mask_is_squeezed_to_the_square_with_its_image(folder_dataset, tmp_path):
    # x from 3 to 13 of 30 and y from 4 to 10 of 20, on 32 pixels: columns 3.2 to 13.9, rows 6.4 to 16
    mask = _store(folder_dataset, tmp_path).mask(0)[0]
    expected = np.zeros((32, 32), dtype=bool)
    expected[6:16, 3:14] = True
    assert (mask ^ expected).sum() <= 12  # half-covered edge pixels may fall either way


def test_images_are_averaged_over_area(folder_dataset, tmp_path):
    picture = np.zeros((64, 128), dtype=np.uint8)
    picture[:, 64:] = 200
    picture[::2] //= 2
    Image.fromarray(picture).save(folder_dataset.root / "images/0.png")
    for of in (folder_dataset.boxes, folder_dataset.masks):
        of["annotations"].pop(0)
        of["images"][0] |= {"height": 64, "width": 128}
    np.testing.assert_allclose(
        _store(folder_dataset, tmp_path).image(0), np.repeat([[0, 150]], 16, axis=1).repeat(32, 0), atol=1
    )


@pytest.mark.parametrize(
    ("uncertain", "blank", "target", "known"),
    [
        ("u_ignore", "blank_ignore", [0, 0], [False, False]),
        ("u_ones", "blank_ignore", [1, 0], [True, False]),
        ("u_zeros", "blank_zero", [0, 0], [True, True]),
    ],
)
def test_policies_turn_codes_into_targets(folder_dataset, tmp_path, uncertain, blank, target, known):
    folder_dataset.rows[0]["Nodule"] = "-1"
    labels = Labels(classes=("Nodule", "Mass"), uncertain=uncertain, blank=blank)
    targets, of_known = _store(folder_dataset, tmp_path).targets(
        Heads(classification=labels, localization=(), segmentation=(), mirror=True)
    )
    assert of_known[0].tolist() == known
    assert targets[0][of_known[0]].tolist() == [one for one, is_known in zip(target, known, strict=True) if is_known]
    assert targets[1, 0] == 1
    assert of_known[1, 0]


def test_the_store_knows_classes_and_policies_of_its_tasks(folder_dataset, tmp_path):
    heads = _store(folder_dataset, tmp_path).heads((Task.CLASSIFICATION, Task.LOCALIZATION))
    assert heads.classes(Task.CLASSIFICATION) == heads.reported(Task.CLASSIFICATION) == ("Nodule", "Mass")
    assert heads.classes(Task.LOCALIZATION) == ("nodule",)
    assert heads.classes(Task.SEGMENTATION) == ()
    assert heads == Heads.of(SLICE.dataset, (Task.CLASSIFICATION, Task.LOCALIZATION))
    some = heads.classification.model_copy(update={"reported": ("Mass",)})
    assert heads.model_copy(update={"classification": some}).reported(Task.CLASSIFICATION) == ("Mass",)


def _delete_image(dataset):
    (dataset.root / "images/2.png").unlink()


def _cut_image(dataset):
    path = dataset.root / "images/2.png"
    path.write_bytes(path.read_bytes()[:-100])


def _no_image(dataset):
    (dataset.root / "images/2.png").write_text("not a picture")


def _box(*xywh):
    return lambda dataset: dataset.boxes["annotations"][0].update(bbox=list(xywh))


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (_delete_image, r"index\.csv, row 4: no image .*images/2\.png; put it there or remove the row"),
        (_cut_image, r"index\.csv, row 4: .*images/2\.png cannot be decoded"),
        (_no_image, r"index\.csv, row 4: .*images/2\.png cannot be decoded"),
        (
            _box(25, 4, 10, 6),
            r"boxes\.json, annotation 0: box \[25\.0, 4\.0, 10\.0, 6\.0\] .* leaves the image images/0\.png of 30 × 20 pixels",
        ),
        (_box(-5, 4, 10, 6), r"boxes\.json, annotation 0: box .* leaves the image"),
        (_box(3, 4, 0, 6), r"boxes\.json, annotation 0: box \[3\.0, 4\.0, 0\.0, 6\.0\] has no area"),
        (_box(3, 4, float("nan"), 6), r"boxes\.json, annotation 0: bbox is \[3, 4, nan, 6\]; expected"),
        (
            lambda dataset: dataset.masks["annotations"][0].update(segmentation={"size": [10, 30], "counts": [300]}),
            r"masks\.json, annotation 0: lung: the mask has 30 × 10 pixels, its image 30 × 20; correct the mask",
        ),
        (
            lambda dataset: dataset.masks["annotations"][0].update(segmentation={"size": [20, 30], "counts": "521070"}),
            r"masks\.json, annotation 0: lung: runs cover 20 pixels; the image has 20 × 30 = 600",
        ),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_store(folder_dataset, tmp_path, bend, message):
    bend(folder_dataset)
    with pytest.raises(InputError, match=message) as caught:
        _store(folder_dataset, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "store").glob("*"))


def test_two_runs_write_the_same_bytes(folder_dataset, tmp_path):
    root = folder_dataset.write()
    for name in ("one", "two"):
        make_store(SLICE, root, tmp_path / name, processes=1 if name == "one" else 2)
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_a_picture_of_sixteen_bits_is_stretched(tmp_path):
    deep = np.linspace(1000, 5000, 256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    grey = images.read(tmp_path / "deep.png", "here")
    assert (grey.min(), grey.max()) == (0, 255)
    assert np.all(np.diff(grey.reshape(-1).astype(int)) >= 0)


def test_a_damaged_store_says_how_to_make_it_again(folder_dataset, tmp_path):
    _store(folder_dataset, tmp_path)
    (tmp_path / "store" / "images.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"images\.parquet: not readable .* make it again with: snakemake"):
        Store(tmp_path / "store")


@pytest.mark.parametrize("name", ["images.npy", "masks.npy"])
def test_no_bit_of_a_picture_or_mask_flips_unnoticed(folder_dataset, tmp_path, name):
    """Bits of the array's head, and of pixels."""
    store = _store(folder_dataset, tmp_path)
    path = store.folder / name
    whole, head = path.read_bytes(), 8 * 128
    stored, named = _pixels(store), rf"{name}: .*; make it again with: snakemake --cores all --force -- "
    places = np.random.default_rng(0)
    for at in [*places.integers(head, size=150), *places.integers(head, 8 * len(whole), size=100)]:
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        path.write_bytes(changed)
        found = _pixels_or_error(store.folder)
        # a blank of the head, say, that became another, is no other array
        assert (at < head and found == stored) or re.search(named, str(found))


def _pixels_or_error(folder):
    try:
        return _pixels(Store(folder))
    except InputError as error:
        return error


def _pixels(store):
    return [store.image(row).tobytes() for row in range(7)] + [store.mask(row).tobytes() for row in range(7)]


def test_small_pictures_that_were_altered_are_named(folder_dataset, tmp_path):
    store = _store(folder_dataset, tmp_path)
    path = store.folder / "thumbs.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"thumbs\.npy: does not have the checksum"):
        _ = store.thumbs


def test_the_real_sets_are_read_with_the_counts_their_page_states(shared, tmp_path):
    root = shared("cxr-real")
    from fxcore.params.experiment import load
    from fxcore.slices.make import store_slice
    from tests.conftest import PROJECT, make_store, split_store

    experiment = load(PROJECT / "tests/presets/cxr_real.yaml").model_copy(update={"store_size": 32})
    make_store(store_slice(experiment, "cxr_main"), root, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["images"] == 213
    split_store(tmp_path, "official")
    counts = json.loads((tmp_path / "split.json").read_text())
    assert counts["annotated"]["localization"] == {"train": 69, "val": 22, "test": 22}
    assert counts["annotated"]["segmentation"] == {"train": 51, "val": 20, "test": 12}


def _change(**dataset):
    return SLICE.model_copy(update={"dataset": Dataset.model_validate(FOLDER_PARAMS | dataset)})


def _break(dataset, *numbers):
    root = dataset.write()
    for number in numbers:
        file = root / f"images/{number}.png"
        file.write_bytes(file.read_bytes()[:60])
    return root


def test_pictures_that_cannot_be_used_stop_it_and_are_all_named(folder_dataset, tmp_path, caplog):
    root = _break(folder_dataset, 0, 2)
    with pytest.raises(InputError, match=r"images/0.png cannot be decoded .* \(and 1 more like it, in the log\)$"):
        make_store(SLICE, root, tmp_path / "store")
    assert "images/2.png cannot be decoded" in caplog.text
    assert not list((tmp_path / "store").glob("*"))


def test_after_an_image_is_named_under_exclude_nothing_is_decoded_again(folder_dataset, tmp_path, monkeypatch):
    root = _break(folder_dataset, 2)
    with pytest.raises(InputError):
        make_store(SLICE, root, tmp_path / "store")
    monkeypatch.setattr(decode, "_one", None)  # nobody may call it
    make_store(_change(exclude=["images/2.png"]), root, tmp_path / "store")
    store = split_store(tmp_path / "store")
    assert store.manifest["excluded"] == {"images/2.png": "named under exclude"}
    assert store.manifest["images"] == 6
    assert store.rows(Task.CLASSIFICATION, Split.TRAIN).tolist() == [0, 1]
    assert store.rows(Task.SEGMENTATION, Split.TRAIN).tolist() == [0, 1]
    assert store.mask(3).any()


def test_unreadable_pictures_are_left_out_where_the_parameters_say_so(folder_dataset, tmp_path):
    root = _break(folder_dataset, 1)
    make_store(_change(unreadable="exclude"), root, tmp_path / "store")
    store = split_store(tmp_path / "store")
    assert list(store.manifest["excluded"]) == ["images/1.png"]
    assert "cannot be decoded" in store.manifest["excluded"]["images/1.png"]
    assert store.rows(Task.CLASSIFICATION, Split.TRAIN).tolist() == [0, 2]


def test_a_missing_picture_is_never_left_out_in_silence(folder_dataset, tmp_path):
    root = folder_dataset.write()
    (root / "images/1.png").unlink()
    with pytest.raises(InputError, match=r"row 3: no image .*images/1.png"):
        make_store(_change(unreadable="exclude"), root, tmp_path / "store")


def test_leaving_out_may_not_empty_a_split(folder_dataset, tmp_path):
    make_store(_change(unreadable="exclude"), _break(folder_dataset, 3, 4), tmp_path / "store")
    with pytest.raises(InputError, match=r"datasets\.mine: split val has no image annotated for classification"):
        split_store(tmp_path / "store", val=0.001)


def test_what_is_excluded_must_be_there(folder_dataset, tmp_path):
    with pytest.raises(InputError, match=r"datasets.mine.exclude: images/9.png is no image of the dataset"):
        make_store(_change(exclude=["images/9.png"]), folder_dataset.write(), tmp_path / "store")
