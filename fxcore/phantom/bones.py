"""The skeleton of the phantom: ribs and clavicles as tubes in space, projected; spine, scapulae and humeri as flat layers."""

from __future__ import annotations

import numpy as np

from fxcore.phantom.anatomy import RIBS, Anatomy
from fxcore.phantom.raster import Field, Mask, Points, Pose, band, blob, curve, polygon, splat, thickness, tubes

FIRST = 0.004
"""Height of the first rib's beginning below the apex."""
FRONT = 0.5 * np.pi
"""Angle along a rib at which it has reached the side of the chest and turns to the front."""


def rib_line(anatomy: Anatomy, side: int, rib: int, phi: Points) -> Points:
    """Points (n, 3) of a rib's centre (u, v, depth) at angles `phi` from the spine (0) over the side (π/2) to the front."""
    start = anatomy.apex + FIRST + rib * anatomy.rib_gap
    drop = anatomy.rib_drop * (0.38 + 0.62 * min(rib / 4, 1.0))
    reach = float(anatomy.chest(np.array(start + 0.42 * drop))) + 0.004
    if rib == 0:
        reach = max(reach, 0.46 * anatomy.width)
    joint = 0.03 + 0.012 * side * anatomy.turn
    u = joint + (reach - joint) * np.sin(phi) ** 0.85
    v = start + drop * (1 - np.cos(phi)) / 2 - 0.008 * np.sin(2 * phi)
    for broken in anatomy.breaks:
        if (broken.side, broken.rib) == (side, rib):
            v = v + broken.step * (phi > broken.at)
    return np.stack([side * u, v, -0.26 * np.cos(phi)], axis=1)


