"""The lists that Ark published, beside the phantoms of three releases: as they are read, disjoint as theirs are."""

import re
from collections import Counter, defaultdict

import pytest

from fxcore.data import published
from fxcore.passes import Split
from fxcore.phantom.native import ark
from tests.data.adapters.trip import trip

COUNTS = {"train": 9, "val": 4, "test": 8}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return {key: trip(key, tmp_path_factory.mktemp(key), COUNTS) for key in published.LISTS}


@pytest.mark.parametrize("key", published.LISTS)
def test_each_image_is_in_one_list_and_each_list_has_the_number_asked_for(made, key):
    lists = published.find(key, made[key].folder)
    assert {path.parent.name for path in lists.values()} == {"ark"}
    splits = published.read(lists)
    assert Counter(splits.values()) == COUNTS
    found = {one.image.removesuffix(".png"): one for one in made[key].records()}
    assert set(splits) == set(found)
    parts = defaultdict(set)
    for image, one in found.items():
        parts[one.group].add(splits[image])
        if one.split is Split.TEST or splits[image] is Split.TEST:
            assert one.split in (splits[image], None)  # NIH's test set is the official one
    # RSNA's lists split images, not patients, and this is what is wrong with them.
    assert any(len(of) > 1 for of in parts.values()) == (key == "rsna_pneumonia")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("nih14", r"00\d{6}_000\.png( [01]){14}"),
        ("shenzhen", r"CHNCXR_\d{4,}_([01])\.png,\1"),
        ("rsna_pneumonia", r"99999999-aaaa-4bbb-8ccc-\d{12}\.png [012]"),
    ],
)
def test_lines_are_written_as_there(made, key, expected):
    lines = [line for path in published.find(key, made[key].folder).values() for line in path.read_text().splitlines()]
    assert all(re.fullmatch(expected, line) for line in lines), lines
    assert len(lines) == 21


def test_lines_are_dealt_by_themselves_in_whatever_order_they_come():
    lines = [f"{number}.png" for number in range(10)]
    numbers = {Split.TRAIN: 6, Split.VAL: 1, Split.TEST: 3}
    found = ark.dealt(lines, numbers)
    assert found == ark.dealt(reversed(lines), numbers)
    assert {split: len(of) for split, of in found.items()} == numbers
    assert sorted(line for of in found.values() for line in of) == lines
    assert found[Split.TRAIN] != lines[:6]
