"""The soft tissue of the phantom: body, air in the lungs, heart, mediastinum, diaphragm; path lengths along the beam.

Path lengths are relative to a trunk of average depth. The air is what the rib cage's volume leaves after heart,
mediastinum and diaphragm, so that borders and overlaps follow from the shapes as in a projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fxcore.phantom import bones
from fxcore.phantom.anatomy import Anatomy
from fxcore.phantom.raster import (
    Field,
    Mask,
    Pose,
    as_field,
    blob,
    clouds,
    curve,
    ramp,
    stream,
    thickness,
    tubes,
)
from fxcore.phantom.vessels import vessels

CAGE = 0.72
"""Depth of the rib cage inside a trunk of depth 1."""
LUNG = 0.76
"""Attenuation missing per depth of air: lung tissue still absorbs the rest."""


@dataclass(slots=True)
class Thorax:
    """One patient's layers, (side, side) each; findings change them in place.

    `depth` is the soft tissue as if the lungs were full of water, `air` the air within, `wall` the distance from the
    pleura at the side and the apex in image widths, `added` what findings add or take away.
    """

    pose: Pose
    anatomy: Anatomy
    u: Field
    v: Field
    depth: Field
    air: Field
    wall: Field
    bone: Field
    vessel: Field
    texture: Field
    added: Field
    organs: dict[str, Mask]

    def lung(self, side: int) -> Mask:
        """The lung of a side: -1 is the patient's right."""
        return self.organs["Right Lung" if side < 0 else "Left Lung"]

    @property
    def lungs(self) -> Mask:
        """Both lungs."""
        return self.organs["Right Lung"] | self.organs["Left Lung"]

    def attenuation(self) -> Field:
        """The sum of all layers along the beam."""
        soft = np.clip(self.air / np.float32(0.12), 0, 1)
        field = as_field(self.depth - np.float32(LUNG) * self.air + self.bone + soft * (self.vessel + self.texture))
        return field + self.added


def dome(anatomy: Anatomy, u: Field) -> Field:
    """The height of the diaphragm's upper border at each u, per side: a dome falling to the costophrenic angle."""
    x = np.abs(u)
    right, left = anatomy.domes
    top = np.where(u < 0, np.float32(right), np.float32(left))
    crest = np.float32(0.47 * anatomy.width)
    out = np.maximum(x - crest, 0) / np.float32(anatomy.width - crest)
    into = np.maximum(crest - x, 0) / crest
    return as_field(top + np.float32(anatomy.sulcus) * out**2.3 + np.float32(0.035) * into**2)


def heart_field(anatomy: Anatomy, u: Field, v: Field) -> Field:
    """The squared distance from the heart's middle, 1 on its outline: left ventricle, right atrium and outflow tract.

    The outline's width over 2 `anatomy.width` is `anatomy.ratio`: its left border at 0.68 and its right at 0.32 of it.
    """
    total = anatomy.ratio * 2 * anatomy.width
    shift = 0.006 * anatomy.turn
    tilt = anatomy.heart_tilt
    # An enlarged heart widens more than it rises.
    flat = min(1.0, 0.47 / anatomy.ratio) ** 0.7
    size = 0.43 * total * (1 + 0.1 * (anatomy.heart_height - 1))
    long, short = 1.2 * size, 0.84 * size * flat
    reach = float(np.hypot(long * np.cos(tilt), short * np.sin(tilt)))
    floor = anatomy.domes[1] + 0.012
    deep = float(np.hypot(long * np.sin(tilt), short * np.cos(tilt)))
    ventricle = blob(u, v, (0.68 * total - reach + shift, floor - 0.80 * deep), (long, short), tilt)
    wide, tall = 0.27 * total, 0.36 * total * anatomy.heart_height * flat
    atrium = blob(u, v, (-0.32 * total + wide + shift, floor - 0.02 - 0.72 * tall), (wide, tall), 0.0)
    tract = blob(u, v, (0.16 * total + shift, floor - 1.4 * deep), (0.25 * total, 0.45 * total * flat), -0.5)
    return _joined([ventricle, atrium, tract], 0.22)


def _joined(parts: list[Field], softness: float) -> Field:
    """The union of shapes given as squared distances, with its creases filled."""
    soft = np.float32(softness)
    total = sum((np.exp(-np.minimum(part, 9) / soft) for part in parts), np.zeros_like(parts[0]))
    return as_field(-soft * np.log(total + np.float32(1e-12)))


