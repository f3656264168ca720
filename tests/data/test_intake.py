"""What holds records together: splits, patients and studies, each mistake in one line with both places."""

from dataclasses import replace
from pathlib import Path

import pytest

from fxcore.data.intake import check
from fxcore.data.records import Record
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.passes import Split

TRAIN, VAL, TEST = Split
DATASET = Dataset(adapter="chexpert", classification={"classes": ["Edema"]})


def _record(number, split=TRAIN, **facts):
    name = f"{number}.png"
    made = Record(name, Path(name), f"p{number}", f"mine:{number}", split, {"Edema": 1}, None, None, f"row {number}")
    return replace(made, **facts)


ALL = [_record(1), _record(2, VAL), _record(3, TEST)]


def test_a_study_of_two_images_in_one_split_is_fine():
    check("mine", [*ALL, _record(4, study="s"), _record(5, study="s", patient="p4")], DATASET)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"patient": "p4"}, "row 5: patient p4 is in val here and in train at row 4; keep a patient in one split"),
        ({"study": "s"}, "row 5: study s is of patient p5 here and of p4 at row 4; correct one of them"),
        (
            {"study": "s", "patient": None},
            "row 5: study s is of patient None here and of p4 at row 4; correct one of them",
        ),
        # The study is what is said of a study of one patient.
        (
            {"study": "s", "patient": "p4"},
            "row 5: study s is in val here and in train at row 4; keep a study in one split",
        ),
    ],
)
def test_a_study_is_of_one_patient_and_in_one_split(facts, said):
    with pytest.raises(InputError) as caught:
        check("mine", [*ALL, _record(4, study="s"), _record(5, VAL, **facts)], DATASET)
    assert str(caught.value) == said


def test_where_no_patient_is_named_a_study_still_is_in_one_split():
    nobody = [replace(one, patient=None) for one in ALL]
    check("mine", nobody, DATASET)
    with pytest.raises(InputError, match="study s is in test here and in train at row 4"):
        check(
            "mine",
            [*nobody, *(_record(n, split, study="s", patient=None) for n, split in ((4, TRAIN), (5, TEST)))],
            DATASET,
        )


def test_an_image_of_no_split_holds_nothing_together():
    check("mine", [*ALL, _record(4, study="s"), _record(5, None, study="s")], DATASET)


def test_a_split_without_images_is_refused_but_in_a_test_set():
    with pytest.raises(InputError, match=r"datasets\.mine: split train has no image annotated for classification"):
        check("mine", ALL[2:], DATASET)
    check("mine", ALL[2:], DATASET.model_copy(update={"test_only": True}))
    with pytest.raises(InputError, match=r"datasets\.mine: split test has no image annotated for classification"):
        check("mine", [replace(ALL[2], labels=None)], DATASET.model_copy(update={"test_only": True}))
