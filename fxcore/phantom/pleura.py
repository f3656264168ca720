"""Findings of the pleura: fluid, air and thickening between lung and chest wall."""

from __future__ import annotations

import numpy as np

from fxcore.phantom.lungs import sides
from fxcore.phantom.raster import Field, Mask, clouds, ramp
from fxcore.phantom.thorax import LUNG, Thorax

CAP = np.float32(0.6)
"""The most air that a pneumothorax is as deep as."""


def _largest(depth: Field, where: Mask) -> Mask:
    """The pixels of `where` with a positive depth, or its deepest one."""
    mask: Mask = (depth > 0) & where
    return mask if mask.any() else (depth >= depth[where].max()) & where


def effusion(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """Fluid that fills the costophrenic angle and climbs the side of the chest in a meniscus, on one or both sides."""
    masks = []
    anatomy = thorax.anatomy
    for side in sides(random, 0.3):
        lung = thorax.lung(side)
        dome = anatomy.domes[0 if side < 0 else 1]
        level = dome + 0.035 - (0.02 + 0.13 * random.random()) * (0.5 + 0.5 * conspicuity)
        climb = random.uniform(0.06, 0.12)
        surface = np.float32(level) - np.float32(climb) * np.exp(-np.maximum(thorax.wall, 0) / np.float32(0.035))
        under = thorax.v - surface
        half = (thorax.u > 0) == (side > 0)
        fluid = ramp(under, -0.012, 0.02) * half * (thorax.wall > 0)
        dense = LUNG * (0.55 + 0.35 * conspicuity)
        thorax.added += np.float32(dense) * fluid * thorax.air
        thorax.vessel *= 1 - fluid
        masks.append(_largest(under, lung))
    return tuple(masks)


def pneumothorax(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """Air along the apex and side of one lung, without vessels, bounded by the thin line of the visceral pleura."""
    side = sides(random, 0.0)[0]
    anatomy = thorax.anatomy
    lung = thorax.lung(side)
    wide = 0.032 + 0.07 * (0.4 + 0.6 * conspicuity) * random.random() + 0.012 * conspicuity
    reach = (thorax.v - np.float32(anatomy.apex)) / np.float32(anatomy.base - anatomy.apex)
    wave = np.float32(0.006) * clouds(random, thorax.pose.side, 0.2)
    gap = np.float32(wide) * (np.float32(0.3) + np.float32(0.7) * ramp(reach, random.uniform(0.7, 1.0), 0.1)) + wave
    beyond = gap - thorax.wall
    air = ramp(beyond, -0.002, 0.004) * lung
    line = np.exp(-((beyond / np.float32(0.0032)) ** 2)) * lung
    thorax.vessel *= 1 - air
    thorax.texture *= 1 - air
    # Free air absorbs nothing where lung did; the collapsing lung beside it is a little denser.
    thorax.added -= (
        np.float32((1 - LUNG) * (0.35 + 0.4 * conspicuity)) * air * np.minimum(thorax.air + np.float32(0.15), CAP)
    )
    thorax.added -= np.float32(0.035 * conspicuity) * air
    thorax.added += np.float32(0.05 + 0.06 * conspicuity) * line
    thorax.added += np.float32(0.035 * conspicuity) * (1 - air) * lung
    return (_largest(beyond, lung),)


def thickening(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """A band of pleura along the side of the chest, or a cap over the apex."""
    masks = []
    anatomy = thorax.anatomy
    for side in sides(random, 0.3):
        lung = thorax.lung(side)
        reach = (thorax.v - np.float32(anatomy.apex)) / np.float32(anatomy.base - anatomy.apex)
        cap = random.random() < 0.4
        start = -0.1 if cap else random.uniform(0.25, 0.5)
        end = random.uniform(0.16, 0.26) if cap else start + random.uniform(0.3, 0.45)
        thick = random.uniform(0.018, 0.03) + 0.012 * conspicuity + 0.012 * cap
        wave = np.float32(0.004) * clouds(random, thorax.pose.side, 0.06)
        edge = np.float32(thick) * ramp(reach, start, start + 0.1) * ramp(reach, end, end - 0.1) + wave
        inside = edge - np.maximum(thorax.wall, 0)
        along = (reach > start) & (reach < end)
        band = ramp(inside, -0.004, 0.006) * lung * along
        thorax.added += np.float32(0.25 * (0.35 + 0.75 * conspicuity)) * band
        masks.append(_largest(inside, lung & along))
    return tuple(masks)
