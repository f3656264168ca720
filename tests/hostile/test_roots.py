"""No dataset reads outside its folders, whatever its tables, lists and links name; no results are written outside their root."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fxcore.data import intake
from fxcore.data.native import Native, Problems, checksums
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.predict.predict import jobs
from tests.conftest import FOLDER_PARAMS
from tests.data.adapters.trip import trip

OUTSIDE = ("../secret/x.png", "/etc/passwd", "images/../../secret/x.png", "..", "/", "../native/../secret/x.png")


def read(folder, dataset=None, key="mine"):
    """What a dataset says of a folder."""
    found = dataset or Dataset.model_validate(FOLDER_PARAMS)
    return list(intake.read(key, found, Native(folder, folder), Problems()))


@pytest.fixture
def secret(tmp_path):
    """A picture beside the dataset's folder, which nothing may read."""
    folder = tmp_path / "secret"
    folder.mkdir()
    Image.fromarray(np.eye(30, dtype=np.uint8)).save(folder / "x.png")
    (folder / "x.csv").write_text("root:x:0\n")
    (folder / "x.json").write_text("{}")
    return folder


@pytest.mark.parametrize("name", [*OUTSIDE, "a\0b.png", "x" * 300 + ".png", "x" * 300 + "/x.png"])
@pytest.mark.usefixtures("secret")
def test_a_row_that_names_something_else_is_refused(folder_dataset, name):
    labels = Dataset.model_validate({key: FOLDER_PARAMS[key] for key in ("columns", "classification")})
    folder_dataset.rows[1]["file"] = name
    with pytest.raises(InputError, match=r"index\.csv, row 3: ") as caught:
        read(folder_dataset.write(), labels)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("place", ["images/1.png", "images", "index.csv", "boxes.json"])
def test_a_link_out_of_the_folder_is_refused(folder_dataset, secret, place):
    root = folder_dataset.write()
    path, target = root / place, secret / f"x{Path(place).suffix}" if "." in place else secret
    path.rename(root / "moved")
    path.symlink_to(target)
    with pytest.raises(InputError, match=r"is a link out of .*/native; put the file itself there") as caught:
        read(root)
    assert "root:x" not in str(caught.value)


def test_links_inside_the_folder_and_a_folder_that_is_a_link_are_taken(folder_dataset, tmp_path):
    root = folder_dataset.write()
    (root / "images/1.png").rename(root / "elsewhere.png")
    (root / "images/1.png").symlink_to("../elsewhere.png")
    (tmp_path / "by another name").symlink_to(root)
    assert len(read(root)) == len(read(tmp_path / "by another name")) == 7


@pytest.mark.parametrize("key", ["index", "localization", "segmentation"])
@pytest.mark.parametrize("name", ["../secret/x.csv", "/etc/passwd", "..", ""])
def test_a_file_of_the_parameters_is_below_the_folder(key, name):
    block = name if key == "index" else FOLDER_PARAMS[key] | {"file": name}
    with pytest.raises(ValueError, match="is no path below the dataset's folder"):
        Dataset.model_validate(FOLDER_PARAMS | {key: block})


def test_a_list_of_tbx11k_that_goes_up_is_refused(tmp_path, secret):
    made = trip("tbx11k", tmp_path / "native", {"train": 2, "val": 1, "test": 1})
    (path,) = (tmp_path / "native").rglob("TBX11K_train.txt")
    up = os.path.relpath(secret / "x.png", path.parents[1] / "imgs" / "tb")
    path.write_text(f"tb/{up}\n")
    with pytest.raises(InputError, match=r"x\.png is not below .*native; expected a picture there"):
        read(made.folder, made.dataset, "tbx11k")


@pytest.mark.parametrize("absolute", [False, True])
def test_a_column_of_vindr_ribcxr_that_leads_away_is_refused(tmp_path, secret, absolute):
    made = trip("vindr_ribcxr", tmp_path / "native", {"train": 2, "val": 1, "test": 1})
    (path,) = (tmp_path / "native").rglob("Vindr_RibCXR_train_mask.json")
    columns = json.loads(path.read_text())
    picture = secret / "x.png"
    columns["img"]["0"] = str(picture) if absolute else os.path.relpath(picture, path.parents[2])
    path.write_text(json.dumps(columns))
    with pytest.raises(InputError, match=r"x\.png is not below .*native; expected a picture there"):
        read(made.folder, made.dataset, "vindr_ribcxr")


@pytest.mark.parametrize("root", ["", "{run}", "a{b", "a</script>", "-rf", "two\nlines", "\x1b", "a\0b"])
def test_a_results_root_that_no_tool_takes_as_it_is_is_refused(tiny, root):
    with pytest.raises(ValueError, match="is no folder for results; give one without brackets"):
        tiny(results_root=root)


@pytest.mark.parametrize("root", ["it's a $(touch x) `touch y`; touch z & ü", 'a "b"', "/a/b c", "a;b|c*f?g[h]"])
def test_any_other_is_taken(tiny, root):
    assert tiny(results_root=root).results_root == root


@pytest.mark.parametrize("name", ["a b", "../a", "a/b", "$(touch x)", "A", "a\n", "", "-a", "a;b", "é"])
def test_names_of_runs_and_datasets_are_words_of_small_letters(tiny, name):
    train = {"visits": {"example_a": ["classification"]}, "cycles": 1, "horizon_cycles": 1}
    with pytest.raises(ValueError, match="pattern"):
        tiny(runs={name: {"title": "J", "role": "joint", "train": train}})
    with pytest.raises(ValueError, match="pattern"):
        tiny(datasets={name: FOLDER_PARAMS})


def test_a_name_that_is_no_text_is_counted_in_a_folder_and_refused_as_a_picture(tmp_path):
    name = os.fsdecode(b"\xff\xfe.png")
    Image.fromarray(np.eye(64, dtype=np.uint8)).save(tmp_path / name)
    assert len(checksums([tmp_path], tmp_path)["."]) == 64
    with pytest.raises(InputError, match=r"its name is no text in UTF-8, and results are; rename it") as caught:
        jobs([tmp_path], tmp_path / "out")
    str(caught.value).encode()
