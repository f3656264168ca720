"""Findings spread through the lungs: infiltrates, consolidation, collapse, edema, fibrosis, miliary nodules."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from fxcore.phantom.raster import Field, Mask, blob, clouds, curve, ramp, tubes
from fxcore.phantom.thorax import Thorax, dome


def sides(random: np.random.Generator, both: float) -> tuple[int, ...]:
    """The lungs affected: both with a probability, otherwise either; -1 is the patient's right."""
    first = -1 if random.random() < 0.5 else 1
    return (first, -first) if random.random() < both else (first,)


def spot(
    thorax: Thorax, side: int, radius: float, zone: tuple[float, float], random: np.random.Generator
) -> tuple[float, float]:
    """A place in a lung, `radius` image widths from its border where there is room, within a zone of its height.

    Args:
        thorax: the patient.
        side: -1 for the patient's right lung, 1 for the left.
        radius: of what is to be drawn there.
        zone: from 0, the lung's top, to 1, its base.
        random: where to draw the place from.
    """
    lung = thorax.lung(side)
    rows, columns = np.nonzero(lung)
    u, v = thorax.u[rows, columns], thorax.v[rows, columns]
    top, low = float(v.min()), float(v.max())
    within = (v >= top + zone[0] * (low - top)) & (v <= top + zone[1] * (low - top))
    for room in (radius, 0.6 * radius, 0.3 * radius, 0.0):
        clear = thorax.wall[rows, columns] >= room
        clear &= dome(thorax.anatomy, u) - v >= 0.8 * room
        offset = round(thorax.pose.length(room))
        inner = np.clip(columns - side * offset, 0, thorax.pose.side - 1)
        clear &= lung[rows, inner]
        if (chosen := np.flatnonzero(clear & within)).size:
            break
    else:
        chosen = np.arange(len(u))
    at = chosen[int(random.integers(len(chosen)))]
    return float(u[at]), float(v[at])


def haze(thorax: Thorax, field: Field, amount: float, where: Mask) -> Mask:
    """Add `field` (about 0 to 1) to the lungs, as dense as there is air to replace; what of it a reader sees."""
    air = np.clip(thorax.air / np.float32(0.25), 0, 1)
    thorax.added += np.float32(amount) * field * air
    mask: Mask = (gaussian_filter(field, 0.012 * thorax.pose.side, truncate=3.0) > 0.3) & where
    return mask if mask.any() else (field >= field[where].max()) & where


