"""What phantoms of different releases share: exactly what `shared.json` lists, in the pictures that are read."""

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest

from fxcore.data.records import Record
from fxcore.params.registry import registry
from fxcore.passes import Split
from fxcore.phantom import phantom, studies
from fxcore.phantom.case import Case
from fxcore.phantom.native import cxr_lt_2024_gold
from fxcore.phantom.release import EACH
from fxcore.slices.data import PhantomSlice
from tests.data.adapters.trip import known, records

COUNTS = {"train": 160, "val": 40, "test": 200}
STUDIES = ("cxr_lt_2024", "cxr_lt_2024_gold")


@dataclass
class Written:
    """A release's phantoms: as drawn, as read by image, and what they share."""

    cases: list[Case]
    records: dict[str, Record]
    shared: dict[str, dict[str, str | None]]

    def pixels(self, image: str) -> np.ndarray:
        record = self.records[image]
        return record.read(record.file, record.where).astype(float)


def _dataset(key):
    return known(key, source="phantom", phantom={"test": 3} if key == "cxr_lt_2024_gold" else COUNTS)


def _own(key):
    """Some pictures of a release: the first of each split, and one of each kind that is another release's."""
    if key in STUDIES:
        return {studies.PICTURES * number for number in (0, 2, 600_000, 600_001)}
    of, dataset = phantom.release(key, _dataset(key)), _dataset(key)
    firsts = {number for split in Split for number in islice(of.numbers(split, dataset), 2)}
    kinds = {(number // EACH, other.name, there // EACH): number for number, (other, there) in of.planted.items()}
    return firsts | set(kinds.values())


def _cases(key, numbers):
    if key in STUDIES:
        films = [studies.film_of(number) for number in sorted(numbers)]
        test = (one for one in films if one.split is Split.TEST)
        return films if key == "cxr_lt_2024" else [cxr_lt_2024_gold.taken(film) for film in test]
    of = phantom.release(key, _dataset(key))
    return [of.case(number, tuple(Split)[number // EACH]) for number in sorted(numbers)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Some pictures of each release, and those of other releases that they are."""
    numbers = {key: _own(key) for key in registry()}
    for key in set(numbers) - set(STUDIES):
        of = phantom.release(key, _dataset(key))
        for other, there in filter(None, map(of.source, numbers[key])):
            numbers[other.name].add(there)
    found = {}
    for key in numbers:
        folder = tmp_path_factory.mktemp("shared") / key
        cases = _cases(key, numbers[key])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(phantom, "drawn", lambda _, of=cases: iter(of))
            phantom.write(PhantomSlice(key=key, dataset=_dataset(key)), folder)
        read = {one.image: one for one in records(key, _dataset(key), folder)}
        found[key] = Written(cases, read, json.loads((folder / phantom.SHARED).read_text()))
    return found


def test_pictures_of_different_releases_are_equal_exactly_where_one_is_taken_from_the_other(written):
    owners, pictures = defaultdict(set), defaultdict(set)
    for key, one in written.items():
        for case in one.cases:
            own = (case.source.adapter, case.source.number) if case.source else (key, case.number)
            owners[case.pixels.tobytes()].add(own)
            pictures[own].add(case.pixels.tobytes())
    assert {len(of) for of in owners.values()} == {len(of) for of in pictures.values()} == {1}
    assert len(owners) > 100


def test_what_is_listed_is_what_was_taken(written):
    takers = {"rsna_pneumonia", "siim_acr", "chestx_det", "node21", "chexmask_vindr", "vindr_ribcxr", "mimic_cxr"}
    for key, one in written.items():
        assert set(one.shared) == {case.source.name for case in one.cases if case.source}
        assert set(one.shared) <= set(one.records)
        assert bool(one.shared) == (key in takers | {"cxr_lt_2024_gold"})
    for key in ("chexmask_vindr", "cxr_lt_2024_gold"):
        assert len(written[key].shared) == len(written[key].records)


KNOWN = {"rsna_pneumonia", "node21", "chexmask_vindr", "mimic_cxr", "cxr_lt_2024_gold"}
"""Releases that tell where their pictures come from."""


def test_patients_are_those_of_the_other_release_where_it_is_told_and_of_no_other_elsewhere(written):
    groups = defaultdict(set)
    for key, one in written.items():
        for image, record in one.records.items():
            of = one.shared.get(image)
            if of is None or key not in KNOWN:
                assert of is None or (of["patient"] is None and record.group == f"{key}:{image}")
                groups[record.group].add(key)
            else:
                assert record.group == of["patient"], (key, image)
                if there := written[of["adapter"]].records.get(of["image"]):
                    assert there.group == record.group
    groups = {group: keys for group, keys in groups.items() if len(keys) > 1}
    assert groups == {}


@pytest.mark.parametrize(
    ("key", "other", "pairs"),
    [
        ("rsna_pneumonia", "nih14", 4),
        ("siim_acr", "nih14", 3),
        ("chestx_det", "nih14", 3),
        ("node21", "nih14", 4),
        ("node21", "jsrt", 2),
        ("chexmask_vindr", "vindr_cxr", 6),
        ("vindr_ribcxr", "vindr_cxr", 3),
        ("mimic_cxr", "cxr_lt_2024", 2),
        ("cxr_lt_2024_gold", "cxr_lt_2024", 2),
    ],
)
def test_the_native_files_of_both_show_one_picture(written, key, other, pairs):
    here, there = written[key], written[other]
    both = [
        (image, of["image"])
        for image, of in here.shared.items()
        if of["adapter"] == other and of["image"] in there.records
    ]
    assert len(both) >= pairs
    strangers = [one[1] for one in both[1:] + both[:1]]
    for (image, source), stranger in zip(both, strangers, strict=True):
        shown, same = here.pixels(image), there.pixels(source)
        assert shown.shape == same.shape
        # NODE21's greys are shares of the brightest; JPEG of a noisy picture loses a little.
        assert np.abs(shown / shown.max() - same / same.max()).mean() < 0.01
        if (apart := there.pixels(stranger)).shape == shown.shape:
            assert np.abs(shown / shown.max() - apart / apart.max()).mean() > 0.03


def test_labels_of_a_picture_follow_from_what_is_drawn_there(written):
    for key in ("siim_acr", "chestx_det"):
        for image, of in written[key].shared.items():
            if there := written["nih14"].records.get(of["image"]):
                assert written[key].records[image].labels["Pneumothorax"] == there.labels["Pneumothorax"]
    for image, of in written["node21"].shared.items():
        there = written[of["adapter"]].records.get(of["image"])
        if there:
            assert written["node21"].records[image].labels["Nodule"] == there.labels["Nodule"]


def test_films_of_mimic_are_in_the_other_split_of_cxr_lt_and_of_the_same_study(written):
    mimic, films = written["mimic_cxr"], written["cxr_lt_2024"]
    splits = set()
    for image, of in mimic.shared.items():
        assert of["image"] == image
        if image in films.records:
            one, other = mimic.records[image], films.records[image]
            assert (one.study, one.patient, one.view) == (other.study, other.patient, other.view)
            splits.add((str(one.split), str(other.split)))
    assert splits == {("train", "test"), ("test", "train")}
