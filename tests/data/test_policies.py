"""Policies by name: readers, boxes of several readers, uncertain and missing labels."""

import numpy as np
import pytest

from fxcore.data import policies
from fxcore.data.records import Box
from fxcore.params.datasets import Labels


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


CODES = np.array([[1, 0, -1, np.nan]], dtype=np.float32)
CLASSES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("uncertain", "blank", "target", "known"),
    [
        ("u_ones", "blank_zero", [1, 0, 1, 0], [1, 1, 1, 1]),
        ("u_zeros", "blank_ignore", [1, 0, 0, 0], [1, 1, 1, 0]),
        ("u_ignore", "blank_zero", [1, 0, 0, 0], [1, 1, 0, 1]),
    ],
)
def test_codes_become_targets(uncertain, blank, target, known):
    policy = Labels(classes=CLASSES, uncertain=uncertain, blank=blank)
    found, of_known = policies.targets(CODES, policy, ["x"])
    assert found[0].tolist() == target
    assert of_known[0].tolist() == known


def test_smoothed_targets_depend_on_image_class_and_seed_alone():
    policy = Labels(classes=CLASSES, uncertain="u_lsr_ones", smoothing=(0.55, 0.85))
    names = [f"image {number}" for number in range(400)]
    codes = np.full((400, 4), -1, dtype=np.float32)
    np.random.seed(1)
    first, known = policies.targets(codes, policy, names)
    np.random.seed(2)
    again, _ = policies.targets(codes[::-1], policy, names[::-1])
    np.testing.assert_array_equal(first, again[::-1])
    assert known.all()
    # uniform on 0.55 to 0.85: mean 0.70, standard error of 1600 draws 0.087 / 40
    assert 0.55 <= first.min() < 0.56 < 0.84 < first.max() <= 0.85
    assert abs(first.mean() - 0.70) < 4 * 0.0866 / 40
    assert len(np.unique(first)) > 1500
    other, _ = policies.targets(codes, policy.model_copy(update={"smoothing_seed": 1}), names)
    assert not np.array_equal(first, other)
    assert policies.targets(CODES, policy, ["x"])[0][0].tolist()[:2] == [1, 0]
