"""Findings with a place: nodules, masses, cavities, tuberculosis, calcifications, broken ribs, a hiatal hernia."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from fxcore.phantom.bones import rib_line
from fxcore.phantom.lungs import sides, spot
from fxcore.phantom.raster import Field, Mask, as_field, blob, clouds, ramp, thickness
from fxcore.phantom.thorax import Thorax

RADII = {"nodule": (0.03, 0.05), "mass": (0.06, 0.095), "calcification": (0.008, 0.015), "cavity": (0.035, 0.06)}
"""Radii in image widths before the pose's scale."""


def _either(random: np.random.Generator) -> int:
    return sides(random, 0.0)[0]


def nodule(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """One to three round, soft-edged nodules."""
    masks = []
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        side, radius = _either(random), random.uniform(*RADII["nodule"])
        at = spot(thorax, side, radius, (0.1, 0.95), random)
        oval = random.uniform(0.85, 1.15)
        squared = blob(thorax.u, thorax.v, at, (radius * oval, radius / oval), random.uniform(-1, 1))
        amount = (0.12 + 0.06 * random.random()) * (0.45 + conspicuity)
        thorax.added += np.float32(amount) * ramp(squared, 1.25, 0.35)
        masks.append(_at_least_one(squared, squared <= 1))
    return tuple(masks)


def mass(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """One large, lobulated mass."""
    side, radius = _either(random), random.uniform(*RADII["mass"])
    at = spot(thorax, side, 0.8 * radius, (0.1, 0.95), random)
    squared = _lobed(thorax, at, radius, random)
    amount = (0.19 + 0.08 * random.random()) * (0.35 + 0.8 * conspicuity)
    grain = clouds(random, thorax.pose.side, 0.04)
    thorax.added += np.float32(amount) * ramp(squared, 1.2, 0.3) * (1 + np.float32(0.08) * grain)
    return (_clipped(squared <= 1, thorax, side),)


def _lobed(thorax: Thorax, at: tuple[float, float], radius: float, random: np.random.Generator) -> Field:
    """Squared distance from a centre, 1 on a wavy rim."""
    x, y = thorax.u - np.float32(at[0]), thorax.v - np.float32(at[1])
    angle = np.arctan2(y, x)
    rim = np.ones_like(x)
    for lobes, height in ((2, 0.12), (3, 0.10), (5, 0.06)):
        rim += np.float32(height * random.uniform(0.3, 1)) * np.cos(lobes * angle + np.float32(random.uniform(0, 6.3)))
    return as_field((x**2 + y**2) / (np.float32(radius) * rim) ** 2)


def _clipped(mask: Mask, thorax: Thorax, side: int) -> Mask:
    """Within the chest of that side: the lung and the heart and mediastinum before it, not beyond the pleura."""
    inside: Mask = mask & (thorax.wall > 0) & ((thorax.u > 0) == (side > 0))
    return inside if inside.any() else mask & thorax.lung(side)


def _at_least_one(squared: Field, mask: Mask) -> Mask:
    """The mask, or its centre's pixel where it is finer than one."""
    return mask if mask.any() else squared == squared.min()


def _ring(thorax: Thorax, at: tuple[float, float], radius: float, amount: float, random: np.random.Generator) -> Mask:
    """A cavity: a wall of uneven thickness around air."""
    squared = _lobed(thorax, at, radius, random)
    distance = np.sqrt(squared)
    wall = np.exp(-(((distance - np.float32(0.8)) / np.float32(0.2)) ** 2))
    hole = ramp(distance, 0.75, 0.45)
    thorax.added += np.float32(amount) * wall - np.float32(0.35 * amount) * hole
    mask: Mask = squared <= 1
    return mask


def cavity(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """One cavity, mostly in an upper lobe."""
    side, radius = _either(random), random.uniform(*RADII["cavity"])
    at = spot(thorax, side, radius, (0.1, 0.6), random)
    mask = _ring(thorax, at, radius, (0.15 + 0.06 * random.random()) * (0.35 + 0.8 * conspicuity), random)
    return (_clipped(mask, thorax, side),)


def tuberculosis(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """An apical infiltrate with, mostly, a cavity in it and small nodules around it, in one or both apices."""
    masks = []
    for side in sides(random, 0.35):
        lung = thorax.lung(side)
        at = spot(thorax, side, 0.045, (0.08, 0.26), random)
        strength = 0.35 + 0.8 * conspicuity
        grain = clouds(random, thorax.pose.side, 0.045) + 0.8 * clouds(random, thorax.pose.side, 0.018)
        squared = blob(thorax.u, thorax.v, at, (0.085, 0.085))
        field = np.exp(-0.9 * squared) * np.clip(0.75 + 0.35 * grain, 0, 1.6)
        thorax.added += np.float32(0.17 * strength) * field * lung
        mask = (gaussian_filter(field, 0.012 * thorax.pose.side) > 0.3) & lung
        if random.random() < 0.75:
            place = (at[0] + random.uniform(-0.02, 0.02), at[1] + random.uniform(-0.01, 0.03))
            mask |= _ring(thorax, place, random.uniform(0.026, 0.042), 0.14 * strength, random) & lung
        for _ in range(int(random.integers(5, 10))):
            near = (at[0] + random.normal(0, 0.05), at[1] + abs(random.normal(0, 0.07)))
            seed = blob(thorax.u, thorax.v, near, (0.010, 0.010))
            thorax.added += np.float32(0.11 * strength) * np.exp(-seed) * lung
            mask |= (seed <= 1) & lung
        masks.append(mask)
    return tuple(masks)


def calcification(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """One to four small, very dense, sharp spots."""
    masks = []
    for _ in range(int(random.integers(1, 5))):
        side, radius = _either(random), random.uniform(*RADII["calcification"])
        at = spot(thorax, side, 2 * radius, (0.08, 0.7), random)
        squared = blob(thorax.u, thorax.v, at, (radius * random.uniform(0.8, 1.25), radius), random.uniform(-1, 1))
        thorax.added += np.float32(0.45 * (0.3 + 0.8 * conspicuity)) * thickness(squared / np.float32(1.2))
        masks.append(_at_least_one(squared, squared <= 1.2))
    return tuple(masks)


def fracture(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """The surroundings of each break that the anatomy has, with a little callus."""
    masks = []
    for broken in thorax.anatomy.breaks:
        phi = np.array([broken.at - 0.01, broken.at + 0.01])
        u, v = rib_line(thorax.anatomy, broken.side, broken.rib, phi)[:, :2].mean(axis=0)
        squared = blob(thorax.u, thorax.v, (u, v), (0.032, 0.032))
        callus = np.exp(-squared * np.float32(5)) * np.float32((0.14 + 0.10 * random.random()) * conspicuity)
        thorax.added += callus
        masks.append(_at_least_one(squared, squared <= 1))
    return tuple(masks)


def hernia(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """A round density behind the heart, gas above a level in it."""
    radius = random.uniform(0.06, 0.085)
    at = (random.uniform(-0.01, 0.045), thorax.anatomy.domes[1] - random.uniform(0.5, 0.8) * radius)
    squared = blob(thorax.u, thorax.v, at, (radius * 1.1, radius), random.uniform(-0.2, 0.2))
    distance = np.sqrt(squared)
    level = at[1] - random.uniform(0.0, 0.35) * radius
    strength = 0.4 + 0.7 * conspicuity
    wall = np.exp(-(((distance - np.float32(0.93)) / np.float32(0.09)) ** 2))
    inside = thickness(squared) ** 0.5
    above = ramp(thorax.v, level + 0.004, level - 0.004)
    thorax.added += np.float32(strength) * (
        np.float32(0.12) * wall + inside * (np.float32(0.16) * (1 - above) - np.float32(0.26) * above)
    )
    return (squared <= 1,)
