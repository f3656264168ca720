"""Drawing tools of the phantom: a posed pixel grid, tubes projected by splatting, filled polygons and smooth random fields.

Lengths are in image widths. Thorax coordinates are u (0 at the midline, towards the patient's left, which is the right
of the picture) and v (down, about 0 to 1); a `Pose` places them on the pixels.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import map_coordinates

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Layer = TypeVar("Layer", Field, Mask)


def stream(root: int, name: str) -> np.random.Generator:
    """The generator of one named part of a picture: the same whatever else is drawn."""
    return np.random.Generator(np.random.PCG64([root, zlib.crc32(name.encode())]))


@dataclass(frozen=True, slots=True)
class Pose:
    """How the patient stands before the detector: `side` pixels, rotation in radians, scale and shift in image widths."""

    side: int
    angle: float
    scale: float
    shift: tuple[float, float]

    def pixels(self, points: Points) -> Points:
        """Thorax coordinates (..., 2) as pixel coordinates (..., 2), column first."""
        u, v = points[..., 0], points[..., 1] - 0.5
        cos, sin = self.scale * np.cos(self.angle), self.scale * np.sin(self.angle)
        x = 0.5 + self.shift[0] + cos * u - sin * v
        y = 0.5 + self.shift[1] + sin * u + cos * v
        return np.stack([x, y], axis=-1) * self.side - 0.5

    def grid(self) -> tuple[Field, Field]:
        """The thorax coordinates u and v of every pixel's centre, (side, side) each."""
        line = (np.arange(self.side) + 0.5) / self.side - 0.5
        x, y = line[None, :] - self.shift[0], line[:, None] - self.shift[1]
        cos, sin = np.cos(self.angle) / self.scale, np.sin(self.angle) / self.scale
        return (cos * x + sin * y).astype(np.float32), (0.5 - sin * x + cos * y).astype(np.float32)

    def length(self, value: float) -> float:
        """A length of the thorax in pixels."""
        return value * self.scale * self.side


def moved(layer: Layer, pose: Pose) -> Layer:
    """A layer or mask (side, side) as seen when `pose` moves the picture; beyond its edges a layer goes on and a mask ends."""
    u, v = pose.grid()
    places = np.stack([v, u + np.float32(0.5)]) * np.float32(pose.side) - np.float32(0.5)
    solid = layer.dtype == np.bool_
    made: Layer = map_coordinates(layer, places, order=0 if solid else 1, mode="constant" if solid else "nearest")
    return made


def as_field(values: NDArray[Any]) -> Field:
    """Values as a layer: single precision."""
    return values.astype(np.float32, copy=False)


def splat(side: int, x: Points, y: Points, weight: Points) -> Field:
    """Spread each weighted point over its four nearest pixels; what falls outside is dropped."""
    x, y, weight = x.ravel(), y.ravel(), weight.ravel()
    inside = (x > 0) & (y > 0) & (x < side - 1) & (y < side - 1)
    x, y, weight = x[inside], y[inside], weight[inside]
    column, row = x.astype(np.intp), y.astype(np.intp)
    right, down = x - column, y - row
    below, above = weight * down, weight * (1 - down)
    first = row * side + column
    index = np.concatenate([first, first + 1, first + side, first + side + 1])
    shares = np.concatenate([above * (1 - right), above * right, below * (1 - right), below * right])
    return np.bincount(index, shares, side * side).reshape(side, side).astype(np.float32)


