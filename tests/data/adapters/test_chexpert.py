"""CheXpert: phantoms in its format come back, its traps, and one line for each mistake."""

import gzip
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fxcore.data.adapters import chexpert
from fxcore.data.native import Problems, rows
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.native.chexpert import patient_of
from tests.data.adapters.trip import counted, known, mistakes, records, trip

FULL = ",".join(("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *chexpert.OBSERVATIONS))
BARE = ",".join(("Path", *chexpert.OBSERVATIONS))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("chexpert", tmp_path_factory.mktemp("chexpert"), {"train": 16, "val": 2, "test": 3})


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"train": 16, "val": 2, "test": 3}
    assert {code for codes in facts["labels"].values() for code in codes} == {"present", "absent", "uncertain", "blank"}
    said = [one.labels["No Finding"] for one in made.records() if one.split is Split.TRAIN]
    assert set(said) == {1, None}  # a parser of reports neither denies nor doubts that there is none
    assert {code for one in made.records() if one.split is not Split.TRAIN for code in one.labels.values()} == {0, 1}
    assert {one.view for one in made.records() if one.split is Split.TRAIN} == {"PA", "AP", "LAT"}
    assert made.mistakes() == []


def test_pixels_come_back(made):
    read = {record.patient: record for record in made.records()}
    for case in made.cases:
        record = read[patient_of(case)]
        picture = record.read(record.file, record.where)
        assert picture.shape == (184, 168)
        error = np.abs(picture.astype(int) - np.pad(case.pixels, ((24, 0), (0, 8))))
        assert error.mean() < 2  # JPEG
        assert record.group == f"chexpert:{record.patient}"
        assert (record.split, record.boxes, record.masks) == (case.split, None, None)


def test_a_mirrored_picture_would_be_noticed(made):
    (record,) = (one for one in made.records() if one.patient == "patient90001")
    picture = record.read(record.file, record.where).astype(int)
    assert np.abs(picture[:, ::-1] - np.pad(made.cases[0].pixels, ((24, 0), (0, 8)))).mean() > 10


def test_other_labels_beside_the_table_are_not_mixed_in(made):
    assert (made.folder / "chexpertchestxrays-u20210408" / "train_cheXbert.csv").exists()
    assert {path.name for path in made.files()} == {"train.csv", "valid.csv", "test_labels.csv"}


def _row(path, labels="", about=",Male,41,Frontal,PA"):
    """A row of labels by place: `labels` is the last cells, from Support Devices back."""
    cells = [*[""] * 14, *labels.split(",")][-14:]
    return f"CheXpert-v1.0/{path}{about},{','.join(cells)}"


def _release(folder, *train, valid=(), test=None, header=FULL):
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "train.csv").write_text("\n".join((header, *train)) + "\n")
    (folder / "valid.csv").write_text("\n".join((FULL, *valid)) + "\n")
    if test is not None:
        (folder / "test_labels.csv").write_text("\n".join((BARE, *test)))  # its last line has no end
    return folder


ONE = "train/patient90001/study1/view1_frontal.jpg"


def test_the_test_set_has_no_columns_before_the_labels(tmp_path):
    path = "test/patient94741/study1/view1_frontal.jpg"
    folder = _release(tmp_path, _row(ONE), test=[_row(path, "0.0,1.0", about="")])
    train, test = records("chexpert", known("chexpert"), folder)
    assert (train.split, test.split) == (Split.TRAIN, Split.TEST)
    assert (test.labels["Fracture"], test.labels["Support Devices"], test.labels["No Finding"]) == (0, 1, None)
    assert (test.image, test.view) == (path, None)


def test_studies_are_numbered_within_a_patient(tmp_path):
    paths = [ONE, ONE.replace("view1_frontal", "view2_lateral"), ONE.replace("study1", "study2")]
    folder = _release(tmp_path, *map(_row, paths), _row(ONE.replace("90001", "90002")))
    studies = [one.study for one in records("chexpert", known("chexpert"), folder)]
    assert studies == [*["patient90001/study1"] * 2, "patient90001/study2", "patient90002/study1"]


def test_a_copy_without_the_test_set_is_read(tmp_path):
    folder = _release(tmp_path, _row(ONE), valid=[_row("valid/patient94541/study1/view1_frontal.jpg")])
    assert [one.split for one in records("chexpert", known("chexpert"), folder)] == [Split.TRAIN, Split.VAL]


def test_every_kind_of_value_and_what_is_odd_about_a_patient(tmp_path):
    folder = _release(tmp_path, _row(ONE, "1.0,0.0,-1.0,", about=",Unknown,0,Frontal,AP"))
    (one,) = records("chexpert", known("chexpert"), folder)
    assert [one.labels[name] for name in chexpert.OBSERVATIONS[-4:]] == [1, 0, -1, None]


@pytest.mark.parametrize(
    ("side", "about", "expected"),
    [
        ("frontal", "Frontal,PA", "PA"),
        ("frontal", "Frontal,AP", "AP"),
        ("lateral", "Lateral,", "LAT"),
        ("frontal", "Frontal,LL", "OTHER"),  # 17 rows of the release
        ("frontal", "Frontal,", None),
    ],
)
def test_views(tmp_path, side, about, expected):
    folder = _release(tmp_path, _row(ONE.replace("frontal", side), about=f",Male,41,{about}"))
    assert records("chexpert", known("chexpert"), folder)[0].view == expected


