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
        ({"study": "s"}, "row 5: study s is of patient p5 here and of p4 at row 4; correct one of them"),
        (
            {"study": "s", "patient": None},
            "row 5: study s is of patient None here and of p4 at row 4; correct one of them",
        ),
    ],
)
def test_a_study_is_of_one_patient(facts, said):
    with pytest.raises(InputError) as caught:
        check("mine", [*ALL, _record(4, study="s"), _record(5, VAL, **facts)], DATASET)
    assert str(caught.value) == said


def test_patients_and_studies_may_be_in_several_splits_of_a_release():
    """What becomes of them is decided where images are split."""
    check(
        "mine",
        [*ALL, _record(4, study="s"), _record(5, None, study="s", patient="p4"), _record(6, VAL, patient="p4")],
        DATASET,
    )


def test_a_task_without_images_is_refused():
    with pytest.raises(InputError, match=r"datasets\.mine: no image is annotated for classification; remove the task"):
        check("mine", [replace(one, labels=None) for one in ALL], DATASET)
    check("mine", [replace(ALL[0], labels=None), ALL[1]], DATASET)
