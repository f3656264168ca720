"""Hila and the branching vessels of the lungs: trees that fan out from each hilum and thin at every fork."""

from __future__ import annotations

import numpy as np

from fxcore.phantom.anatomy import Anatomy
from fxcore.phantom.raster import Field, Points, Pose, blob, curve, tubes

FORKS = 5
STARTS = 9


def vessels(anatomy: Anatomy, pose: Pose, u: Field, v: Field, random: np.random.Generator) -> Field:
    """The attenuation of both hila and their trees, 0.04 for the finest to about 0.2 at the hila."""
    total = np.zeros_like(u)
    for side in (-1, 1):
        at = anatomy.hilum(side)
        total += np.float32(0.07) * np.exp(-blob(u, v, at, (0.032, 0.055), -0.25 * side))
        lower = curve(
            [
                (at[0] - 0.01 * side, at[1] - 0.03),
                (at[0] + 0.012 * side, at[1] + 0.03),
                (at[0] + 0.03 * side, at[1] + 0.13),
            ]
        )
        total += 0.07 * tubes(pose, lower, np.linspace(0.014, 0.005, 40)[None])
        total += _tree(anatomy, pose, side, at, random)
    field: Field = np.float32(anatomy.vessels) * total
    return field


def _tree(anatomy: Anatomy, pose: Pose, side: int, at: tuple[float, float], random: np.random.Generator) -> Field:
    """One lung's vessels, generation by generation."""
    fan = np.linspace(-1.35, 1.3, STARTS) + random.uniform(-0.25, 0.25, STARTS)
    begin = np.stack([np.full(STARTS, at[0]), at[1] + 0.035 * np.sin(fan)], axis=1)
    radius = 0.0058 * random.uniform(0.8, 1.2, STARTS) * (1 + 0.25 * np.sin(fan))
    total = np.zeros((pose.side, pose.side), dtype=np.float32)
    # The lung reaches further down than up, and so do its vessels.
    length = (0.052 + 0.02 * np.sin(fan)) * anatomy.width / 0.32 * random.uniform(0.6, 1.3, STARTS)
    for amount in np.linspace(0.07, 0.045, FORKS, dtype=np.float32):
        lines, heading = _segments(begin, fan, length, side, random)
        thin = np.linspace(1.0, 0.8, lines.shape[1])
        total += amount * tubes(pose, lines, radius[:, None] * thin)
        spread = random.uniform(0.2, 0.5, len(fan))
        begin = np.repeat(lines[:, -1], 2, axis=0)
        fan = np.stack([heading - spread, heading + spread * random.uniform(0.4, 1, len(fan))], axis=1).ravel()
        radius = np.repeat(radius, 2) * random.uniform(0.62, 0.82, len(fan))
        length = np.repeat(length, 2) * random.uniform(0.7, 1.05, len(fan))
    return total


def _segments(
    begin: Points, angle: Points, length: Points, side: int, random: np.random.Generator
) -> tuple[Points, Points]:
    """Gently bent lines (k, 8, 2) from `begin`, and the directions in which they end."""
    t = np.linspace(0, 1, 8)
    bend = random.uniform(-0.6, 0.6, len(angle))
    turned = angle[:, None] + bend[:, None] * t
    step = np.stack([side * np.cos(turned), np.sin(turned)], axis=-1) * (length / 7)[:, None, None]
    lines = begin[:, None, :] + np.concatenate([np.zeros_like(step[:, :1]), np.cumsum(step[:, :-1], axis=1)], axis=1)
    return lines, turned[:, -1]
