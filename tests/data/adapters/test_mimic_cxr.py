"""MIMIC-CXR-JPG: phantoms in its format come back, its traps, and one line for each mistake."""

import gzip

import numpy as np
import pytest

from fxcore.data.adapters import mimic_cxr
from fxcore.data.native import Problems
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.native.mimic_cxr import OWN, ids, named
from tests.data.adapters.trip import counted, known, records, trip

LABELS, SPLITS, METADATA = (f"{name}.gz" for name in mimic_cxr.TABLES)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip("mimic_cxr", tmp_path_factory.mktemp("mimic_cxr"), {"train": 16, "val": 2, "test": 3})


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"train": 16, "val": 2, "test": 3}
    assert {code for codes in facts["labels"].values() for code in codes} == {"present", "absent", "uncertain", "blank"}
    assert set(facts["labels"]["No Finding"]) == {"present", "blank"}
    assert made.mistakes() == []


def test_pixels_come_back(made):
    read = {record.image: record for record in made.records()}
    for case in made.cases:
        of = named(case.source.number) if case.source else ids(OWN + case.number)
        record = read[of.image]
        picture = record.read(record.file, record.where)
        assert picture.shape == (180, 164)
        assert np.abs(picture.astype(int) - np.pad(case.pixels, ((0, 20), (4, 0)))).mean() < 2  # JPEG
        assert (record.patient, record.group, record.study) == (of.subject, f"mimic:{of.subject}", of.study)
        assert (record.split, record.boxes, record.masks) == (case.split, None, None)


def test_a_turned_picture_would_be_noticed(made):
    record = made.records()[0]
    picture = record.read(record.file, record.where).astype(int)
    assert np.abs(picture[::-1] - np.pad(made.cases[0].pixels, ((0, 20), (4, 0)))).mean() > 10


def test_a_picture_of_a_study_without_labels_is_left_out(made):
    unlabelled = ids(950_000)
    assert (made.folder / mimic_cxr.name(*unlabelled)).exists()
    problems = Problems()
    assert unlabelled.image not in {one.image for one in records("mimic_cxr", made.dataset, made.folder, problems)}
    assert problems.left == {"a study without a row of labels": 1}


def test_other_labels_beside_the_table_are_not_mixed_in(made):
    assert (made.folder / "mimic-cxr-2.0.0-negbio.csv.gz").exists()
    assert {path.name for path in made.files()} == {LABELS, SPLITS, METADATA}


@pytest.mark.parametrize("inner", ["mimic-cxr-jpg", "physionet/2.1.0"])
def test_the_folder_may_be_a_container(made, tmp_path, inner):
    (tmp_path / inner).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / inner).symlink_to(made.folder)
    found = records("mimic_cxr", made.dataset, tmp_path)
    assert [one.image for one in found] == [one.image for one in made.records()]
    assert found[0].file.exists()


FIRST, SECOND = "99999999-00000000-11111111-22222222-33333333", "99999999-00000000-11111111-22222222-44444444"


