"""The folder format: what is unknown, what is empty, and one clear line for each mistake."""

import json

import pytest

from fxcore.data.adapters import folder
from fxcore.data.native import Native, Problems
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.phantom import phantom
from fxcore.slices.data import PhantomSlice
from tests.conftest import FOLDER_PARAMS


def _records(dataset):
    return _read(FOLDER_PARAMS, dataset.write())


def _read(params, root):
    return list(folder.records("mine", Dataset.model_validate(params), Native(root, root), Problems()))


def test_labels_are_raw_codes(folder_dataset):
    folder_dataset.rows[0] |= {"Nodule": "-1", "Mass": "1.0"}
    first, second, *_ = _records(folder_dataset)
    assert first.labels == {"Nodule": -1, "Mass": 1}
    assert second.labels == {"Nodule": 1, "Mass": None}


def test_an_image_listed_without_annotation_is_empty_and_one_not_listed_is_unknown(folder_dataset):
    del folder_dataset.boxes["images"][2]
    records = _records(folder_dataset)
    assert [box.xywh for box in records[0].boxes] == [(3, 4, 10, 6)]
    assert records[1].boxes == ()
    assert records[2].boxes is None


def test_patients_and_groups(folder_dataset):
    assert _records(folder_dataset)[1].group == "mine:p1"
    records = _read(FOLDER_PARAMS | {"columns": {}}, folder_dataset.write())
    assert (records[1].patient, records[1].group) == (None, "mine:images/1.png")


def test_a_column_says_who_is_who_in_other_datasets(folder_dataset):
    for row in folder_dataset.rows:
        row["who"] = ""
    folder_dataset.rows[1]["who"] = "nih:00000202"
    records = _read(FOLDER_PARAMS | {"columns": {"patient": "patient", "group": "who"}}, folder_dataset.write())
    assert [one.group for one in records[:3]] == ["mine:p0", "nih:00000202", "mine:p2"]


def test_without_a_column_of_splits_nothing_is_said_of_them(folder_dataset):
    for row in folder_dataset.rows:
        del row["split"]
    records = _read(FOLDER_PARAMS | {"columns": {"patient": "patient", "split": None}}, folder_dataset.write())
    assert {one.split for one in records} == {None}


@pytest.mark.parametrize(
    "segmentation",
    [
        [[3, 4, 13, 4, 13, 10, 3, 10]],
        {"size": [20, 30], "counts": [3 * 20 + 4, *[6, 14] * 9, 6, 600 - (3 * 20 + 4) - 9 * 20 - 6]},
        {"size": [20, 30], "counts": "T26>"},
    ],
    ids=["polygon", "plain", "compressed"],
)
def test_all_three_coco_forms_of_a_mask(folder_dataset, segmentation):
    folder_dataset.masks["annotations"][0]["segmentation"] = segmentation
    assert _records(folder_dataset)[0].masks[0].shape["size"] == [20, 30]


def test_an_excel_byte_order_mark_is_no_part_of_the_first_column(folder_dataset):
    root = folder_dataset.write()
    index = root / "index.csv"
    index.write_bytes(b"\xef\xbb\xbf" + index.read_bytes())
    assert len(_read(FOLDER_PARAMS, root)) == 7


def _set(row, **values):
    return lambda dataset: dataset.rows[row].update(values)


def _annotation(where, **values):
    return lambda dataset: getattr(dataset, where)["annotations"][0].update(values)


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (_set(2, Nodule="2"), r"index\.csv, row 4: Nodule is '2'; expected 1, 0, -1 or blank"),
        (_set(2, Nodule="yes"), r"index\.csv, row 4: Nodule is 'yes'; expected 1, 0, -1 or blank"),
        (_set(1, split="dev"), r"index\.csv, row 3: split is 'dev'; expected train, val or test"),
        (_set(1, patient=""), r"index\.csv, row 3: patient is blank"),
        (_set(4, file="images/0.png"), r"index\.csv, row 6: images/0\.png is in row 2 already"),
        (_set(1, file="../secret.png"), r"index\.csv, row 3: file is '\.\./secret\.png'; expected a path below"),
        (_set(1, file="/etc/passwd"), r"index\.csv, row 3: file is '/etc/passwd'; expected a path below"),
        (
            lambda dataset: [row.pop("Mass") for row in dataset.rows],
            r"index\.csv: no column 'Mass'; it has file, patient, split, Nodule",
        ),
        (_annotation("boxes", category_id=9), r"boxes\.json, annotation 0: category_id 9 is not among the categories"),
        (_annotation("boxes", image_id=99), r"boxes\.json, annotation 0: image_id 99 is not among the images"),
        (
            _annotation("boxes", bbox=[1, 2, 3]),
            r"boxes\.json, annotation 0: bbox is \[1, 2, 3\]; expected \[left, top, width, height\]",
        ),
        (_annotation("boxes", bbox="1 2 3 4"), r"boxes\.json, annotation 0: bbox is '1 2 3 4'"),
        (
            lambda dataset: dataset.boxes["categories"][0].update(name="Nodul"),
            r"boxes\.json: category 'Nodul' is in no head; add it to the classes in params",
        ),
        (
            lambda dataset: dataset.masks["images"][0].update(file_name="images/x.png"),
            r"masks\.json: image images/x\.png is not in .*index\.csv",
        ),
        (_annotation("masks", segmentation=[[1, 2]]), r"masks\.json, annotation 0: segmentation cannot be read"),
        (
            _annotation("masks", segmentation={"size": [20, 30], "counts": [1, 2, 3]}),
            r"annotation 0: segmentation cannot be read; expected run lengths that fill the image",
        ),
        (_annotation("masks", segmentation=None), r"masks\.json, annotation 0: segmentation cannot be read"),
        (lambda dataset: dataset.boxes["images"][0].pop("id"), r"boxes\.json: an image or category lacks 'id'"),
        (lambda dataset: dataset.boxes.pop("categories"), r"boxes\.json: expected a COCO file with the lists"),
    ],
)
def test_a_mistake_is_one_line_with_the_place(folder_dataset, bend, message):
    bend(folder_dataset)
    with pytest.raises(InputError, match=message) as caught:
        _records(folder_dataset)
    assert "\n" not in str(caught.value)


def test_a_cut_json_is_named(folder_dataset):
    root = folder_dataset.write()
    (root / "boxes.json").write_text(json.dumps(folder_dataset.boxes)[:-20])
    with pytest.raises(InputError, match=r"boxes\.json: cannot be read as JSON"):
        _read(FOLDER_PARAMS, root)


def test_a_row_of_the_wrong_length_is_named(folder_dataset):
    root = folder_dataset.write()
    with (root / "index.csv").open("a") as sink:
        sink.write("images/9.png,p9,train,1,0,extra\n")
    with pytest.raises(InputError, match=r"index\.csv, row 9: has 6 cells; the header has 5"):
        _read(FOLDER_PARAMS, root)


def test_a_phantom_of_ones_own_dataset_has_the_columns_that_it_names(tmp_path):
    columns = {"patient": "patient", "group": "who", "split": None}
    dataset = Dataset.model_validate(
        FOLDER_PARAMS | {"columns": columns, "source": "phantom", "phantom": {"train": 2, "val": 1, "test": 1}}
    )
    phantom.write(PhantomSlice(key="mine", dataset=dataset), tmp_path / "native")
    records = _read(FOLDER_PARAMS | {"columns": columns}, tmp_path / "native")
    assert [one.group for one in records] == [f"mine:{one.patient}" for one in records]
    assert len(records) == 4
    assert {one.split for one in records} == {None}
