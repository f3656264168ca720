"""CXR-LT 2024: phantoms in its format come back, its traps, and one line for each mistake."""

from itertools import groupby

import numpy as np
import pytest

from fxcore.data.adapters import cxr_lt_2024, mimic_cxr
from fxcore.data.native import Native, Problems
from fxcore.errors import InputError
from fxcore.passes import Split
from fxcore.phantom.native.mimic_cxr import named
from fxcore.slices.data import StoreSlice
from tests.conftest import make_store
from tests.data.adapters.trip import counted, known, records, trip

KEY = "cxr_lt_2024"
VIEWS = [1, 2, 1, 2, 2, 1, 3, 1]
"""Images of the first studies."""
EVERYTHING = sorted((*cxr_lt_2024.FINDINGS, *cxr_lt_2024.UNSEEN))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip(KEY, tmp_path_factory.mktemp(KEY), {"train": 20, "val": 2, "test": 3})


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"train": 20, "val": 2, "test": 3}
    assert len(facts["labels"]) == 40
    assert {code for codes in facts["labels"].values() for code in codes} == {"present", "absent"}
    assert made.mistakes() == []


def test_pixels_come_back(made):
    read = {record.image: record for record in made.records()}
    for case in made.cases:
        of = named(case.number)
        record = read[of.image]
        picture = record.read(record.file, record.where)
        assert np.abs(picture.astype(int) - np.pad(case.pixels, ((0, 20), (4, 0)))).mean() < 2  # JPEG
        assert record.group == f"mimic:{record.patient}" == f"mimic:{of.subject}"
        assert (record.split, record.study) == (case.split, of.study)
        assert {name for name, code in record.labels.items() if code} == case.said
    assert [len(list(group)) for _, group in groupby(made.records(), key=lambda one: one.study)][:8] == VIEWS


def test_the_tables_of_the_task_say_the_same_where_that_of_all_labels_is_missing(tmp_path):
    made = trip(KEY, tmp_path, {"train": 6, "val": 2, "test": 3})
    whole = {one.image: one.labels for one in made.records()}
    (tmp_path / "cxr-lt-2024" / "labels.csv").unlink()
    assert counted(made.records()) == made.expected.facts()
    assert {one.image: one.labels for one in made.records()} == whole  # and not task 2's, which differ
    assert [path.name for path in made.files()] == list(cxr_lt_2024.PARTS.values())


def test_classes_of_task_3_are_unknown_in_training(tmp_path):
    made = trip(KEY, tmp_path, {"train": 3, "val": 2, "test": 2}, classification={"classes": ["Mass", "Scoliosis"]})
    assert counted(made.records()) == made.expected.facts()
    assert made.expected.facts()["labels"]["Scoliosis"] == {"absent": 4, "blank": 3}
    (tmp_path / "cxr-lt-2024" / "labels.csv").unlink()
    with pytest.raises(InputError, match=r"classification\.classes: Scoliosis is no class of this release"):
        made.records()