def opacity(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """One or two patchy, soft infiltrates."""
    masks = []
    for side in sides(random, 0.4):
        size = random.uniform(0.06, 0.10)
        at = spot(thorax, side, 0.7 * size, (0.15, 0.95), random)
        squared = blob(thorax.u, thorax.v, at, (size, size * random.uniform(0.8, 1.4)), random.uniform(-0.8, 0.8))
        grain = clouds(random, thorax.pose.side, 0.06) + 0.7 * clouds(random, thorax.pose.side, 0.02)
        field = np.exp(-0.8 * squared) * np.clip(0.8 + 0.30 * grain, 0.1, 1.5)
        masks.append(haze(thorax, field, (0.14 + 0.07 * random.random()) * (0.4 + conspicuity), thorax.lung(side)))
    return tuple(masks)


def consolidation(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """A dense part of a lobe, bounded by a fissure on one side, with air-filled bronchi in it."""
    side = sides(random, 0.0)[0]
    lower = random.random() < 0.7
    top = thorax.anatomy.apex
    fissure = random.uniform(0.4, 0.6) * (thorax.anatomy.base - top) + top
    slope = side * random.uniform(-0.25, 0.35)
    tilted = thorax.v - slope * (thorax.u - np.float32(side * 0.17))
    grain = clouds(random, thorax.pose.side, 0.07)
    wobble = np.float32(0.012) * grain
    sharp = ramp(tilted + wobble, fissure, fissure + (0.025 if lower else -0.025))
    reach = random.uniform(0.11, 0.18)
    centre = (side * random.uniform(0.14, 0.22), fissure + (0.6 if lower else -0.6) * reach)
    soft = ramp(blob(thorax.u, thorax.v, centre, (0.13, reach)) + np.float32(0.25) * grain, 1.5, 0.6)
    lung = thorax.lung(side)
    field = sharp * soft * (np.float32(0.9) + np.float32(0.1) * clouds(random, thorax.pose.side, 0.025))
    mask = haze(thorax, field, (0.24 + 0.08 * random.random()) * (0.35 + 0.75 * conspicuity), lung)
    root = thorax.anatomy.hilum(side)
    lines = np.concatenate(
        [
            curve(
                [
                    root,
                    (0.6 * root[0] + 0.4 * centre[0] + a, 0.5 * (root[1] + centre[1])),
                    (centre[0] + 2 * a, centre[1] + b),
                ],
                24,
            )
            for a, b in random.uniform(-0.04, 0.04, (4, 2))
        ]
    )
    bronchi = tubes(thorax.pose, lines, np.linspace(0.007, 0.003, 24)[None])
    thorax.added -= np.float32(0.07 * conspicuity) * np.minimum(bronchi, 1.5) * field
    return (mask,)


def atelectasis(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """One to three flat bands at a base, or a wedge of collapsed lung beside the heart."""
    side = sides(random, 0.0)[0]
    lung = thorax.lung(side)
    strength = 0.45 + 0.6 * conspicuity
    if random.random() < 0.3:
        inner = np.abs(thorax.u) - np.float32(0.10 + 0.05 * (side > 0))
        height = dome(thorax.anatomy, thorax.u) - thorax.v
        edge = np.float32(0.15) - np.float32(1.5) * inner
        field = ramp(height, 0.0, -0.02) + ramp(height - np.minimum(edge, 0.1), 0.02, -0.03) * (height >= 0)
        return (haze(thorax, np.minimum(field, 1) * lung, 0.26 * strength, lung),)
    masks = []
    low = spot(thorax, side, 0.08, (0.72, 0.88), random)
    for number in range(int(random.integers(1, 4))):
        u, v = low[0] + random.uniform(-0.03, 0.03), low[1] - 0.045 * number + random.uniform(-0.008, 0.008)
        half, rise = random.uniform(0.055, 0.085), random.uniform(-0.03, 0.03)
        line = curve([(u - half, v + rise), (u, v - 0.01), (u + half, v - rise)], 40)
        thin = random.uniform(0.0075, 0.012) * np.sin(np.linspace(0.3, np.pi - 0.3, 40)) ** 0.5
        field = tubes(thorax.pose, line, thin[None])
        mask = (field > 0.25) & lung
        if number == 0 or mask.sum() > 0.5 * (field > 0.25).sum():
            thorax.added += np.float32(0.16 * strength) * field * lung
            masks.append(mask)
    return tuple(mask for mask in masks if mask.any()) or (lung & (blob(thorax.u, thorax.v, low, (0.05, 0.01)) < 1),)


def edema(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """Haze around both hila, more below, and short horizontal septal lines at the sides of the bases."""
    masks = []
    anatomy = thorax.anatomy
    grain = clouds(random, thorax.pose.side, 0.05) + 0.6 * clouds(random, thorax.pose.side, 0.018)
    for side in (-1, 1):
        at = anatomy.hilum(side)
        squared = blob(thorax.u, thorax.v, (at[0] + 0.03 * side, at[1] + 0.05), (0.13, 0.20), -0.2 * side)
        field = np.exp(-squared) * np.clip(0.9 + 0.25 * grain, 0.2, 1.5) * ((thorax.u > 0) == (side > 0))
        masks.append(haze(thorax, field, 0.25 * (0.3 + conspicuity), thorax.lung(side)))
        v = anatomy.base - 0.09 - 0.014 * np.arange(6) + random.uniform(-0.003, 0.003, 6)
        edge = anatomy.chest(v) - 0.004
        lines = np.stack([np.stack([side * edge, v], -1), np.stack([side * (edge - 0.03), v - 0.003], -1)], axis=1)
        septa = tubes(thorax.pose, lines, np.array(0.0016))
        thorax.added += np.float32(0.10 * conspicuity) * septa * thorax.lung(side)
    return tuple(masks)


def fibrosis(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """A net of lines at the periphery and the bases of both lungs."""
    fine = clouds(random, thorax.pose.side, 0.02)
    coarse = clouds(random, thorax.pose.side, 0.03)
    net = np.exp(-((fine / np.float32(0.22)) ** 2)) + np.float32(0.8) * np.exp(-((coarse / np.float32(0.2)) ** 2))
    height = dome(thorax.anatomy, thorax.u) - thorax.v
    extent = random.uniform(0.8, 1.3)
    low = np.exp(-np.maximum(height, 0) / np.float32(0.11 * extent))
    outer = np.exp(-np.maximum(thorax.wall, 0) / np.float32(0.05 * extent))
    field = np.minimum(low + np.float32(0.8) * outer, 1)
    air = np.clip(thorax.air / np.float32(0.2), 0, 1)
    thorax.added += np.float32(0.12 * (0.3 + conspicuity)) * (net + np.float32(0.35)) * field * air * thorax.lungs
    return tuple((field > 0.55) & thorax.lung(side) for side in (-1, 1))


def diffuse_nodules(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """Some 250 to 400 small nodules, 0.005 to 0.009 image widths in radius, all over both lungs."""
    count = int(random.integers(250, 400))
    half = thorax.anatomy.width
    u = random.uniform(-half, half, count)
    v = random.uniform(thorax.anatomy.apex, thorax.anatomy.base, count)
    radius = random.uniform(0.005, 0.009, count)
    ends = np.stack([np.stack([u - 0.35 * radius, v], -1), np.stack([u + 0.35 * radius, v], -1)], axis=1)
    grains = tubes(thorax.pose, ends, radius[:, None])
    thorax.added += np.float32(0.12 * (0.35 + conspicuity)) * np.minimum(grains, 1.6) * thorax.lungs
    return tuple(thorax.lung(side) for side in (-1, 1))
