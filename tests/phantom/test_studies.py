"""Pictures in studies: of one body and its findings, each taken anew, the same from whoever draws them."""

from collections import Counter

import numpy as np
import pytest

from fxcore.params.datasets import Dataset
from fxcore.params.registry import completed
from fxcore.passes import Split
from fxcore.phantom.kinds import KINDS, kind
from fxcore.phantom.longtail import finding
from fxcore.phantom.studies import VIEWS, films
from fxcore.slices.data import PhantomSlice


def _films(key="cxr_lt_2024", each=None, **numbers):
    dataset = Dataset.model_validate(completed(key, {"source": "phantom", "phantom": numbers}))
    return list(films(PhantomSlice(key=key, dataset=dataset), each))


@pytest.fixture(scope="module")
def drawn():
    return _films(train=30, val=3, test=5)


def test_studies_have_as_many_pictures_as_those_of_the_release():
    # 1: 44.6 %, 2: 45.8 %, more: 9.7 % of 155,823
    sizes = Counter(map(len, VIEWS))
    assert sizes == {1: 5, 2: 5, 3: 1}
    assert sum(VIEWS, ()).count("") == 1  # of 18: 4 % of the release are blank
    assert all(views[0] in ("AP", "PA", "") for views in VIEWS)  # task 2 has a frontal picture of each study


def test_images_are_as_many_as_asked_for_and_only_the_last_study_is_cut(drawn):
    assert Counter(film.split for film in drawn) == {"train": 30, "val": 3, "test": 5}
    taken = Counter(film.study for film in drawn if film.split is Split.TRAIN)
    assert [*taken.values()] == [1, 2, 1, 2, 2, 1, 3, 1, 2, 1, 2, 1, 2, 1, 2, 2, 1, 3]  # 30 in 18 studies
    assert [film.study for film in drawn if film.split is Split.VAL] == [300_000, 300_001, 300_001]
    assert len({film.number for film in drawn}) == 38


def test_of_five_studies_the_last_two_are_of_one_patient(drawn):
    patients = {film.study: film.patient for film in drawn if film.split is Split.TRAIN}
    assert [patients[study] for study in range(10)] == [0, 1, 2, 3, 3, 5, 6, 7, 8, 8]


def test_pictures_of_a_study_show_the_same_in_another_stance_and_exposure(drawn):
    first, second = (film for film in drawn if film.study == 1)
    assert (first.patient, first.shown, first.said, first.findings) == (
        *(second.patient, second.shown, second.said, second.findings),
    )
    assert (first.index, first.view, second.index, second.view) == (0, "PA", 1, "LATERAL")
    assert np.abs(first.pixels.astype(int) - second.pixels).mean() > 5
    for name, masks in first.phantom.findings.items():
        for one, other in zip(masks, second.phantom.findings[name], strict=True):
            assert one.sum() == pytest.approx(other.sum(), rel=0.25), name
            middle = [np.mean(np.nonzero(mask), axis=1) for mask in (one, other)]
            assert np.abs(middle[0] - middle[1]).max() < 0.08 * 160, name


def test_a_patient_keeps_the_body_in_another_study(drawn):
    first, other = (next(film for film in drawn if film.study == study) for study in (8, 9))
    assert first.patient == other.patient
    assert first.shown != other.shown
    stranger = next(film for film in drawn if film.study == 7)
    # Which no finding changes, and which is seen from elsewhere.
    lengths = [film.phantom.organs["Left Clavicle"].sum() for film in (first, other, stranger)]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.1)
    assert lengths[2] != pytest.approx(lengths[0], rel=0.1)


def test_no_two_pictures_are_equal_not_even_of_two_normal_studies_of_one_patient(drawn):
    third, fourth = (next(film for film in drawn if film.study == study) for study in (3, 4))
    assert third.patient == fourth.patient
    assert third.shown == fourth.shown == {"Normal"}
    assert len({film.pixels.tobytes() for film in drawn}) == len(drawn)


def test_labels_are_of_the_kind_that_is_seen(drawn):
    checked = 0
    for film in (one for one in drawn if one.index == 0):
        for one in set(film.findings) & set(KINDS):
            said = {
                name for name in film.shown if name != "Normal" and finding(name) == one and name in KINDS[one].bounds
            }
            assert said == ({kind(one, film.phantom)} - {None})
            checked += bool(said)
    assert checked > 10


def test_what_is_drawn_is_what_the_classes_say(drawn):
    for film in drawn:
        named = {finding(name) for name in film.shown - {"Normal"}}
        assert set(film.findings) == (named if film.shown else {"diffuse_nodules"})
        assert film.has("Normal") == (film.findings == ())
        assert film.has("Lung Opacity") == ("opacity" in film.findings)


def test_the_same_studies_come_from_another_dataset_of_another_size(drawn):
    test = [film for film in drawn if film.split is Split.TEST]
    gold = _films("cxr_lt_2024_gold", each=1, test=3)
    assert [film.study for film in gold] == [600_000, 600_001, 600_002]
    firsts = [film for film in test if film.index == 0][:3]
    for one, other in zip(gold, firsts, strict=True):
        assert one.pixels.tobytes() == other.pixels.tobytes()
        assert (one.number, one.patient, one.shown) == (other.number, other.patient, other.shown)
