"""Which findings a picture gets, and which classes of a dataset they make present."""

from collections import Counter

import numpy as np
import pytest

from fxcore.params.registry import registry
from fxcore.passes import Task
from fxcore.phantom.labels import MEANS, ORGANS, choose, known, plain, present
from fxcore.phantom.scene import FINDINGS

CHESTX_DET = registry()["chestx_det"].classes(Task.CLASSIFICATION)


def _drawn(classes, pictures, seed=0):
    return [choose(classes, number, np.random.default_rng([seed, number])) for number in range(pictures)]


@pytest.mark.parametrize("key", registry())
def test_every_class_of_the_known_datasets_can_be_drawn(key):
    dataset = registry()[key]
    assert all(known(name) for name in dataset.classes(Task.CLASSIFICATION))
    for task in (Task.LOCALIZATION, Task.SEGMENTATION):
        assert all(plain(name) in MEANS.keys() | ORGANS.keys() for name in dataset.classes(task))


def test_a_class_that_is_no_finding_is_not_known():
    assert not known("Unheard Of")
    assert known("Pleural_Thickening")
    assert known("NO FINDING")


def test_every_meaning_can_be_drawn():
    assert {finding for findings in MEANS.values() for finding in findings} <= set(FINDINGS)


@pytest.mark.parametrize(
    ("name", "findings", "expected"),
    [
        ("Lung Opacity", ("consolidation",), True),
        ("Lung Opacity", ("nodule",), False),
        ("Lung Lesion", ("effusion", "mass"), True),
        ("Pleural_Thickening", ("pleural_thickening",), True),
        ("No Finding", (), True),
        ("No Finding", ("devices",), False),
        ("Normal", (), True),
        ("Normal", ("fracture",), False),
        ("No Lung Opacity/Not Normal", (), False),
        ("No Lung Opacity/Not Normal", ("effusion",), True),
        ("No Lung Opacity/Not Normal", ("effusion", "opacity"), False),
        ("Heart", (), True),
    ],
)
def test_a_class_is_present_where_one_of_its_findings_is_drawn(name, findings, expected):
    assert present(name, findings) is expected


@pytest.mark.parametrize("key", ["chexpert", "mimic_cxr", "vindr_cxr"])
def test_no_finding_is_said_only_where_nothing_is_drawn(key):
    classes = registry()[key].classes(Task.CLASSIFICATION)
    (nothing,) = (name for name in classes if name.lower() == "no finding")
    pictures = _drawn(classes, 80)
    assert {findings for findings in pictures if present(nothing, findings)} == {()}
    assert sum(present(nothing, findings) for findings in pictures) == pictures.count(()) > 8
    for findings in pictures:
        others = [name for name in classes if name != nothing and present(name, findings)]
        assert not (others and present(nothing, findings))


def test_exactly_one_class_of_rsna_applies():
    classes = registry()["rsna_pneumonia"].classes(Task.CLASSIFICATION)
    counts = Counter(tuple(present(name, findings) for name in classes) for findings in _drawn(classes, 200))
    assert set(counts) == {(True, False, False), (False, True, False), (False, False, True)}


def test_each_class_occurs_in_sixty_pictures_of_chestx_det():
    # 42 of 60 pictures have findings, and 13 take turns: each comes three times at least
    pictures = _drawn(CHESTX_DET, 60)
    assert all(sum(present(name, findings) for findings in pictures) >= 3 for name in CHESTX_DET)
    assert any(len(findings) > 1 for findings in pictures)


@pytest.mark.parametrize("key", [key for key, one in registry().items() if one.classification])
def test_three_in_ten_pictures_have_none_of_the_classes_findings(key):
    classes = registry()[key].classes(Task.CLASSIFICATION)
    pool = {finding for name in classes for finding in MEANS.get(plain(name), ())}
    without = [number for number, findings in enumerate(_drawn(classes, 50)) if not pool & set(findings)]
    assert without == [number for number in range(50) if number % 10 in (0, 1, 2)]


def test_bystanders_come_where_a_dataset_is_about_something_else():
    pictures = _drawn(("Pneumothorax",), 400)
    strangers = Counter(finding for findings in pictures for finding in findings if finding != "pneumothorax")
    assert set(strangers) == {"effusion", "calcification", "devices", "cardiomegaly", "atelectasis"}
    # a quarter of 400 pictures, within three standard deviations (8.7)
    assert abs(sum(strangers.values()) - 100) < 26


def test_a_dataset_of_organs_alone_has_only_bystanders():
    assert all(len(findings) <= 1 for findings in _drawn(("Lungs", "Heart"), 40))


def test_equal_states_choose_equally_and_findings_come_in_the_order_drawn():
    pictures = _drawn(CHESTX_DET, 40)
    assert pictures == _drawn(CHESTX_DET, 40)
    assert pictures != _drawn(CHESTX_DET, 40, seed=1)
    for findings in pictures:
        assert list(findings) == [one for one in FINDINGS if one in findings]
