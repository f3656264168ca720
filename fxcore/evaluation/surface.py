"""How far the outlines of two masks are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def hd95(found: Mask, truth: Mask, spacing: tuple[float, float]) -> float:
    """The 95th percentile of the distances of each outline's pixels to the other outline, both ways together; ≥ 0.

    Outlines are pixels of the mask with one of their four neighbours outside it, or outside the image. Source: the Hausdorff
    distance of Huttenlocher et al. 1993 with a percentile for the maximum, as MedPy computes it.

    Args:
        found: (H, W), as `truth`.
        truth: what it is held against.
        spacing: height and width of a pixel, in the unit of the result.

    Returns:
        NaN where one of the masks is empty.
    """
    if not found.any() or not truth.any():
        return float("nan")
    rows, columns = (np.flatnonzero((found | truth).any(axis=axis)) for axis in (1, 0))
    # Distances are between outlines: what lies around both does not matter.
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    ours, theirs = (mask & ~ndimage.binary_erosion(mask) for mask in (found[part], truth[part]))
    there, back = (
        ndimage.distance_transform_edt(~other, sampling=spacing)[mine]
        for mine, other in ((ours, theirs), (theirs, ours))
    )
    return float(np.percentile(np.concatenate([there, back]), 95))
