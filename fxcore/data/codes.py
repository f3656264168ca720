"""From raw codes to targets: what uncertain labels mean, and labels that are not mentioned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fxcore.params.datasets import Labels
from fxcore.seeding import derive

UNCERTAIN = -1


def targets(
    codes: NDArray[np.float32], policy: Labels, images: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Class targets 0..1 (images, classes) of raw codes, NaN where a class is not mentioned, and which targets are known.

    `u_lsr_ones` gives an uncertain class a target between the bounds of `smoothing`, drawn from the image and the class alone.
    """
    uncertain, blank = codes == UNCERTAIN, np.isnan(codes)
    known = ~(uncertain & (policy.uncertain == "u_ignore")) & ~(blank & (policy.blank == "blank_ignore"))
    target = np.where(uncertain, float(policy.uncertain == "u_ones"), np.where(blank, 0.0, codes))
    if policy.uncertain == "u_lsr_ones":
        low, high = policy.smoothing
        for row, column in np.argwhere(uncertain):
            share = derive("smoothing", policy.smoothing_seed, images[row], policy.classes[column]) / 2**63
            target[row, column] = low + (high - low) * share
    return target.astype(np.float32), known
