"""The findings of the phantom by key, and what each does to a patient: change the anatomy, the layers, or both.

Every finding has a conspicuity in (0, 1] that scales its contrast, 1 being clear, and its own generator, so that it
looks the same whatever else is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fxcore.phantom import devices, focal, lungs, pleura
from fxcore.phantom.anatomy import Anatomy, Break
from fxcore.phantom.raster import Mask
from fxcore.phantom.thorax import Thorax

Change = Callable[[Anatomy, np.random.Generator, float], Anatomy]
Draw = Callable[[Thorax, np.random.Generator, float], tuple[Mask, ...]]


def enlarge_heart(anatomy: Anatomy, random: np.random.Generator, conspicuity: float) -> Anatomy:
    """A cardiothoracic ratio of 0.58 to 0.70."""
    return replace(anatomy, ratio=0.58 + conspicuity * random.uniform(0.03, 0.12))


def widen_mediastinum(anatomy: Anatomy, random: np.random.Generator, conspicuity: float) -> Anatomy:
    """Half the mediastinum's width grows by 0.012 to 0.05 image widths, and the aortic knob with it."""
    return replace(
        anatomy,
        mediastinum=anatomy.mediastinum + 0.012 + conspicuity * random.uniform(0.015, 0.038),
        knob=anatomy.knob * (1 + 0.4 * conspicuity),
    )


def hyperinflate(anatomy: Anatomy, random: np.random.Generator, conspicuity: float) -> Anatomy:
    """Low, flat hemidiaphragms, more air, fewer vessels, a narrow heart."""
    lower = 0.03 + 0.035 * conspicuity * random.uniform(0.7, 1)
    flat = 1 - 0.65 * conspicuity
    return replace(
        anatomy,
        domes=(anatomy.domes[0] + lower, anatomy.domes[1] + lower),
        sulcus=max(0.03, anatomy.sulcus * flat),
        width=anatomy.width * 1.03,
        ratio=max(0.36, anatomy.ratio * (1 - 0.12 * conspicuity)) if anatomy.ratio < 0.5 else anatomy.ratio,
        inflation=anatomy.inflation * (1 + 0.10 * conspicuity),
        vessels=anatomy.vessels * (1 - 0.45 * conspicuity),
    )


def congest(anatomy: Anatomy, random: np.random.Generator, conspicuity: float) -> Anatomy:
    """Vessels up to half as dense again."""
    return replace(anatomy, vessels=anatomy.vessels * (1 + conspicuity * random.uniform(0.2, 0.5)))


def break_rib(anatomy: Anatomy, random: np.random.Generator, conspicuity: float) -> Anatomy:
    """One or two ribs broken at the side or the back: a gap and a step."""
    side = -1 if random.random() < 0.5 else 1
    first, at = int(random.integers(2, 7)), random.uniform(0.7, 1.2)
    breaks = tuple(
        Break(
            side,
            first + number,
            at + random.uniform(-0.08, 0.08),
            (1 if random.random() < 0.5 else -1) * (0.007 + 0.011 * conspicuity),
            0.03 + 0.07 * conspicuity,
        )
        for number in range(int(random.integers(1, 3)))
    )
    return replace(anatomy, breaks=breaks)


def whole_heart(thorax: Thorax, _: np.random.Generator, __: float) -> tuple[Mask, ...]:
    """The heart's outline, for a finding that is in the anatomy."""
    return (thorax.organs["Heart"],)


def upper_mediastinum(thorax: Thorax, _: np.random.Generator, __: float) -> tuple[Mask, ...]:
    """The mediastinum between the lungs from the apex to the hila."""
    anatomy = thorax.anatomy
    rows = (thorax.v > anatomy.apex + 0.04) & (thorax.v < anatomy.apex + 0.27)
    between = np.abs(thorax.u) < anatomy.mediastinum + 0.02
    return (rows & between & ~thorax.lungs,)


def both_lungs(thorax: Thorax, _: np.random.Generator, __: float) -> tuple[Mask, ...]:
    """Each lung."""
    return (thorax.organs["Right Lung"], thorax.organs["Left Lung"])


CHANGES: Mapping[str, Change] = {
    "cardiomegaly": enlarge_heart,
    "wide_mediastinum": widen_mediastinum,
    "edema": congest,
    "emphysema": hyperinflate,
    "fracture": break_rib,
}
"""What changes the anatomy before it is drawn, in the order applied."""

DRAWS: Mapping[str, Draw] = {
    "cardiomegaly": whole_heart,
    "wide_mediastinum": upper_mediastinum,
    "opacity": lungs.opacity,
    "consolidation": lungs.consolidation,
    "atelectasis": lungs.atelectasis,
    "edema": lungs.edema,
    "emphysema": both_lungs,
    "fibrosis": lungs.fibrosis,
    "diffuse_nodules": lungs.diffuse_nodules,
    "tuberculosis": focal.tuberculosis,
    "cavity": focal.cavity,
    "nodule": focal.nodule,
    "mass": focal.mass,
    "calcification": focal.calcification,
    "fracture": focal.fracture,
    "hernia": focal.hernia,
    "pleural_thickening": pleura.thickening,
    "effusion": pleura.effusion,
    "pneumothorax": pleura.pneumothorax,
    "devices": devices.devices,
}
"""What draws a finding into the layers and says where it is, in the order drawn; one mask an instance."""
