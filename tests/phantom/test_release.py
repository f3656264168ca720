"""Pictures of a release by number: the same whoever shows them, as many of each split as asked for, balanced, in patients."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from fxcore.data.holdout import part, position
from fxcore.params.datasets import Dataset
from fxcore.params.experiment import load
from fxcore.params.registry import registry
from fxcore.passes import Split, Task
from fxcore.phantom import studies
from fxcore.phantom.labels import ORGANS, plain, present
from fxcore.phantom.native import candid_ptx, jsrt, nih14, node21, rsna_pneumonia, siim_acr, vindr_cxr
from fxcore.phantom.native.mimic_cxr import OWN, ids, named
from fxcore.phantom.phantom import drawn, release
from fxcore.phantom.release import FIRST, Release, member
from fxcore.slices.data import PhantomSlice
from tests.conftest import PROJECT
from tests.data.adapters.trip import known, trip

COUNTS = {"train": 16, "val": 4, "test": 20}
STUDIES = ("cxr_lt_2024", "cxr_lt_2024_gold")
"""Drawn by another rule, `tests/phantom/test_studies.py`."""
RELEASES = [key for key in registry() if key not in STUDIES]
SPLITTING = {"chexpert", "mimic_cxr"}
"""Releases with splits of all three kinds."""
HALVED = {"nih14", "vindr_cxr", "tbx11k", "chestx_det", "siim_acr", "chexmask_vindr", "vindr_ribcxr"}
"""With a test set, and no validation."""


def _numbers(key, counts=COUNTS, **changes):
    """The pictures that a dataset has, by split."""
    dataset = known(key, source="phantom", phantom=counts, **changes)
    of = release(key, dataset)
    return of, {split: list(islice(of.numbers(split, dataset), counts[split])) for split in Split}


@pytest.mark.parametrize("key", RELEASES)
def test_groups_of_each_split_are_those_that_a_hash_of_their_names_puts_there(key):
    of, numbers = _numbers(key)
    at = {split: [position(of.group_of(one), 0) for one in numbers[split]] for split in numbers if key not in SPLITTING}
    if key in SPLITTING:
        assert numbers == {
            split: list(range(300_000 * at, 300_000 * at + COUNTS[split])) for at, split in enumerate(Split)
        }
    elif key in HALVED:
        # 4 of 20 are validation: positions below a fifth
        assert max(at["val"]) < 0.2 <= min(at["train"])
        assert numbers["test"] == list(range(600_000, 600_020))
    else:
        # 20 of 40 are for testing, and 4 for validation: below a half, and from there below 0.6
        assert max(at["test"]) < 0.5 <= min(at["val"])
        assert max(at["val"]) < 0.6 <= min(at["train"])
    assert {one // 300_000 for one in numbers["train"]} == {0}


@pytest.mark.parametrize(
    "key", ["shenzhen", "rsna_pneumonia", "node21", "candid_ptx", "tbx11k", "padchest", "montgomery"]
)
def test_what_an_adapter_reads_has_exactly_the_numbers_asked_for(tmp_path, key):
    made = trip(key, tmp_path, {"train": 4, "val": 2, "test": 3})
    found = made.records()
    of = release(key, made.dataset)
    assert Counter(one.group for one in found) == Counter(of.group_of(case.number) for case in made.cases)
    val, test = (2 / 6, 0.0) if key == "tbx11k" else (2 / 9, 3 / 9)
    splits = Counter(one.split if one.split is Split.TEST else part(position(one.group, 0), val, test) for one in found)
    assert splits == {"train": 4, "val": 2, "test": 3}


@pytest.mark.parametrize("key", [key for key in RELEASES if key not in SPLITTING])
def test_more_images_at_the_same_shares_are_those_before_and_others(key):
    few, many = (_numbers(key, {split: times * number for split, number in COUNTS.items()})[1] for times in (1, 3))
    assert {split: many[split][: COUNTS[split]] for split in Split} == few


def test_a_release_that_lets_no_hash_choose_and_says_no_group_is_named():
    with pytest.raises(ValueError, match=r"native/brax\.py: the release does not split all .* RELEASE with a group"):
        next(Release("brax").numbers(Split.VAL, known("brax", source="phantom", phantom=COUNTS)))


def test_datasets_of_one_release_show_the_same_pictures_whatever_classes_and_numbers_they_ask_for(tmp_path):
    heart = trip("jsrt", tmp_path / "heart", {"train": 2, "val": 1, "test": 3}, classification=None)
    block = {"adapter": "jsrt", "source": "phantom", "phantom": {"train": 3, "val": 2, "test": 4}}
    clavicles = Dataset.model_validate(block | {"segmentation": {"classes": ["Clavicles"]}})
    others = {case.number: case for case in drawn(PhantomSlice(key="jsrt_clavicle", dataset=clavicles))}
    shared = [case for case in heart.cases if case.number in others]
    assert len(shared) >= 4
    for case in shared:
        assert case.findings == others[case.number].findings
        assert case.pixels.tobytes() == others[case.number].pixels.tobytes()


def test_the_pictures_of_boxed_and_of_labelled_images_of_vindr_are_the_same():
    boxes = {"localization": {"classes": ["Aortic enlargement", "Other lesion"]}, "classification": None}
    one, other = (_numbers("vindr_cxr", **changes) for changes in ({}, boxes))
    assert one[1] == other[1]
    assert [one[0].findings(number) for number in range(30)] == [other[0].findings(number) for number in range(30)]


def test_a_folder_is_a_release_of_its_own():
    block = {"source": "phantom", "phantom": COUNTS, "columns": {"patient": "p"}}
    mine, yours = (
        release(key, Dataset.model_validate(block | {"classification": {"classes": [name]}}))
        for key, name in (("mine", "Mass"), ("chexpert", "Effusion"))
    )
    assert {one for number in range(30) for one in mine.findings(number)} >= {"mass"}
    assert "mass" not in {one for number in range(30) for one in yours.findings(number)}
    assert mine.name != yours.name != "chexpert"


@pytest.mark.parametrize("of", [nih14.RELEASE, siim_acr.RELEASE, vindr_cxr.RELEASE], ids=lambda of: of.name)
@pytest.mark.parametrize("first", [0, 300_000, 600_000])
def test_of_ten_in_a_row_three_have_none_of_the_findings_and_any_prefix_is_nearly_balanced(of, first):
    own = Release(of.name, shows=of.classes)
    pool = {name for name in own.classes if plain(name) not in ORGANS and plain(name) != "no finding"}
    ill = np.array([any(present(name, own.findings(first + at)) for name in pool) for at in range(60)])
    assert ill.reshape(6, 10).sum(axis=1).tolist() == [7] * 6
    assert np.abs(np.cumsum(ill) - 0.7 * np.arange(1, 61)).max() <= 3


def _default():
    datasets = load(PROJECT / "params.yaml").datasets
    return {key: one for key, one in datasets.items() if one.phantom and one.adapter not in STUDIES}


# Ten images of 10 to 14 classes: these are only looked at, and nothing is validated or tested on them.
@pytest.mark.parametrize("key", sorted(_default().keys() - {"padchest", "brax"}))
def test_every_class_of_the_default_datasets_occurs_in_each_split(key):
    dataset = _default()[key]
    of = release(key, dataset)
    for split in Split:
        shown = [of.findings(one) for one in islice(of.numbers(split, dataset), dataset.phantom[split])]
        for name in {name for task in Task for name in dataset.classes(task)}:
            there = sum(present(name, findings) for findings in shown)
            assert there > 0, (split, name)
            assert plain(name) in ORGANS or there < len(shown), (split, name)


def test_members_of_patients_in_a_row():
    # patients of 1, 2 and 1 images, again and again, from the first number of each split
    found = [member(number, (1, 2, 1)) for number in range(6)]
    assert found == [(0, 0, 0), (1, 0, 1), (1, 1, 1), (3, 0, 2), (4, 0, 3), (5, 0, 4)]
    assert member(600_006, (1, 2, 1)) == (600_005, 1, 4)


def test_two_of_three_images_of_rsna_are_of_a_patient_with_several():
    sizes = Counter(rsna_pneumonia.RELEASE.group(number, ()) for number in range(90))
    assert sum(size for size in sizes.values() if size > 1) == 60
    assert Counter(sizes.values()) == {1: 30, 2: 10, 4: 10}


def test_images_of_a_patient_of_rsna_show_one_body_and_its_findings_taken_anew():
    of = rsna_pneumonia.RELEASE  # 4 to 7 are of one patient, 9 is another's
    four = [of.phantom(number) for number in range(4, 8)]
    assert len({of.findings(number) for number in range(4, 8)}) == 1
    assert len({one.pixels.tobytes() for one in four}) == 4
    lengths = [one.organs["Left Clavicle"].sum() for one in four]
    assert max(lengths) < 1.15 * min(lengths)
    for name, masks in four[0].findings.items():
        for other in four[1:]:
            assert len(masks) == len(other.findings[name]), name
    stranger = of.phantom(9).organs["Left Lung"].sum()
    lungs = [one.organs["Left Lung"].sum() for one in four]
    assert np.ptp(lungs) < np.abs(np.mean(lungs) - stranger)


def test_patients_of_candid_stay_together():
    _, numbers = _numbers("candid_ptx")
    groups = {split: {candid_ptx.RELEASE.group(one, ()) for one in numbers[split]} for split in Split}
    assert not groups["train"] & groups["test"]
    assert len(groups["train"]) < 16


TAKEN = {
    "rsna_pneumonia": {
        *(("train", "nih14", "train", 4), ("train", "nih14", "test", 4)),
        *(("test", "nih14", "test", 4), ("test", "nih14", "train", 3)),
    },
    "siim_acr": {("train", "nih14", "test", 3), ("train", "nih14", "train", 3), ("test", "nih14", "train", 4)},
    "chestx_det": {("train", "nih14", "test", 3), ("train", "nih14", "train", 3), ("test", "nih14", "train", 4)},
    "node21": {
        *(("train", "nih14", "train", 2), ("train", "nih14", "test", 3), ("train", "jsrt", "train", 2)),
        *(("test", "nih14", "test", 2), ("test", "nih14", "train", 2), ("test", "jsrt", "test", 2)),
    },
    "vindr_ribcxr": {
        *(("train", "vindr_cxr", "test", 3), ("train", "vindr_cxr", "train", 3), ("test", "vindr_cxr", "train", 4)),
    },
}
"""Of the default experiment: split here, the other release, split there, images."""


@pytest.mark.parametrize("key", TAKEN)
def test_the_default_experiment_has_both_of_each_pair_of_pictures_in_the_splits_meant(key):
    datasets, found = _default(), Counter()
    numbers = {
        one: {
            number: split
            for split in Split
            for number in islice(
                release(one, datasets[one]).numbers(split, datasets[one]), datasets[one].phantom[split]
            )
        }
        for one in (key, "nih14", "vindr_cxr", "jsrt_lung")
    }
    numbers["jsrt"] = numbers.pop("jsrt_lung")
    of = release(key, datasets[key])
    for number, split in numbers[key].items():
        if source := of.source(number):
            other, there = source
            found[str(split), other.name, str(numbers[other.name][there]), len({there})] += 1
    assert {(*pair[:3], images) for pair, images in found.items()} == TAKEN[key]


def test_no_picture_is_taken_twice():
    takers = [rsna_pneumonia.RELEASE, siim_acr.RELEASE, node21.RELEASE, release("chestx_det", known("chestx_det"))]
    taken = [source for of in takers for source in of.planted.values() if source[0] is not jsrt.RELEASE]
    assert len({number for _, number in taken}) == len(taken) == 15 + 10 + 9 + 10


def test_no_patients_of_the_default_experiment_have_one_name_by_accident():
    names = {f"mimic:{named(studies.PICTURES * (first + at)).subject}" for first in FIRST.values() for at in range(240)}
    seen = {"cxr_lt_2024": names}
    for key, dataset in _default().items():
        of = release(key, dataset)
        if of.name in seen or of.group is None:  # two datasets of one release agree
            continue
        own = {one for split in Split for one in islice(of.numbers(split, dataset), dataset.phantom[split])}
        seen[of.name] = {of.group_of(one) for one in own if not (of.tells and of.source(one))}
    mimic = (*range(160), *range(300_000, 300_040), *range(600_000, 600_200))
    seen["mimic_cxr"] = {f"mimic:{ids(OWN + one).subject}" for one in mimic}
    everybody = Counter(group for groups in seen.values() for group in groups)
    assert len(seen) == 16
    assert set(everybody.values()) == {1}


def test_mimic_has_the_first_film_of_some_of_the_first_studies_of_cxr_lt():
    of = release("mimic_cxr", _default()["mimic_cxr"])
    films = {number: film for number, (_, film) in of.planted.items()}
    assert {film % studies.PICTURES for film in films.values()} == {0}
    places = {number: film // studies.PICTURES for number, film in films.items()}
    assert max(max(one % 300_000 for one in pair) for pair in places.items()) < 30
    # six of MIMIC's training images are CXR-LT's test images, and four the other way round
    assert Counter((number // 300_000, study // 300_000) for number, study in places.items()) == {(0, 2): 6, (2, 0): 4}