def mediastinum_field(anatomy: Anatomy, u: Field, v: Field) -> Field:
    """The squared distance from the middle of the mediastinum: great vessels, aortic knob, pulmonary trunk."""
    half, apex = anatomy.mediastinum, anatomy.apex
    shift = 0.008 * anatomy.turn
    flare = np.float32(half) + np.float32(0.03) * ramp(v, apex + 0.12, apex - 0.04)
    below = np.float32(0.008) * ramp(v, 0.3, 0.6)
    centre = np.float32(shift - 0.004)
    cord = as_field(((u - centre) / (flare - below)) ** 2)
    knob_v = apex + 0.165
    knob = blob(u, v, (half - 0.35 * anatomy.knob + shift, knob_v), (1.15 * anatomy.knob, anatomy.knob * 1.25))
    low = anatomy.domes[1] - 0.62 * min(anatomy.ratio, 0.5) * 2 * anatomy.width
    tall = max(0.06, 0.8 * (low - knob_v))
    trunk = blob(u, v, (half - 0.018 + shift, 0.5 * (knob_v + low) + 0.01), (0.032, tall), -0.15)
    cava = blob(u, v, (-half + 0.012 + shift, knob_v + 0.03), (0.024, 0.12), 0.06)
    return _joined([cord, knob, trunk, cava], 0.25)


def body_field(anatomy: Anatomy, u: Field, v: Field) -> Field:
    """The body as if it were all water: trunk, neck, shoulders, arms and breasts."""
    x = np.abs(u)
    neck, width = anatomy.neck, anatomy.width
    out = np.maximum(x - np.float32(neck), 0)
    upper = np.float32(anatomy.apex - 0.115) + np.float32(0.28 + anatomy.shoulder) * out**0.9
    under = np.sqrt(np.clip((v - upper) / np.float32(0.13), 0, 1))
    half = width + anatomy.wall + np.float32(0.10) * np.exp(-np.maximum(v - 0.28, 0) / np.float32(0.09))
    trunk = np.maximum(1 - (x / half) ** 3, 0) ** 0.45 * np.float32(anatomy.depth) * under
    yoke = np.float32(0.72) * under * ramp(x, width + 0.19, width + 0.06) ** 0.5 * ramp(v, 0.5, 0.3)
    column = np.float32(0.62) * np.sqrt(np.maximum(1 - (x / np.float32(neck)) ** 2, 0)) * ramp(v, 0.3, 0.1)
    start = width + 0.115
    lean = np.float32(anatomy.arm_spread)
    arm_u = np.float32(start) + lean * np.maximum(v - np.float32(0.25), 0)
    cap = np.maximum(np.float32(anatomy.apex + 0.15 + anatomy.shoulder) - v, 0)
    girth = np.float32(0.075 + 0.35 * anatomy.wall)
    arm = np.float32(0.62) * thickness(((x - arm_u) ** 2 + cap**2) / girth**2)
    body = np.maximum(np.maximum(trunk, yoke), np.maximum(column, arm))
    if anatomy.breasts:
        size = 0.13 + 0.05 * anatomy.breasts
        at = (width * 0.68, anatomy.domes[0] - 0.05 + 0.05 * anatomy.breasts)
        breast = thickness(blob(x, v, at, (size, size * 0.95))) * ramp(v, at[1] - size, at[1] + 0.4 * size)
        body = body + np.float32(0.24 * anatomy.breasts) * breast
    return body


def air_field(anatomy: Anatomy, u: Field, v: Field, solid: Field) -> tuple[Field, Field, Mask]:
    """The depth of air, the distance from the pleura, and the chest's inside above the diaphragm."""
    x = np.abs(u)
    chest = anatomy.chest(v).astype(np.float32)
    top = np.float32(anatomy.apex) + np.float32(9.0) * np.maximum(np.float32(0.36 * anatomy.width) - x, 0) ** 2
    under = v - top
    inside = (x < chest) & (under > 0)
    cage = np.maximum(1 - (x / np.maximum(chest, np.float32(1e-3))) ** 2.4, 0) ** 0.5
    cage = np.float32(CAGE) * cage * np.clip(under / np.float32(0.16), 0, 1) ** 0.4
    line = dome(anatomy, u)
    sunk = np.clip((v - line) / np.float32(0.16), 0, 1)
    above = 1 - np.where(v > line, 0.74 + 0.26 * np.sqrt(sunk), 0).astype(np.float32)
    air = np.maximum(cage * above - solid, 0) * inside * np.float32(anatomy.inflation)
    distance = np.minimum(chest - x, np.float32(0.75) * under)
    return air, distance, inside & (v < line)


