"""Devices on and in the patient: ECG electrodes and wires, a central line, a tracheal tube, a pacemaker."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fxcore.phantom.raster import Field, Mask, blob, curve, ramp, tubes
from fxcore.phantom.thorax import Thorax

Device = Callable[[Thorax, np.random.Generator, float], tuple[Mask, ...]]


def _laid(thorax: Thorax, field: Field, amount: float) -> Mask:
    """Add metal or plastic and say where it lies."""
    thorax.added += np.float32(amount) * np.minimum(field, 1.5)
    mask: Mask = field > 0.2
    return mask


def leads(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """Two to four electrodes, each with its wire hanging off the picture."""
    places = [(-0.2, 0.26), (0.22, 0.25), (0.25, 0.58), (-0.23, 0.6)]
    masks = []
    for number in random.permutation(4)[: int(random.integers(2, 5))]:
        u, v = (value + random.uniform(-0.03, 0.03) for value in places[number])
        disc = ramp(blob(thorax.u, thorax.v, (u, v), (0.013, 0.013)), 1.2, 0.7)
        ends = (random.uniform(0.0, 0.25) * np.sign(u), 1.1), (u + random.uniform(-0.2, 0.2), random.uniform(0.5, 0.9))
        wire = tubes(thorax.pose, curve([(u, v), ends[1], ends[0]]), np.array(0.0024))
        masks.append(_laid(thorax, np.maximum(disc, wire), 0.16 * (0.4 + conspicuity)))
    return tuple(masks)


def central_line(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """A catheter from the right side of the neck or below the right clavicle to the superior vena cava."""
    anatomy = thorax.anatomy
    tip = (-anatomy.mediastinum + 0.012, anatomy.apex + random.uniform(0.2, 0.3))
    if random.random() < 0.5:
        line = curve([(-0.09, anatomy.apex - 0.12), (-0.07, anatomy.apex + 0.02), (-0.035, anatomy.apex + 0.09), tip])
    else:
        start = anatomy.apex + 0.12
        line = curve([(-0.24, start + 0.04), (-0.15, start - 0.05), (-0.03, start - 0.02), tip])
    return (_laid(thorax, tubes(thorax.pose, line, np.array(0.004)), 0.22 * (0.4 + conspicuity)),)


def tracheal_tube(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """A tube in the trachea that ends above the carina."""
    anatomy = thorax.anatomy
    end = anatomy.apex + 0.205 - random.uniform(0.03, 0.09)
    shift = 0.006 * anatomy.turn - 0.004
    line = curve([(shift + 0.012, anatomy.apex - 0.25), (shift, anatomy.apex), (shift, end)])
    field = tubes(thorax.pose, line, np.array(0.0095), hollow=0.7)
    return (_laid(thorax, field, 0.40 * (0.4 + conspicuity)),)


def pacemaker(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """A generator below the left clavicle with one lead to the right ventricle."""
    anatomy = thorax.anatomy
    at = (anatomy.width * random.uniform(0.75, 0.95), anatomy.apex + random.uniform(0.15, 0.2))
    box = ramp(blob(thorax.u, thorax.v, at, (0.05, 0.042), random.uniform(-0.5, 0.5)) ** 2, 1.1, 0.8)
    heart = (random.uniform(0.03, 0.09), anatomy.domes[1] - random.uniform(0.02, 0.05))
    cava = (-1.4 * anatomy.mediastinum, anatomy.apex + 0.22)
    lead = curve([at, (0.12, anatomy.apex + 0.04), (-0.03, anatomy.apex - 0.02), cava, (-0.09, heart[1] - 0.02), heart])
    wire = tubes(thorax.pose, lead, np.array(0.0032))
    return (_laid(thorax, np.maximum(1.4 * box, wire), 0.30 * (0.5 + conspicuity)),)


KINDS: tuple[Device, ...] = (leads, central_line, tracheal_tube, pacemaker)


def devices(thorax: Thorax, random: np.random.Generator, conspicuity: float) -> tuple[Mask, ...]:
    """One or several of the kinds; each electrode, line, tube and generator is an instance."""
    chosen = random.permutation(len(KINDS))[: int(random.choice([1, 1, 2, 3]))]
    return tuple(mask for kind in sorted(chosen) for mask in KINDS[kind](thorax, random, conspicuity) if mask.any())
