"""CXR-LT 2024's hand-labelled test set: read by itself, not mixed with what reports say, its siblings found by study."""

import numpy as np
import pytest

from fxcore.data.adapters import cxr_lt_2024, cxr_lt_2024_gold, mimic_cxr
from fxcore.data.check import check
from fxcore.data.native import Native, Problems
from fxcore.errors import InputError
from fxcore.passes import Split, Task
from fxcore.phantom.native.mimic_cxr import named
from fxcore.slices.data import StoreSlice
from tests.conftest import make_store, split_store
from tests.data.adapters.trip import counted, known, records, trip

KEY = "cxr_lt_2024_gold"
TABLE = "cxr-lt-2024/test_labeled_task2.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trip(KEY, tmp_path_factory.mktemp(KEY), {"test": 8})


def test_what_is_read_counts_what_was_written(made):
    facts = made.expected.facts()
    assert counted(made.records()) == facts
    assert facts["images"] == {"test": 8}
    assert list(facts["labels"]) == list(cxr_lt_2024_gold.FINDINGS)
    assert made.mistakes() == []
    assert [path.name for path in made.files()] == ["test_labeled_task2.csv"]


def test_labels_are_what_the_pictures_show_and_not_what_reports_say(made):
    differ = 0
    for case, record in zip(made.cases, made.records(), strict=True):
        there = {name for name, code in record.labels.items() if code}
        assert there == case.shown & set(cxr_lt_2024_gold.FINDINGS)
        differ += there != case.said & set(cxr_lt_2024_gold.FINDINGS)
        picture = record.read(record.file, record.where)
        assert np.abs(picture.astype(int) - np.pad(case.pixels, ((0, 20), (4, 0)))).mean() < 2  # JPEG
    assert differ == sum("Normal" not in case.shown for case in made.cases) > 4


def test_one_picture_a_study_and_its_siblings_in_the_other_dataset(made, tmp_path):
    whole = trip("cxr_lt_2024", tmp_path / "native", {"train": 2, "val": 2, "test": 13})
    stores = {}
    for one in (made, whole):
        slice_ = StoreSlice(key=one.key, store_size=48, dataset=one.dataset)
        make_store(slice_, one.folder, tmp_path / one.key)
        stores[one.key] = split_store(tmp_path / one.key)
    gold, tables = stores[KEY], stores["cxr_lt_2024"].table
    assert gold.manifest["images"] == 8
    assert gold.rows(Task.CLASSIFICATION, Split.TEST).tolist() == list(range(8))
    assert gold.table["study"].is_unique
    # eight studies of 1, 2, 1, 2, 2, 1, 3 and 1 images
    siblings = [tables.index[tables["study"] == study].tolist() for study in gold.table["study"]]
    assert [len(rows) for rows in siblings] == [1, 2, 1, 2, 2, 1, 3, 1]
    for row, rows in enumerate(siblings):
        assert set(tables["split"].iloc[rows]) == {"test"}
        assert tables["image"].iat[rows[0]] == gold.table["image"].iat[row]
        assert tables["group"].iat[rows[0]] == gold.table["group"].iat[row]
        assert np.array_equal(stores["cxr_lt_2024"].image(rows[0]), gold.image(row))
        assert not any(np.array_equal(stores["cxr_lt_2024"].image(one), gold.image(row)) for one in rows[1:])


def test_both_writers_label_test_studies_alike(made, tmp_path):
    trip("cxr_lt_2024", tmp_path, {"train": 1, "val": 1, "test": 13})
    assert (tmp_path / TABLE).read_text() == (made.folder / TABLE).read_text()