class Release:
    """Two images by hand, in the table of all labels; the pictures are in another folder."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "mimic-cxr-jpg/2.1.0/files").mkdir(parents=True)
        self.header = [
            *("dicom_id", "subject_id", "study_id", "ViewPosition", "ViewCodeSequence_CodeMeaning", "fpath"),
            *(*EVERYTHING, "split"),
        ]
        self.rows = [self.row(1, "train", "AP", Mass="1"), self.row(2, "val", "", Hernia="1", Scoliosis="1")]

    def row(self, number, split, view="PA", **codes):
        image = f"99999999-00000000-11111111-22222222-{number:08d}"
        about = [image, f"1099990{number}", f"s5999990{number}", view, "", f"files/p10/.../{image}.jpg"]
        return [*about, *(codes.get(name, "0") for name in EVERYTHING), split]

    def read(self, problems=None, **changes):
        table = self.folder / "labels" / "cxr-lt-2024" / "labels.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("\n".join(",".join(row) for row in (self.header, *self.rows)) + "\n")
        native = Native(self.folder / "labels", self.folder / "mimic-cxr-jpg")
        return list(cxr_lt_2024.records(KEY, known(KEY, **changes), native, problems or Problems()))


@pytest.fixture
def release(tmp_path):
    return Release(tmp_path)


def test_study_ids_have_a_prefix_here_and_pictures_are_mimics(release):
    first, second = release.read()
    inner = release.folder / "mimic-cxr-jpg/2.1.0"
    assert first.file == inner / mimic_cxr.name(first.image, "10999901", "59999901")
    assert (first.view, second.view) == ("AP", None)
    assert (first.split, second.split) == (Split.TRAIN, Split.VAL)
    assert [name for name, code in first.labels.items() if code] == ["Mass"]


def test_images_of_a_study_have_its_labels_and_name(release):
    release.rows.append(release.row(3, "train", "LL", Mass="1"))
    release.rows[-1][1:3] = release.rows[0][1:3]
    front, _, side = release.read()
    assert (front.study, side.study) == ("59999901", "59999901")
    assert (front.patient, front.labels, front.view, side.view) == (side.patient, side.labels, "AP", "LAT")


def test_labels_that_differ_within_a_study_are_named_with_both_places(release):
    release.rows.append(release.row(3, "train", Mass="1", Nodule="1"))
    release.rows[-1][1:3] = release.rows[0][1:3]
    table = release.folder / "labels/cxr-lt-2024/labels.csv"
    with pytest.raises(InputError) as caught:
        release.read()
    assert str(caught.value) == (
        f"{table}, row 4: Nodule of study 59999901 is 1 here and 0 at {table}, row 2; correct one of them"
    )
    problems = Problems(keep_going=True)
    assert len(release.read(problems)) == 2
    assert len(problems.found) == 1
    # Of classes that nobody asks for, nothing is said.
    assert len(release.read(classification={"classes": ["Mass"]})) == 3


def test_a_picture_that_no_table_lists_is_not_in_the_dataset(release):
    listed = [one.image for one in release.read()]
    stray = release.folder / "mimic-cxr-jpg/2.1.0" / mimic_cxr.name("f" * 8, "10999901", "59999901")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"")
    assert [one.image for one in release.read()] == listed


def test_a_study_of_two_patients_leaves_no_store(tmp_path):
    made = trip(KEY, tmp_path / "native", {"train": 6, "val": 2, "test": 2})
    table = tmp_path / "native/cxr-lt-2024/labels.csv"
    rows = table.read_text().splitlines()
    cells = rows[3].split(",")  # the second image of the second study
    assert cells[2] == rows[2].split(",")[2]
    cells[1] = "19999999"
    rows[3] = ",".join(cells)
    table.write_text("\n".join((*rows, "")))
    slice_ = StoreSlice(key=KEY, store_size=32, dataset=made.dataset)
    with pytest.raises(
        InputError, match=r"labels\.csv, row 4: study 59\d{6} is of patient 19999999 here and of 1\d{7} at"
    ):
        make_store(slice_, tmp_path / "native", tmp_path / "store")


@pytest.mark.parametrize(("word", "split"), [("development", "val"), ("validate", "val"), ("Test", "test")])
def test_words_for_splits(release, word, split):
    release.rows[1][-1] = word
    assert release.read()[1].split == split


def test_columns_are_read_by_name_in_whatever_order(release):
    at = {name: release.header.index(name) for name in ("Normal", "Nodule")}
    release.header[at["Normal"]], release.header[at["Nodule"]] = "Nodule", "Normal"  # task 2's order
    release.rows[0][at["Normal"]] = "1"
    assert release.read()[0].labels["Nodule"] == 1
    assert release.read()[0].labels["Normal"] == 0


def test_the_table_of_task_2_is_not_taken_for_another(tmp_path):
    trip(KEY, tmp_path, {"train": 3, "val": 2, "test": 3})
    folder = tmp_path / "cxr-lt-2024"
    (folder / "labels.csv").unlink()
    (folder / "test_labeled_task2.csv").rename(folder / "test_labeled_task1.csv")
    # Also where only classes that it has are asked for.
    dataset = known(KEY, classification={"classes": ["Mass", "Nodule"]})
    with pytest.raises(InputError, match=r"test_labeled_task1\.csv: no column 'Adenopathy'; it has dicom_id, "):
        records(KEY, dataset, tmp_path)


def test_the_folder_may_be_the_inner_one(release):
    release.read()
    native = Native(release.folder / "labels" / "cxr-lt-2024", release.folder / "mimic-cxr-jpg" / "2.1.0")
    found = list(cxr_lt_2024.records(KEY, known(KEY), native, Problems()))
    assert [one.image for one in found] == [one.image for one in release.read()]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("Mass", "-1", r"Mass is '-1'; expected one of 1, 1\.0, 0, 0\.0"),
        ("Round(ed) Atelectasis", "", r"Round\(ed\) Atelectasis is ''; expected one of 1"),
        ("split", "holdout", "split is 'holdout'; expected train, val or test"),
        ("dicom_id", "99999999", "dicom_id is '99999999'; expected five groups of eight"),
        ("subject_id", "10999902.0", "subject_id is '10999902.0'; expected eight digits from 1"),
        ("study_id", "sx", "study_id is 'x'; expected eight digits from 5"),
        ("dicom_id", "99999999-00000000-11111111-22222222-00000001", "image .* is in .*row 2 already; keep one"),
    ],
)
def test_a_mistake_is_one_line(release, column, value, said):
    release.rows[1][release.header.index(column)] = value
    with pytest.raises(InputError, match=rf"labels\.csv, row 3: {said}"):
        release.read()
    problems = Problems(keep_going=True)
    assert len(release.read(problems)) == 1
    assert len(problems.found) == 1


def test_what_is_missing_and_what_the_release_does_not_say(release, tmp_path):
    with pytest.raises(InputError, match=r"datasets\.cxr_lt_2024: .* has no train_labeled\.csv"):
        records(KEY, known(KEY), tmp_path)
    with pytest.raises(InputError, match=r"Bula is no class of this release; did you mean Bulla\?"):
        release.read(classification={"classes": ["Bula"]})
    with pytest.raises(InputError, match=r"localization\.classes: Mass is no class of this release"):
        release.read(localization={"classes": ["Mass"]})
    release.header[-1] = "fold"
    with pytest.raises(InputError, match=r"labels\.csv: no column 'split'"):
        release.read()
    (tmp_path / "mimic-cxr-jpg/2.1.0/files").rmdir()
    with pytest.raises(InputError, match="mimic-cxr-jpg has no files or"):
        release.read()
