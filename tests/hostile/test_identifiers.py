"""Who a patient is stands in DICOM headers; of it nothing reaches a store, a log, an error, a prediction or its page."""

import io
import logging
import pickle

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from fxcore.data import dicom, intake, native
from fxcore.data.native import Native, Problems
from fxcore.predict.options import Options
from fxcore.predict.predict import predict
from fxcore.slices.data import StoreSlice
from tests.conftest import FOLDER_PARAMS, make_store
from tests.data.adapters.trip import trip
from tests.data.test_dicom import made
from tests.hostile.mutations import bent, few, refused, written
from tests.predict.test_predict import weights  # noqa: F401 - a fixture

MARK = "IDENTITY"
HEADER = {
    "PatientName": f"{MARK}^Jane",
    "PatientID": f"{MARK}-7",
    "OtherPatientNames": f"{MARK}^Joan",
    "PatientBirthDate": "19010203",
    "PatientAddress": f"{MARK} Street",
    "StudyDate": "19990102",
    "StudyTime": "112233",
    "AccessionNumber": f"{MARK}3",
    "InstitutionName": f"{MARK} Hospital",
    "ReferringPhysicianName": f"{MARK}^Doctor",
    "StudyDescription": f"{MARK} chest",
    "PatientComments": f"{MARK} comment",
    "StationName": f"{MARK}4",
}
PRIVATE = (MARK, "19010203", "19990102", "112233", "12345678901234567")
"""What must be nowhere; the last is in a private element."""


def named(dataset):
    """The same file of a patient who can be recognised."""
    for keyword, value in HEADER.items():
        setattr(dataset, keyword, value)
    dataset.private_block(0x0011, f"{MARK} Corp", create=True).add_new(0x01, "LO", "12345678901234567")
    other = Dataset()
    other.PatientID = f"{MARK}-8"
    dataset.OtherPatientIDsSequence = [other]
    return dataset


def pixels(number):
    return np.random.default_rng(number).integers(0, 4095, (64, 48), dtype=np.uint16)


def found(folder):
    """Names and content of all files, tables spelt out."""
    said = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            said.append(pd.read_parquet(path).to_csv())
        elif path.is_file():
            said.append(path.read_bytes().decode("latin-1"))
    return "\n".join(said)


def clean(text):
    return not any(one in text for one in PRIVATE)


@pytest.fixture
def headed(folder_dataset):
    """A dataset of one's own whose pictures are DICOM files."""
    for number, row in enumerate(folder_dataset.rows):
        row["file"] = row["file"].replace(".png", ".dcm")
        named(made(pixels(number))).save_as(folder_dataset.root / row["file"], enforce_file_format=True)
    return folder_dataset


def sliced(**changes):
    from fxcore.params.datasets import Dataset as Block

    block = {key: FOLDER_PARAMS[key] for key in ("columns", "classification")}
    return StoreSlice(key="mine", store_size=32, dataset=Block.model_validate(block | changes))


def test_a_store_has_nothing_of_a_header(headed, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    make_store(sliced(), headed.write(), tmp_path / "store")
    assert (tmp_path / "store/manifest.json").exists()
    assert clean(found(tmp_path / "store"))
    assert clean(caplog.text)


def test_nor_where_pictures_are_damaged_and_left_out(headed, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    root = headed.write()
    for number, length in enumerate((600, 900, 2000)):
        path = root / headed.rows[number]["file"]
        path.write_bytes(path.read_bytes()[:length])
    make_store(sliced(unreadable="exclude"), root, tmp_path / "store")
    assert "cannot be decoded" in caplog.text
    assert clean(found(tmp_path / "store"))
    assert clean(caplog.text)


@pytest.mark.parametrize("key", ["siim_acr", "rsna_pneumonia", "candid_ptx", "vindr_cxr", "chexmask_vindr"])
def test_records_of_releases_have_nothing_of_a_header(tmp_path, key):
    of = trip(key, tmp_path / "native", {"train": 2, "val": 1, "test": 1})
    for path in [*of.folder.rglob("*.dcm"), *of.folder.rglob("*.dicom")]:
        named(pydicom.dcmread(path)).save_as(path, enforce_file_format=True)
    dataset = of.dataset.model_copy(update={"views": ("PA", "AP", "LAT", "OTHER", "UNKNOWN")})
    records = list(intake.read(key, dataset, Native(of.folder, of.folder), Problems()))
    assert records
    assert clean(repr(records))


@few
@given(data=st.data())
def test_a_bent_header_says_nothing_of_the_patient(tmp_path, caplog, data):
    sink = io.BytesIO()
    named(made(pixels(0))).save_as(sink, enforce_file_format=True)
    path = written(tmp_path / "x.dcm", data.draw(bent(sink.getvalue())))
    said = refused(lambda: dicom.read(path, "row 2"))
    said += refused(lambda: native.header_size(path, "row 2", Problems()))
    assert clean(said + caplog.text)


def test_predictions_have_nothing_of_a_header(tmp_path, weights, caplog):  # noqa: F811
    caplog.set_level(logging.INFO)
    folder = tmp_path / "images"
    folder.mkdir()
    named(made(pixels(0))).save_as(folder / "one.dcm", enforce_file_format=True)
    named(made(pixels(1))).save_as(folder / "two.dcm", enforce_file_format=True)
    whole = (folder / "two.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    said = refused(lambda: predict([folder], weights, [], tmp_path / "out", torch.device("cpu"), Options()), "cut.dcm")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"index.html", "one.json", "one.png", "two.json"}
    assert clean(found(tmp_path / "out") + said + caplog.text)


def test_what_this_test_looks_for_is_found_where_it_is(tmp_path):
    pd.DataFrame({"patient": [f"{MARK}-7"] * 100}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.bin").write_bytes(pickle.dumps({"date": "19010203"}))
    assert not clean(found(tmp_path))
    (tmp_path / "a.parquet").unlink()
    assert not clean(found(tmp_path))
    (tmp_path / "b.bin").unlink()
    assert clean(found(tmp_path))
