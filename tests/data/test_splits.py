"""Training, validation and test where a release does not say: whole groups, and the same ones every time."""

from collections import Counter
from pathlib import Path

from fxcore.data.records import Record
from fxcore.data.splits import assign
from fxcore.params.datasets import Dataset
from fxcore.passes import Split

TRAIN, VAL, TEST = Split
PARAMS = {"adapter": "jsrt", "classification": {"classes": ["a"]}, "holdout": {"val": 0.1, "test": 0.2}}


def _record(number, split=None, group=None):
    name = f"{number:04d}"
    return Record(name, Path(name), None, group or f"mine:{name}", split, {"a": 1}, None, None, name)


def _assigned(records, **changes):
    return [one.split for one in assign(records, Dataset.model_validate(PARAMS | changes))]


def test_a_release_without_splits_gives_parts_of_its_groups():
    splits = _assigned([_record(number) for number in range(200)])
    assert Counter(splits) == {TRAIN: 140, VAL: 20, TEST: 40}


def test_groups_stay_together():
    records = [_record(number, group=f"mine:{number // 5}") for number in range(200)]
    homes = {}
    for record, split in zip(records, _assigned(records), strict=True):
        homes.setdefault(record.group, set()).add(split)
    assert all(len(splits) == 1 for splits in homes.values())
    assert Counter(split for (split,) in homes.values()) == {TRAIN: 28, VAL: 4, TEST: 8}


def test_a_release_with_training_and_test_gives_validation_from_training():
    records = [_record(number, TRAIN if number < 100 else TEST) for number in range(150)]
    splits = _assigned(records)
    assert Counter(splits) == {TRAIN: 90, VAL: 10, TEST: 50}
    assert splits[100:] == [TEST] * 50


def test_a_release_with_all_three_keeps_them():
    records = [_record(number, (TRAIN, VAL, TEST)[number % 3]) for number in range(30)]
    assert _assigned(records) == [record.split for record in records]


def test_the_choice_does_not_depend_on_order_and_an_added_group_moves_few():
    records = [_record(number) for number in range(200)]
    before = dict(zip((one.image for one in records), _assigned(records), strict=True))
    backwards = dict(zip((one.image for one in records[::-1]), _assigned(records[::-1]), strict=True))
    assert backwards == before
    more = [*records, _record(900)]
    after = dict(zip((one.image for one in more), _assigned(more), strict=True))
    assert sum(after[name] is not split for name, split in before.items()) <= 2


def test_a_test_set_is_one_whatever_its_release_says():
    records = [_record(number, (TRAIN, None, TEST)[number % 3]) for number in range(9)]
    assert _assigned(records, test_only=True) == [TEST] * 9
    phantom = {"source": "phantom", "phantom": {"test": 9}}
    assert _assigned([_record(number, TEST) for number in range(9)], test_only=True, **phantom) == [TEST] * 9


def test_phantoms_have_the_numbers_asked_for():
    phantom = {"source": "phantom", "phantom": {"train": 16, "val": 4, "test": 20}}
    assert Counter(_assigned([_record(number) for number in range(40)], **phantom)) == {TRAIN: 16, VAL: 4, TEST: 20}
    official = [_record(number, TRAIN if number < 20 else TEST) for number in range(40)]
    assert Counter(_assigned(official, **phantom)) == {TRAIN: 16, VAL: 4, TEST: 20}
