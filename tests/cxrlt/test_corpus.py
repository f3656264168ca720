"""Which pictures pretraining without labels sees: nobody who judges heads, and no image that chooses their rates."""

import json

import numpy as np
import pandas as pd
import pytest

from fxcore.cxrlt.corpus import corpus, held_out
from fxcore.errors import InputError
from fxcore.params.cxrlt import Held
from fxcore.slices.cxrlt import CorpusSlice
from tests.cxrlt.conftest import SmallStore, table_of


def _slice(**changes):
    content = {
        "store_size": 32,
        "labels": "labelled",
        "gold": "gold",
        "holdout": {"share": 0.2},
        "sources": {"labelled": ["train"], "other": ["train", "test"]},
    }
    return CorpusSlice.model_validate(content | changes)


@pytest.fixture
def other():
    """24 images of others, of which one patient's two studies are those of a development patient."""
    table = table_of({"train": 16, "test": 8}, prefix="b")
    table.loc[:3, "group"] = "g:a-val-1"
    return SmallStore(table, np.zeros((24, 1)), ("Mass",))


def _made(slice_, stores, folder):
    corpus(slice_, stores, folder / "corpus.parquet", folder / "corpus.json")
    return pd.read_parquet(folder / "corpus.parquet"), json.loads((folder / "corpus.json").read_text())


def test_whole_patients_are_held_out_of_training(labelled):
    held = held_out(labelled.table, Held(share=0.2))
    assert held.sum() == 8  # 2 of 10 patients of 4 images
    assert set(labelled.table["split"][held]) == {"train"}
    assert not set(labelled.table["patient"][held]) & set(labelled.table["patient"][~held])


def test_by_image_the_images_of_a_patient_are_divided(labelled):
    held = held_out(labelled.table, Held(share=0.2, by="image"))
    assert held.sum() == 8
    assert set(labelled.table["patient"][held]) & set(labelled.table["patient"][~held])


def test_more_images_hold_out_the_same_and_some_more(labelled):
    more = pd.concat([labelled.table, table_of({"train": 40}, prefix="c")], ignore_index=True)
    before = set(labelled.table["patient"][held_out(labelled.table, Held(share=0.2))])
    after = set(more["patient"][held_out(more, Held(share=0.2))])
    assert len(after) == 4
    assert len(before - after) <= 1


def test_what_is_taken_and_what_is_left_out(labelled, gold, other, tmp_path):
    rows, facts = _made(_slice(), {"labelled": labelled, "gold": gold, "other": other}, tmp_path)
    assert rows.groupby("source", observed=True).size().to_dict() == {"labelled": 32, "other": 20}
    held = held_out(labelled.table, Held(share=0.2))
    assert not held[rows.loc[rows["source"] == "labelled", "row"]].any()
    assert facts["total"] == 52
    assert facts["sources"]["labelled"]["left_out"] == {"holdout": 8, "evaluated": 0}
    assert facts["sources"]["other"]["left_out"] == {"holdout": 0, "evaluated": 4}
    assert facts["sources"]["other"]["images"] == {"train": 16, "test": 8}
    assert facts["sources"]["other"]["contamination"] == {
        "dev": {"images": 0, "groups": 1},
        "test": {"images": 0, "groups": 0},
        "gold": {"images": 0, "groups": 0},
    }


def test_labels_change_nothing(labelled, gold, other, tmp_path):
    stores = {"labelled": labelled, "gold": gold, "other": other}
    one = _made(_slice(), stores, tmp_path)[1]
    labelled.labels = 1 - labelled.labels
    assert _made(_slice(), stores, tmp_path)[1] == one


def test_a_source_without_an_image_left_is_named(labelled, gold, tmp_path):
    slice_ = _slice(sources={"labelled": ["val"]})
    with pytest.raises(InputError, match=r"cxrlt\.sources\.labelled: no image of val is left"):
        _made(slice_, {"labelled": labelled, "gold": gold}, tmp_path)
