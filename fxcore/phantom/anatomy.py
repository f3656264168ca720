"""The measures of one synthetic patient: drawn once, then changed by the findings that change a shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RIBS = 10
"""Pairs of ribs drawn; R1 and L1 are the uppermost."""


@dataclass(frozen=True, slots=True)
class Break:
    """A broken rib: `side` -1 is the patient's right, `rib` 0 the uppermost.

    `at` and `gap` are angles along the rib in radians from the spine, `step` is how far the outer end sinks (or rises,
    below 0) in image widths.
    """

    side: int
    rib: int
    at: float
    step: float
    gap: float


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Measures in image widths, in thorax coordinates (u to the patient's left, v down); see `draw_anatomy` for ranges.

    `ratio` is the cardiothoracic ratio; `domes` the height of the hemidiaphragms, right then left; `sulcus` the depth of
    the costophrenic angles below them; `inflation` multiplies the air in the lungs and `vessels` the vessels' density.
    """

    width: float
    taper: float
    apex: float
    domes: tuple[float, float]
    sulcus: float
    ratio: float
    heart_tilt: float
    heart_height: float
    mediastinum: float
    knob: float
    turn: float
    wall: float
    depth: float
    breasts: float
    neck: float
    shoulder: float
    arm_spread: float
    rib_drop: float
    rib_radius: float
    bone: float
    scoliosis: float
    gastric: float
    inflation: float
    vessels: float
    breaks: tuple[Break, ...] = ()

    @property
    def base(self) -> float:
        """The height at which the chest is widest, about that of the costophrenic angles."""
        return self.domes[0] + self.sulcus

    @property
    def rib_gap(self) -> float:
        """From one rib's beginning at the spine to the next one's."""
        return (0.5 * (self.domes[0] + self.domes[1]) - self.apex) / (RIBS - 0.3)

    def chest(self, v: NDArray[Any]) -> NDArray[Any]:
        """Half the inner width of the rib cage at height `v`: 0 at the apex, blunt, widest at the base."""
        s = np.clip((v - self.apex) / (self.base - self.apex), 0, 1.4)
        grown = 1 - np.maximum(1 - s, 0) ** 3
        return self.width * grown**self.taper * (1 - 0.05 * np.maximum(s - 0.75, 0))

    def hilum(self, side: int) -> tuple[float, float]:
        """The centre of a hilum, side -1 the patient's right; the left one lies a little higher."""
        return side * (self.mediastinum + 0.014), self.apex + (0.285 if side < 0 else 0.27)


def draw_anatomy(random: np.random.Generator) -> Anatomy:
    """One patient without findings: of average or broad build, of either sex, breathing in more or less deeply."""
    uniform = random.uniform
    female = random.random() < 0.45
    habitus = uniform()  # narrow to broad
    right = uniform(0.63, 0.755) - 0.03 * habitus
    return Anatomy(
        width=0.295 + 0.05 * habitus + uniform(-0.01, 0.01),
        taper=uniform(0.27, 0.36),
        apex=uniform(0.085, 0.125),
        domes=(right, right + uniform(0.018, 0.04)),
        sulcus=uniform(0.07, 0.115),
        ratio=uniform(0.40, 0.465),
        heart_tilt=uniform(0.5, 0.85),
        heart_height=uniform(0.9, 1.1),
        mediastinum=uniform(0.054, 0.068),
        knob=uniform(0.026, 0.038),
        turn=uniform(-1, 1),
        wall=0.04 + 0.08 * habitus * uniform(0.3, 1),
        depth=0.92 + 0.2 * habitus * uniform(0.3, 1),
        breasts=uniform(0.3, 1.0) if female else 0.0,
        neck=uniform(0.085, 0.115),
        shoulder=uniform(0.0, 0.05),
        arm_spread=uniform(0.02, 0.16),
        rib_drop=uniform(0.2, 0.27),
        rib_radius=uniform(0.0095, 0.0125),
        bone=uniform(0.75, 1.25),
        scoliosis=uniform(-0.06, 0.06),
        gastric=uniform(0.03, 0.06) if random.random() < 0.7 else 0.0,
        inflation=uniform(0.93, 1.03),
        vessels=uniform(0.7, 1.15),
    )
