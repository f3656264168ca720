"""Policies by name: readers, boxes of several readers."""

import pytest

from fxcore.data import policies
from fxcore.data.records import Box


@pytest.mark.parametrize(
    ("codes", "any_", "majority", "consensus"),
    [((1, 0, 0), 1, 0, 0), ((1, 1, 0), 1, 1, 0), ((1, 1, 1), 1, 1, 1), ((0, 0, 0), 0, 0, 0), ((1, 0), 1, 0, 0)],
)
def test_readers_vote(codes, any_, majority, consensus):
    assert [policies.vote(codes, rule) for rule in ("any", "majority", "consensus")] == [any_, majority, consensus]


def test_a_single_reader_is_believed():
    assert [policies.vote([code], "consensus") for code in (1, 0, -1, None)] == [1, 0, -1, None]


def _box(reader, left, label="Nodule"):
    return Box(label, (left, 10.0, 20.0, 20.0), f"row {reader}", reader)


def test_boxes_of_readers_that_overlap_become_their_mean():
    # 20 wide, 4 apart: 16 of 24 columns are common, an overlap of 2/3
    fused = policies.fused([_box("R1", 10.0), _box("R2", 14.0), _box("R1", 60.0)], iou=0.5)
    assert [(box.xywh, box.reader) for box in fused] == [((12, 10, 20, 20), None), ((60, 10, 20, 20), None)]


@pytest.mark.parametrize(
    ("other", "iou"),
    [(_box("R2", 14.0), 0.7), (_box("R1", 14.0), 0.5), (_box("R2", 14.0, "Mass"), 0.5), (_box("R2", 40.0), 0.1)],
    ids=["too little overlap", "one reader", "another class", "apart"],
)
def test_boxes_that_are_two_findings_stay_two(other, iou):
    assert len(policies.fused([_box("R1", 10.0), other], iou)) == 2