def airway(anatomy: Anatomy, pose: Pose) -> Field:
    """The trachea and main bronchi as columns of air, the trachea leaning a little to the right at the aortic knob."""
    fork = anatomy.apex + 0.205
    shift = 0.006 * anatomy.turn
    lean = -0.007 + shift
    trachea = curve([(shift, -0.05), (shift, fork - 0.12), (lean, fork)], 30)
    right = curve([(lean, fork - 0.004), (-0.03, fork + 0.025), (-0.06, fork + 0.075)], 30)
    left = curve([(lean, fork - 0.004), (0.03, fork + 0.022), (0.085, fork + 0.06)], 30)
    bronchi = tubes(pose, np.concatenate([right, left]), np.linspace(0.012, 0.008, 30)[None])
    field: Field = np.float32(0.17) * tubes(pose, trachea, np.array(0.0165)) + np.float32(0.09) * bronchi
    return field


def gas(anatomy: Anatomy, u: Field, v: Field, random: np.random.Generator) -> Field:
    """Gas under the left hemidiaphragm (the stomach) and in a few loops of bowel below."""
    size = anatomy.gastric
    total = np.zeros_like(u)
    if size:
        at = (anatomy.width * random.uniform(0.42, 0.62), anatomy.domes[1] + 0.03 + 0.6 * size)
        squared = blob(u, v, at, (1.5 * size, size), random.uniform(-0.2, 0.2))
        total += np.float32(0.16) * np.sqrt(thickness(squared)) * ramp(v, at[1] + 0.5 * size, at[1] + 0.3 * size)
    for _ in range(int(random.integers(0, 4))):
        place = (random.uniform(0.0, 0.28), anatomy.domes[1] + random.uniform(0.13, 0.25))
        radii = (random.uniform(0.02, 0.045), random.uniform(0.015, 0.03))
        total += np.float32(0.12) * thickness(blob(u, v, place, radii, random.uniform(-1, 1)))
    return total


def build(anatomy: Anatomy, pose: Pose, root: int) -> Thorax:
    """Every layer and organ mask of a patient; `root` seeds what is random within (vessels, texture, bowel gas)."""
    u, v = pose.grid()
    heart = heart_field(anatomy, u, v)
    middle = mediastinum_field(anatomy, u, v)
    # One shape, so that no border shows where the heart meets the great vessels.
    solid = np.float32(0.9 * CAGE) * thickness(_joined([heart, middle], 0.15))
    heart_mask, middle_mask = heart <= 1, middle <= 1
    air, wall, inside = air_field(anatomy, u, v, solid)
    body = body_field(anatomy, u, v)
    below = ramp(v - dome(anatomy, u), -0.01, 0.06) * ramp(np.abs(u), anatomy.width + 0.02, 0.8 * anatomy.width)
    random = stream(root, "texture")
    mottle = clouds(random, pose.side, 0.012) + clouds(random, pose.side, 0.03)
    fat = clouds(random, pose.side, 0.11)
    depth = body * (1 + np.float32(0.10) * below + np.float32(0.025) * fat)
    depth += np.float32(0.05) * np.maximum(1 - heart, 0)
    depth -= airway(anatomy, pose) + gas(anatomy, u, v, stream(root, "gas")) * below
    bone = bones.ribs(anatomy, pose) + bones.clavicles(anatomy, pose)
    bone += bones.spine(anatomy, u, v) + bones.shoulders(anatomy, pose, u, v)
    field = inside & ~heart_mask & ~middle_mask
    organs = {
        "Right Lung": field & (u < 0),
        "Left Lung": field & (u > 0),
        "Heart": heart_mask,
        **bones.clavicle_masks(anatomy, pose),
        **bones.rib_masks(anatomy, pose),
    }
    return Thorax(
        pose=pose,
        anatomy=anatomy,
        u=u,
        v=v,
        depth=depth,
        air=air,
        wall=wall,
        bone=bone,
        vessel=vessels(anatomy, pose, u, v, stream(root, "vessels")),
        texture=np.float32(0.008) * mottle,
        added=np.zeros_like(u),
        organs=organs,
    )