class Release:
    """Two images by hand; the pictures are in another folder."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "mimic/files").mkdir(parents=True)
        self.about = ["dicom_id", "subject_id", "study_id", "ViewPosition", "ViewCodeSequence_CodeMeaning", "fpath"]
        self.classes = list(cxr_lt_2024_gold.FINDINGS)
        self.rows = [self.row(1, Normal="1"), self.row(2, Nodule="1")]

    def row(self, number, **codes):
        image = f"99999999-00000000-11111111-22222222-{number:08d}"
        about = dict(
            zip(self.about, (image, f"1099990{number}", f"s5999990{number}", "AP", "", "files/..."), strict=True)
        )
        return about | dict.fromkeys(cxr_lt_2024.FINDINGS, "0") | codes

    def read(self, problems=None, **changes):
        table = self.folder / "labels" / TABLE
        table.parent.mkdir(parents=True, exist_ok=True)
        header = [*self.about, *self.classes]
        table.write_text("\n".join((",".join(header), *(",".join(row[name] for name in header) for row in self.rows))))
        native = Native(self.folder / "labels", self.folder / "mimic")
        return list(cxr_lt_2024_gold.records(KEY, known(KEY, **changes), native, problems or Problems()))


@pytest.fixture
def release(tmp_path):
    return Release(tmp_path)


def test_all_images_are_for_testing_and_pictures_are_mimics(release):
    first, second = release.read()
    assert (first.split, second.split) == (Split.TEST, Split.TEST)
    assert first.file == release.folder / "mimic" / mimic_cxr.name(first.image, "10999901", "59999901")
    assert (first.study, first.group) == ("59999901", "mimic:10999901")


@pytest.mark.parametrize("order", ["its own", "task 1's", "backwards"])
def test_columns_are_read_by_name_in_whatever_order(release, order):
    at = release.classes.index
    assert at("Normal") + 1 == at("Nodule")
    if order != "its own":
        release.classes.sort(reverse=order == "backwards")
    first, second = release.read()
    assert [name for name, code in first.labels.items() if code] == ["Normal"]
    assert [name for name, code in second.labels.items() if code] == ["Nodule"]


def test_the_table_of_another_task_is_refused(release):
    release.classes = list(cxr_lt_2024.FINDINGS)
    with pytest.raises(
        InputError, match=r"task2\.csv: has a column 'Adenopathy', which task 2 has not; put the release's"
    ):
        release.read()
    release.classes = ["Bulla", "Cardiomyopathy"]
    release.rows = [row | {"Bulla": "1", "Cardiomyopathy": "0"} for row in release.rows]
    with pytest.raises(InputError, match=r"task2\.csv: no column 'Atelectasis'; it has dicom_id, .*Bulla"):
        release.read()


def test_classes_of_task_1_are_none_of_this_one(release):
    with pytest.raises(InputError, match=r"classification\.classes: Adenopathy is no class of this release"):
        release.read(classification={"classes": list(cxr_lt_2024.FINDINGS)})
    assert [one.labels for one in release.read(classification={"classes": ["Nodule"]})] == [
        {"Nodule": 0},
        {"Nodule": 1},
    ]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("Mass", "-1", r"Mass is '-1'; expected one of 1"),
        ("study_id", "59999901", r"Normal of study 59999901 is 0 here and 1 at .*row 2; correct one of them"),
        ("dicom_id", "99999999-00000000-11111111-22222222-00000001", "image .* is in .*row 2 already; keep one"),
    ],
)
def test_a_mistake_is_one_line(release, column, value, said):
    release.rows[1][column] = value
    with pytest.raises(InputError, match=rf"task2\.csv, row 3: {said}"):
        release.read()
    problems = Problems(keep_going=True)
    assert len(release.read(problems)) == 1
    assert len(problems.found) == 1


def test_what_is_missing(tmp_path, made):
    with pytest.raises(InputError, match=r"datasets\.cxr_lt_2024_gold: .* has no test_labeled_task2\.csv"):
        records(KEY, known(KEY), tmp_path)
    picture = made.records()[0].file
    picture.rename(picture.with_suffix(".away"))
    found = check(KEY, made.dataset, Native(made.folder, made.folder), keep_going=True, pictures=False)
    picture.with_suffix(".away").rename(picture)
    assert found.problems == (
        f"{made.records()[0].where}: no image {picture}; put it there, or list {named(made.cases[0].number).image} under exclude",
    )


def test_a_copy_is_complete_with_406_images(release):
    release.read()
    found = check(KEY, known(KEY), Native(release.folder / "labels", release.folder / "mimic"), True, False)
    assert found.differs == ("images: 2 of 406", "test images: 2 of 406")