@pytest.mark.parametrize(
    "home",
    [
        "train",
        "CheXpert-v1.0-small/train",
        "CheXpert-v1.0 batch 2 (train 1)",
        "box/CheXpert-v1.0 batch 4 (train 3)/train",
    ],
)
def test_a_patient_is_found_whatever_folder_paths_begin_with(tmp_path, home):
    folder = _release(tmp_path, _row(ONE))
    (folder / home / "patient90001" / "study1").mkdir(parents=True)
    (one,) = records("chexpert", known("chexpert"), folder)
    assert one.file == folder / home / "patient90001" / "study1" / "view1_frontal.jpg"


def test_the_folder_may_be_any_of_the_containers(made, tmp_path):
    small = _release(tmp_path / "CheXpert-v1.0-small", _row(ONE).replace("v1.0", "v1.0-small"))
    for folder in (small, tmp_path):
        assert [one.image for one in records("chexpert", known("chexpert"), folder)] == [ONE]
    inner = records("chexpert", made.dataset, made.folder / "chexpertchestxrays-u20210408")
    assert Counter(one.split for one in inner) == {"train": 16, "val": 2}


def test_two_studies_of_a_patient_are_one_group(tmp_path):
    folder = _release(tmp_path, _row(ONE), _row(ONE.replace("study1", "study2")))
    first, second = records("chexpert", known("chexpert"), folder)
    assert first.image != second.image
    assert first.group == second.group == "chexpert:patient90001"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (_row(ONE, "1.5"), "Support Devices is '1.5'; expected one of 1, 1.0, 0, 0.0, -1, -1.0, blank"),
        (_row(ONE) + ",", "has 20 cells; the header has 19"),
        (
            _row("valid/patient90002/study1/view1_frontal.jpg"),
            "Path is 'CheXpert-v1.0/valid/.*; expected train/patient0",
        ),
        (
            _row("train/90002/view1_frontal.jpg"),
            "Path is 'CheXpert-v1.0/train/90002/.*; expected train/patient00001/st",
        ),
        (_row(f"../../etc/{ONE}x"), "Path is"),
        (_row("train/patient90002/study1/view1_frontal.jpg"), "image .* is in .*row 2 already; keep one"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, row, said):
    folder = _release(tmp_path, _row(ONE.replace("90001", "90002")), row, _row(ONE.replace("90001", "90003")))
    with pytest.raises(InputError, match=rf"train\.csv, row 3: {said}"):
        records("chexpert", known("chexpert"), folder)
    problems = Problems(keep_going=True)
    assert len(records("chexpert", known("chexpert"), folder, problems)) == 2
    assert len(problems.found) == 1


def test_all_mistakes_are_collected(tmp_path):
    assert len(mistakes("chexpert", known("chexpert"), _release(tmp_path, _row(ONE, "x"), _row("y")))) == 2


def test_what_is_missing_and_what_the_release_does_not_say(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.chexpert: .* has no train\.csv"):
        records("chexpert", known("chexpert"), tmp_path)
    _release(tmp_path, header=FULL.replace("Edema", "Oedema"))
    with pytest.raises(InputError, match=r"train\.csv: no column 'Edema'; it has Path, Sex"):
        records("chexpert", known("chexpert"), tmp_path)
    odd = known("chexpert", classification={"classes": ["Nodule"], "reported": None})
    with pytest.raises(InputError, match="Nodule is no class of this release"):
        records("chexpert", odd, tmp_path)
    with pytest.raises(InputError, match=r"localization\.classes: Edema is no class of this release"):
        records("chexpert", known("chexpert", localization={"classes": ["Edema"]}), tmp_path)


def test_every_real_row_is_read(tmp_path):
    wheel = os.environ.get("FXCORE_XRV")
    if not wheel:
        pytest.skip("needs FXCORE_XRV: the unpacked wheel of torchxrayvision, which has the release's training table")
    table = Path(wheel) / "torchxrayvision/data/chexpert_train.csv.gz"
    (tmp_path / "valid.csv").write_text(f"{FULL}\n")
    with gzip.open(table) as source, (tmp_path / "train.csv").open("wb") as sink:
        shutil.copyfileobj(source, sink)
    found = records("chexpert", known("chexpert"), tmp_path)
    assert (len(found), len({one.patient for one in found})) == (223_414, 64_540)
    assert sum(1 for _ in rows(table, ("Path",), Problems())) == 223_414
    assert len({one.study for one in found}) == 187_641
    uncertain = Counter(name for one in found for name, code in one.labels.items() if code == -1)
    assert uncertain["Atelectasis"] == 33_739
    assert uncertain["Consolidation"] == 27_742
    assert uncertain["Fracture"] == 642
    assert uncertain["No Finding"] == 0
    assert Counter(one.view for one in found) == {"AP": 161_590, "PA": 29_420, "LAT": 32_387, "OTHER": 17}