def ribs(anatomy: Anatomy, pose: Pose) -> Field:
    """All ribs as hollow tubes: bright rims, brightest where they run along the beam at the side of the chest."""
    count, around = int(0.85 * pose.side), max(12, pose.side // 32 * 2)
    clouds = [_rib_cloud(anatomy, side, rib, count, around) for side in (-1, 1) for rib in range(RIBS)]
    place = pose.pixels(np.concatenate([at for at, _ in clouds]))
    area = (pose.scale * pose.side) ** 2 * 2 * np.pi / around
    weight = np.concatenate([amount for _, amount in clouds]) * (area * 0.0132 * anatomy.bone)
    return splat(pose.side, place[..., 0], place[..., 1], weight)


def _rib_cloud(anatomy: Anatomy, side: int, rib: int, count: int, around: int) -> tuple[Points, Points]:
    """Points (n, 2) on a rib's surface and in its marrow, projected, and the bone (n,) that each stands for."""
    end = np.pi * (0.80 if rib < 6 else 0.80 - 0.045 * (rib - 5))
    phi = np.linspace(0.02, end, count)
    line = rib_line(anatomy, side, rib, phi)
    along = np.gradient(line, axis=0)
    step = np.sqrt((along**2).sum(axis=1))
    along /= step[:, None]
    tall = np.array([0.0, 1.0, 0.0]) - along[:, 1:2] * along
    tall /= np.sqrt((tall**2).sum(axis=1))[:, None]
    flat = np.cross(along, tall)
    radius = anatomy.rib_radius * (0.8 + 0.2 * min(rib / 3, 1.0))
    # Shafts thin out to the front, where they end in cartilage that the film does not show.
    amount = step * radius * (1 - 0.55 * np.clip(phi - 1.2, 0, 1)) * np.clip((end - phi) / 0.3, 0, 1)
    amount *= (1 - 0.45 * np.sin(phi) ** 6) * (0.65, 0.8, 0.9)[min(rib, 2)]
    for broken in anatomy.breaks:
        if (broken.side, broken.rib) == (side, rib):
            amount = amount * (np.abs(phi - broken.at) > broken.gap / 2)
    places, amounts = [], []
    for ring, share, number in ((1.0, 1.0, around), (0.55, 1.6, around // 2)):
        theta = (np.arange(number) + 0.5) / number * 2 * np.pi
        tilt = (ring * radius * np.cos(theta))[:, None] * tall[:, None, :2]
        places.append(line[:, None, :2] + tilt + (0.45 * ring * radius * np.sin(theta))[:, None] * flat[:, None, :2])
        amounts.append(np.repeat(share * amount, number))
    return np.concatenate([at.reshape(-1, 2) for at in places]), np.concatenate(amounts)


def rib_masks(anatomy: Anatomy, pose: Pose) -> dict[str, Mask]:
    """R1 to R10 and L1 to L10: each rib from the spine around the side, as far as a reader follows it."""
    phi = np.linspace(0.05, FRONT + 0.25, 60)
    return {
        f"{name}{rib + 1}": band(pose, rib_line(anatomy, side, rib, phi)[:, :2], anatomy.rib_radius * 1.02)
        for name, side in (("R", -1), ("L", 1))
        for rib in range(RIBS)
    }


def clavicle_line(anatomy: Anatomy, side: int) -> Points:
    """The clavicle's centre line (1, n, 2), from the sternum to the shoulder."""
    inner, top = 0.032 + 0.012 * side * anatomy.turn, anatomy.apex + 0.105
    lift = 0.045 - 0.7 * anatomy.shoulder
    return curve(
        [
            (side * inner, top),
            (side * (inner + 0.10), top - 0.005),
            (side * (inner + 0.17), top - 1.9 * lift),
            (side * (inner + 0.30), top - 0.9 * lift),
        ],
        60,
    )


def clavicle_radius() -> Points:
    """Half a clavicle's width along its line: thick at the sternum, thin in the middle, flat at the shoulder."""
    t = np.linspace(0, 1, 60)
    return 0.0105 + 0.0075 * np.exp(-t / 0.12) + 0.003 * t


def clavicles(anatomy: Anatomy, pose: Pose) -> Field:
    """Both clavicles with bright rims."""
    lines = np.concatenate([clavicle_line(anatomy, side) for side in (-1, 1)])
    field: Field = (0.26 * anatomy.bone) * tubes(pose, lines, clavicle_radius(), hollow=0.75)
    return field


def clavicle_masks(anatomy: Anatomy, pose: Pose) -> dict[str, Mask]:
    """The clavicles' outlines by organ name."""
    return {
        f"{name} Clavicle": band(pose, clavicle_line(anatomy, side)[0], clavicle_radius())
        for name, side in (("Right", -1), ("Left", 1))
    }


def spine(anatomy: Anatomy, u: Field, v: Field) -> Field:
    """Vertebral bodies with endplates, disks, pedicles and spinous processes, a little curved."""
    near = np.flatnonzero((np.abs(u) < 0.08).any(axis=0))
    part_of = slice(near[0], near[-1] + 1)
    field = np.zeros_like(u)
    field[:, part_of] = _vertebrae(anatomy, u[:, part_of], v[:, part_of])
    return field


def _vertebrae(anatomy: Anatomy, u: Field, v: Field) -> Field:
    x = u - np.float32(anatomy.scoliosis) * (v - np.float32(0.5)) ** 2 - np.float32(0.006 * anatomy.turn)
    phase = (v - np.float32(anatomy.apex + FIRST)) / np.float32(anatomy.rib_gap) + np.float32(0.5)
    part = phase - np.floor(phase)
    waist = np.float32(0.04) - np.float32(0.004) * np.sin(np.float32(np.pi) * part)
    body = np.maximum(1 - (x / waist) ** 4, 0)
    edge = np.minimum(part, 1 - part)
    column = body * (0.075 - 0.05 * np.exp(-((edge / 0.09) ** 2)) + 0.045 * np.exp(-(((edge - 0.14) / 0.05) ** 2)))
    centre = (part - np.float32(0.36)) * np.float32(anatomy.rib_gap)
    pedicle = np.exp(-((((np.abs(x) - 0.023) / 0.007) ** 2 + (centre / 0.011) ** 2) ** 2))
    process = np.exp(-((x / 0.006) ** 2 + ((centre - 0.018) / 0.014) ** 2))
    field: Field = np.float32(anatomy.bone) * (column + np.float32(0.06) * (pedicle + process))
    return field


def shoulders(anatomy: Anatomy, pose: Pose, u: Field, v: Field) -> Field:
    """Scapulae (blade, spine, acromion) and humeri, faint over the lung and clear over the shoulder."""
    top = anatomy.apex + 0.05 + anatomy.shoulder
    total = np.zeros_like(u)
    edges, rims = [], []
    for side in (-1, 1):
        blade = np.concatenate(
            [
                curve([(0.365, top + 0.05), (0.31, top - 0.05), (0.262, top + 0.03)], 12)[0],
                curve([(0.262, top + 0.03), (0.268, top + 0.16), (0.315, top + 0.29)], 12)[0],
                curve([(0.315, top + 0.29), (0.335, top + 0.2), (0.39, top + 0.10)], 12)[0],
            ]
        ) * np.array([side, 1.0])
        blade[:, 0] += side * (anatomy.width - 0.31)
        total += 0.06 * polygon(pose, blade)
        edges.append(blade)
        out = side * (anatomy.width - 0.31)
        head = (side * 0.435 + out, top + 0.055)
        total += np.float32(0.16) * thickness(blob(u, v, head, (0.043, 0.046)))
        elbow = (side * (0.455 + anatomy.arm_spread) + out, 1.05)
        rims.append(curve([head, (head[0] + 0.02 * side, 0.5), elbow], 36)[0])
        rims.append(
            curve([(0.29 * side + out, top + 0.05), (0.35 * side + out, top), (0.43 * side + out, top - 0.02)], 36)[0]
        )
    lines = np.stack([*edges])
    total += 0.055 * tubes(pose, lines, np.array(0.0045)) + 0.15 * tubes(
        pose, np.stack(rims), np.array(0.018), hollow=0.72
    )
    field: Field = np.float32(anatomy.bone) * total
    return field