class Release:
    """A patient with one study of two views, and another's, by hand."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "files").mkdir()
        self.header = ",".join(("subject_id", "study_id", *mimic_cxr.OBSERVATIONS))
        self.labels = [self.said("10999901", "59999901", Cardiomegaly="1.0", Edema="-1.0", Pneumothorax="0.0")]
        self.splits = [f"{FIRST},59999901,10999901,train", f"{SECOND},59999901,10999901,train"]
        self.views = {FIRST: "PA", SECOND: "LATERAL"}

    def said(self, subject, study, **codes):
        return ",".join((subject, study, *(codes.get(name, "") for name in mimic_cxr.OBSERVATIONS)))

    def write(self):
        metadata = ["dicom_id,ViewPosition", *(f"{image},{view}" for image, view in self.views.items())]
        tables = [[self.header, *self.labels], ["dicom_id,study_id,subject_id,split", *self.splits], metadata]
        for name, rows in zip((LABELS, SPLITS, METADATA), tables, strict=True):
            (self.folder / name).write_bytes(gzip.compress("\n".join((*rows, "")).encode()))
        return self.folder

    def records(self, problems=None, **changes):
        return records("mimic_cxr", known("mimic_cxr", **changes), self.write(), problems)


@pytest.fixture
def release(tmp_path):
    return Release(tmp_path)


def test_both_views_of_a_study_have_its_labels(release):
    front, side = release.records()
    assert (front.view, side.view) == ("PA", "LAT")
    assert front.labels == side.labels
    assert front.study == side.study == "59999901"
    known_codes = {name: code for name, code in front.labels.items() if code is not None}
    assert known_codes == {"Cardiomegaly": 1, "Edema": -1, "Pneumothorax": 0}
    assert front.file == release.folder / f"files/p10/p10999901/s59999901/{FIRST}.jpg"


def test_columns_are_read_by_name_in_whatever_order(release):
    names = list(reversed(mimic_cxr.OBSERVATIONS))  # not the order of the classes, nor CheXpert's
    release.header = ",".join(("subject_id", "study_id", *names))
    release.labels = [",".join(("10999901", "59999901", *("1.0" if name == "Edema" else "" for name in names)))]
    assert [name for name, code in release.records()[0].labels.items() if code == 1] == ["Edema"]


@pytest.mark.parametrize(
    ("stated", "expected"), [("", None), ("AP", "AP"), ("LL", "LAT"), ("LAO", "OTHER"), ("AP LLD", "OTHER")]
)
def test_views(release, stated, expected):
    release.views[FIRST] = stated
    assert release.records()[0].view == expected


def test_the_official_word_is_validate(release):
    release.splits = [release.splits[0].replace("train", "validate")]
    assert release.records()[0].split is Split.VAL


def test_a_row_of_blanks_says_nothing_of_each_class_and_no_row_nothing_at_all(release):
    release.labels = [release.said("10999901", "59999901")]
    assert set(release.records()[0].labels.values()) == {None}
    release.labels = []
    assert release.records() == []


def test_tables_that_were_unpacked(release):
    release.write()
    for name in (LABELS, SPLITS, METADATA):
        (release.folder / name.removesuffix(".gz")).write_bytes(gzip.decompress((release.folder / name).read_bytes()))
        (release.folder / name).unlink()
    assert len(records("mimic_cxr", known("mimic_cxr"), release.folder)) == 2


@pytest.mark.parametrize(
    ("table", "row", "said"),
    [
        ("splits", f"{FIRST},59999901,10999901,train", r"split\.csv\.gz, row 4: image .* is in .*row 2 already; keep"),
        ("splits", "x,59999901,10999901,train", r"split\.csv\.gz, row 4: dicom_id is 'x'; expected five groups"),
        ("splits", f"{FIRST},59999901,10999901.0,train", r"row 4: subject_id is '10999901.0'; expected eight digits"),
        (
            "splits",
            f"{FIRST},s59999901,10999901,train",
            r"row 4: study_id is 's59999901'; expected eight digits from 5",
        ),
        ("splits", f"{FIRST[:-1]}4,59999901,10999901,val", r"row 4: split is 'val'; expected train, validate, test"),
        (
            "splits",
            f"{FIRST[:-1]}4,59999901,10999901,test",
            rf"row 4: {FIRST[:-1]}4 is not in .*metadata\.csv\.gz; add",
        ),
        ("splits", f"{FIRST},59999901", r"split\.csv\.gz, row 4: has 2 cells; the header has 4"),
        (
            "labels",
            f"10999901,59999901{',' * 14}",
            r"chexpert\.csv\.gz, row 3: study 59999901 is in .*row 2 already; k",
        ),
        (
            "labels",
            f"10999901,59999909,2{',' * 13}",
            r"chexpert\.csv\.gz, row 3: Atelectasis is '2'; expected one of 1",
        ),
    ],
)
def test_a_mistake_is_one_line(release, table, row, said):
    getattr(release, table).append(row)
    with pytest.raises(InputError, match=said):
        release.records()
    problems = Problems(keep_going=True)
    assert len(release.records(problems)) == 2
    assert len(problems.found) == 1


def test_a_study_of_two_patients(release):
    release.splits[1] = f"{SECOND},59999901,10999902,train"
    with pytest.raises(InputError, match=r"row 3: study 59999901 is of subject 10999902; .*row 2 says 10999901"):
        release.records()
    problems = Problems(keep_going=True)
    release.records(problems)
    assert len(problems.found) == 1
    assert not problems.left  # a mistake is not also an image that the release leaves out


def test_a_table_cut_short_is_refused(release):
    path = release.write() / SPLITS
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match=r"split\.csv\.gz: cannot be read as CSV .*; download it again"):
        records("mimic_cxr", known("mimic_cxr"), release.folder)


def test_what_is_missing_and_what_the_release_does_not_say(release, tmp_path):
    with pytest.raises(InputError, match=r"datasets\.mimic_cxr: .* has no mimic-cxr-2\.0\.0-chexpert\.csv\.gz"):
        records("mimic_cxr", known("mimic_cxr"), tmp_path)
    (tmp_path / "files").rmdir()
    with pytest.raises(InputError, match=r"datasets\.mimic_cxr: .* has no files"):
        release.records()
    with pytest.raises(InputError, match="Mass is no class of this release"):
        release.records(classification={"classes": ["Mass"], "reported": None})
    with pytest.raises(InputError, match=r"segmentation\.classes: Lung is no class of this release"):
        release.records(segmentation={"classes": ["Lung"]})
    release.header = release.header.replace("Edema", "edema")
    (tmp_path / "files").mkdir()
    with pytest.raises(InputError, match=r"chexpert\.csv\.gz: no column 'Edema'"):
        release.records()
