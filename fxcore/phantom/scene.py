"""Synthetic frontal chest radiographs with findings and the exact masks of organs and findings.

A picture is the sum of attenuations along the beam, seen through a film's curve; the left of the picture is the
patient's right, bright is dense. Nothing is taken from real images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fxcore.phantom.anatomy import Anatomy, draw_anatomy
from fxcore.phantom.film import draw_exposure, expose
from fxcore.phantom.findings import CHANGES, DRAWS
from fxcore.phantom.raster import Mask, Pose, moved, stream
from fxcore.phantom.thorax import build

FINDINGS: tuple[str, ...] = tuple(DRAWS)
"""Every finding that can be asked for, in the order drawn."""


@dataclass(frozen=True, slots=True)
class Phantom:
    """One radiograph and everything there is to know of it; every mask has the picture's shape (side, side).

    Attributes:
        pixels: grey values 0 to 255.
        organs: `Right Lung` and `Left Lung` (the fields above the diaphragm, without heart and mediastinum, whether
            aerated or diseased), `Heart`, `Right Clavicle`, `Left Clavicle`, ribs `R1` to `R10` and `L1` to `L10`
            from the spine around the side, 1 the uppermost.
        findings: for each finding asked for, one mask an instance, none of them empty.
    """

    pixels: NDArray[np.uint8]
    organs: dict[str, Mask]
    findings: dict[str, tuple[Mask, ...]]


def draw(
    random: np.random.Generator,
    findings: Collection[str],
    side: int = 256,
    conspicuity: tuple[float, float] = (0.5, 1.0),
    *,
    again: Mapping[str, int] | None = None,
    taken: np.random.Generator | None = None,
) -> Phantom:
    """Draw one patient. One state of `random` gives one patient, pose and exposure, whatever the findings.

    Args:
        random: advanced by one draw.
        findings: keys of `FINDINGS`, in any order; empty for a patient without findings.
        side: pixels of the picture's width and height, 64 to 1024.
        conspicuity: range in (0, 1] from which each finding's is drawn; 1 is clear.
        again: of some findings, how often they are drawn anew, in another place or size, while all else stays.
        taken: another picture of the same body: how it stands, its exposure and noise; advanced by one draw. Of the instances
            of a finding, those that it moves out of the picture are left out.

    Raises:
        ValueError: a finding that is unknown, a side or a conspicuity out of range.
    """
    if unknown := sorted(set(findings) - set(FINDINGS)):
        raise ValueError(f"finding {unknown[0]} cannot be drawn; known: {', '.join(FINDINGS)}")
    if not 64 <= side <= 1024:
        raise ValueError(f"side is {side}; give 64 to 1024 pixels")
    if not 0 < conspicuity[0] <= conspicuity[1] <= 1:
        raise ValueError(f"conspicuity is {conspicuity}; give a rising range in (0, 1]")
    root = int(random.integers(2**63))
    clear = {key: float(stream(root, f"conspicuity {key}").uniform(*conspicuity)) for key in findings}
    named = {key: f"{key} {times}" if (times := (again or {}).get(key)) else key for key in findings}
    anatomy = draw_anatomy(stream(root, "anatomy"))
    pose = _pose(side, anatomy, stream(root, "pose"))
    for key, change in CHANGES.items():
        if key in clear:
            anatomy = change(anatomy, stream(root, f"change {named[key]}"), clear[key])
    thorax = build(anatomy, pose, root)
    found = {
        key: paint(thorax, stream(root, f"draw {named[key]}"), clear[key])
        for key, paint in DRAWS.items()
        if key in clear
    }
    attenuation, organs = thorax.attenuation(), thorax.organs
    if taken is not None:
        root = int(taken.integers(2**63))
        turn = _turn(side, stream(root, "turn"))
        attenuation, organs = moved(attenuation, turn), {name: moved(mask, turn) for name, mask in organs.items()}
        found = {key: tuple(filter(np.any, (moved(mask, turn) for mask in masks))) for key, masks in found.items()}
    pixels = expose(attenuation, draw_exposure(stream(root, "exposure")), stream(root, "noise"))
    return Phantom(pixels, organs, found)


def _turn(side: int, random: np.random.Generator) -> Pose:
    """From one picture of a body to another: up to 3° of rotation, a few hundredths of scale and shift."""
    shift = random.uniform(-0.02, 0.02), random.uniform(-0.02, 0.02)
    return Pose(side, random.uniform(-0.05, 0.05), random.uniform(0.95, 1.02), shift)


def _pose(side: int, anatomy: Anatomy, random: np.random.Generator) -> Pose:
    """Up to 3° of rotation, both lungs in the picture."""
    angle = float(np.clip(random.normal(0, 0.02), -0.052, 0.052))
    scale = min(random.uniform(1.02, 1.25), 0.92 / (anatomy.base - anatomy.apex))
    top, low = (0.5 + scale * (height - 0.5) for height in (anatomy.apex, anatomy.base))
    down = 0.03 - top + random.random() ** 1.5 * min(0.07, low - top, 0.94 - (low - top))
    return Pose(side, angle, scale, (random.uniform(-0.025, 0.025), down))
