"""From attenuation to a stored picture: blur, the film's curve, exposure, noise, collimation and a side marker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fxcore.phantom.raster import Field, Pose, ramp, tubes

GLYPHS = {
    "L": [[(0.0, 0.0), (0.0, 1.0)], [(0.0, 1.0), (0.6, 1.0)]],
    "R": [
        [(0.0, 0.0), (0.0, 1.0)],
        [(0.0, 0.0), (0.5, 0.05)],
        [(0.5, 0.05), (0.5, 0.45)],
        [(0.5, 0.45), (0.0, 0.5)],
        [(0.2, 0.5), (0.6, 1.0)],
    ],
}


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the picture is taken; lengths in image widths.

    `centre` and `spread` place the film's curve on the attenuation, `black` and `white` (0 to 1) are its ends, `even`
    is the share of large-scale contrast taken out by the reader's processing, `noise` its standard deviation in the
    middle greys (of 1). `border` is the collimated margin (left, top, right, bottom), `marker` L, R or empty.
    """

    centre: float
    spread: float
    black: float
    white: float
    even: float
    blur: float
    noise: float
    border: tuple[float, float, float, float]
    marker: str
    marker_at: tuple[float, float]
    marker_size: float


def draw_exposure(random: np.random.Generator) -> Exposure:
    """One acquisition: mostly well exposed, some flat or dark, some collimated, most marked."""
    uniform = random.uniform
    flat = random.random() < 0.15
    margin = uniform(0.0, 0.06, 4) * (random.random(4) < 0.5) * (random.random() < 0.35)
    left = random.random() < 0.6
    return Exposure(
        centre=uniform(0.58, 0.72),
        spread=uniform(0.155, 0.215),
        black=uniform(0.1, 0.25) if flat else uniform(0.0, 0.06),
        white=uniform(0.6, 0.8) if flat else uniform(0.88, 1.0),
        even=uniform(0.0, 0.5) if random.random() < 0.4 else 0.0,
        blur=uniform(0.0022, 0.0038),
        noise=uniform(0.006, 0.018),
        border=(float(margin[0]), float(margin[1]), float(margin[2]), float(margin[3])),
        marker=("L" if left else "R") if random.random() < 0.7 else "",
        marker_at=(uniform(0.86, 0.93) if left else uniform(0.05, 0.1), uniform(0.04, 0.2)),
        marker_size=uniform(0.022, 0.04),
    )


def expose(attenuation: Field, exposure: Exposure, random: np.random.Generator) -> NDArray[np.uint8]:
    """The picture of summed attenuations: bright is dense."""
    side = len(attenuation)
    sharp = gaussian_filter(attenuation, exposure.blur * side, mode="nearest", truncate=3.0)
    if exposure.even:
        sharp -= np.float32(exposure.even) * (_coarse(sharp) - np.float32(exposure.centre)) * ramp(sharp, 0.1, 0.5)
    light = 1 / (1 + np.exp((np.float32(exposure.centre) - sharp) / np.float32(exposure.spread)))
    floor = 1 / (1 + np.exp(exposure.centre / exposure.spread))
    light = (light - np.float32(floor)) / np.float32(1 - floor)
    grain = random.standard_normal((side, side), dtype=np.float32)
    grain = np.float32(0.6) * grain + np.float32(1.3) * gaussian_filter(grain, 0.8 * side / 256, truncate=3.0)
    # Fewer quanta arrive behind dense parts; the finer the pixels, the fewer each catches.
    noise = np.float32(exposure.noise * np.sqrt(side / 256)) * (np.float32(0.45) + np.float32(0.75) * light)
    light = np.float32(exposure.black) + np.float32(exposure.white - exposure.black) * light + noise * grain
    light = _marked(light, exposure)
    return np.round(255 * np.clip(_collimated(light, exposure), 0, 1)).astype(np.uint8)


def _coarse(field: Field) -> Field:
    """The field without detail finer than a tenth of the picture."""
    side = len(field)
    block = max(1, side // 64)
    end = side // block * block
    small = field[:end, :end].reshape(end // block, block, end // block, block).mean(axis=(1, 3))
    small = gaussian_filter(small, 0.08 * len(small), mode="nearest", truncate=3.0)
    at = np.clip((np.arange(side) + 0.5) / block - 0.5, 0, len(small) - 1)
    low = np.minimum(at.astype(int), len(small) - 2)
    part = (at - low).astype(np.float32)
    rows = small[low] * (1 - part[:, None]) + small[low + 1] * part[:, None]
    wide: Field = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    return wide


def _marked(light: Field, exposure: Exposure) -> Field:
    """With the lead letter, if any, over everything else."""
    if not exposure.marker:
        return light
    pose = Pose(len(light), 0.0, 1.0, (0.0, 0.0))
    strokes = np.array(GLYPHS[exposure.marker]) * np.array([exposure.marker_size, exposure.marker_size * 1.3])
    strokes += np.array([exposure.marker_at[0] - 0.5, exposure.marker_at[1]])
    ink = np.clip(1.6 * tubes(pose, strokes, np.array(0.12 * exposure.marker_size)), 0, 1)
    field: Field = light + (np.float32(exposure.white) - light) * ink
    return field


def _collimated(light: Field, exposure: Exposure) -> Field:
    """Black outside the collimator's blades."""
    side = len(light)
    left, top, right, bottom = (round(margin * side) for margin in exposure.border)
    if left or top or right or bottom:
        framed = np.full_like(light, exposure.black * 0.5)
        framed[top : side - bottom, left : side - right] = light[top : side - bottom, left : side - right]
        return framed
    return light