def tubes(pose: Pose, lines: Points, radius: Points, *, hollow: float = 0.0) -> Field:
    """The path length through round tubes, 1 at the middle of a tube wider than a pixel.

    Args:
        pose: where the thorax lies.
        lines: polylines (k, n, 2) in thorax coordinates.
        radius: (k, n) or broadcastable.
        hollow: inner over outer radius, in [0, 1); above 0 the edges are brighter than the middle.
    """
    at = pose.pixels(_refined(lines, pose))
    if np.ndim(radius) and np.shape(radius)[-1] == lines.shape[1]:
        fine = np.linspace(0, lines.shape[1] - 1, at.shape[1])
        low = np.minimum(fine.astype(int), lines.shape[1] - 2)
        radius = radius[..., low] * (1 - (fine - low)) + radius[..., low + 1] * (fine - low)
    thick = np.broadcast_to(radius, at.shape[:2]) * pose.scale * pose.side
    along = np.gradient(at, axis=1)
    step = np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9)
    across = int(np.clip(np.ceil(3 * thick.max()), 3, 41))
    offset = (np.arange(across) + 0.5) / across * 2 - 1
    chord = np.sqrt(1 - offset**2) - np.sqrt(np.maximum(hollow**2 - offset**2, 0))
    away = thick[..., None] * offset
    x = at[..., 0, None] - away * (along[..., 1] / step)[..., None]
    y = at[..., 1, None] + away * (along[..., 0] / step)[..., None]
    return splat(pose.side, x, y, chord * (thick * step)[..., None] * (2 / across))


def _refined(lines: Points, pose: Pose) -> Points:
    """The polylines with points less than a pixel apart."""
    count = lines.shape[1]
    longest = np.hypot(*np.moveaxis(np.diff(lines, axis=1), -1, 0)).sum(axis=1).max()
    wanted = max(count, int(1.3 * pose.length(float(longest))) + 2)
    fine = np.linspace(0, count - 1, wanted)
    low = np.minimum(fine.astype(int), count - 2)
    part = (fine - low)[:, None]
    return lines[:, low] * (1 - part) + lines[:, low + 1] * part


def curve(corners: list[tuple[float, float]], count: int = 40) -> Points:
    """A smooth curve (1, count, 2) from the first corner to the last, drawn towards those between (Bézier)."""
    t = np.linspace(0, 1, count)[:, None]
    points = np.repeat(np.array(corners, dtype=np.float64)[:, None, :], count, axis=1)
    while len(points) > 1:
        points = points[:-1] * (1 - t) + points[1:] * t
    return points


def polygon(pose: Pose, outline: Points) -> Mask:
    """The pixels inside a closed outline (n, 2) in thorax coordinates."""
    image = Image.new("1", (pose.side, pose.side))
    ImageDraw.Draw(image).polygon([(x, y) for x, y in pose.pixels(outline)], fill=1)
    return np.array(image, dtype=np.bool_)


def band(pose: Pose, line: Points, radius: Points | float) -> Mask:
    """The pixels within `radius` of a polyline (n, 2)."""
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    away = normal * np.reshape(radius, (-1, 1))
    return polygon(pose, np.concatenate([line + away, (line - away)[::-1]]))


def clouds(random: np.random.Generator, side: int, grain: float) -> Field:
    """A smooth random field (side, side) of mean 0 and standard deviation about 1; `grain` is its grid in image widths."""
    knots = max(2, int(np.ceil(1 / grain))) + 3
    at = np.arange(side) / side * (knots - 3)
    distance = np.abs(at[:, None] - (np.arange(knots) - 1)[None, :])
    basis = np.where(
        distance < 1, 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
    )  # the cubic B-spline
    field = basis @ random.normal(size=(knots, knots)) @ basis.T
    return (field / 0.48).astype(np.float32)


def blob(u: Field, v: Field, centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0) -> Field:
    """The squared distance from the centre of a tilted ellipse: 0 there, 1 on its rim."""
    x, y = u - np.float32(centre[0]), v - np.float32(centre[1])
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    wide, tall = np.float32(radii[0]), np.float32(radii[1])
    return as_field(((x * cos + y * sin) / wide) ** 2 + ((y * cos - x * sin) / tall) ** 2)


def thickness(squared: Field) -> Field:
    """The path length through an ellipsoid, 1 in its middle, of `blob`'s squared distance."""
    field: Field = np.sqrt(np.maximum(1 - squared, 0))
    return field


def ramp(value: Field, start: float, end: float) -> Field:
    """A smooth step: 0 at `start`, 1 at `end`; `end` may be the smaller."""
    t = np.clip((value - np.float32(start)) / np.float32(end - start), 0, 1)
    field: Field = t * t * (3 - 2 * t)
    return field
