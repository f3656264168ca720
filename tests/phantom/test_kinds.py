"""Kinds of a finding: measured by hand, apart from each other, and each to be had of any body."""

from itertools import pairwise

import numpy as np
import pytest

from fxcore.phantom.kinds import KINDS, area, height, kind, width
from fxcore.phantom.longtail import COUNTS, finding
from fxcore.phantom.scene import Phantom, draw


def _square(top, left, size, side=40):
    mask = np.zeros((side, side), dtype=bool)
    mask[top : top + size, left : left + size] = True
    return mask


def test_measures_by_hand():
    # lungs of 10 × 20 pixels each, rows 10 to 29, columns 5 to 14 and 25 to 34
    lungs = [np.zeros((40, 40), dtype=bool) for _ in range(2)]
    lungs[0][10:30, 5:15] = lungs[1][10:30, 25:35] = True
    phantom = Phantom(np.zeros((40, 40), np.uint8), {"Right Lung": lungs[0], "Left Lung": lungs[1]}, {})
    masks = [_square(20, 6, 4), _square(12, 26, 3)]
    assert height(phantom, masks) == pytest.approx((13 - 10) / 19)
    assert area(phantom, masks) == 16 / 400
    assert width(phantom, masks) == 4 / 30


def test_kinds_of_one_finding_do_not_overlap():
    for one, (_, bounds) in KINDS.items():
        ends = sorted(bounds.values())
        assert all(low[1] <= high[0] for low, high in pairwise(ends)), one
        assert {finding(name) for name in bounds} == {one}
        rarer = [name for name in COUNTS if name != "Normal" and finding(name) == one][1:]
        assert set(bounds) == set(rarer), one


def test_a_clavicle_is_broken_above_ribs():
    drawn = {}
    for times in range(40):
        phantom = draw(np.random.Generator(np.random.PCG64(3)), ("fracture",), 96, again={"fracture": times})
        drawn.setdefault(kind("fracture", phantom), phantom)
    rows = {
        name: min(np.nonzero(mask)[0].mean() for mask in phantom.findings["fracture"])
        for name, phantom in drawn.items()
        if name
    }
    assert rows["Clavicle Fracture"] < rows["Rib Fracture"] < rows["Kyphosis"]
    clavicles = [drawn["Clavicle Fracture"].organs[f"{side} Clavicle"] for side in ("Right", "Left")]
    lowest = max(int(np.flatnonzero(mask.any(axis=1))[-1]) for mask in clavicles)
    assert rows["Clavicle Fracture"] < lowest + 0.1 * 96
