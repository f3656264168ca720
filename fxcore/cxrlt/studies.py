"""Images of one study: their predictions averaged, one joined with another, and several heads' predictions in one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore.errors import InputError

PLACE = ["dataset", "row", "label"]
"""What a prediction is of."""


def average(predictions: pd.DataFrame, siblings: pd.DataFrame | None = None) -> pd.DataFrame:
    """The same rows, each with the mean probability of the images of its study for its label.

    An image alone in its study, or of no known study, keeps its own; a score that is no number makes that of its study none.

    Args:
        predictions: columns `study`, `label`, `score` and any others; a row an image and label.
        siblings: predictions for other images of the same studies, not to be scored themselves. Then both have a column
            `image`, by which an image in both is known; it counts once, as in `predictions`.
    """
    pool = predictions
    if siblings is not None:
        beside = siblings[siblings["study"].isin(predictions["study"].dropna())]
        pool = pd.concat([predictions, beside]).drop_duplicates(["image", "label"])
    study, studies = pd.factorize(pool["study"])
    label, labels = pd.factorize(pool["label"])
    cell, scores = study * len(labels) + label, pool["score"].to_numpy(np.float64, copy=True)
    known = study >= 0
    total, number = (np.bincount(cell[known], of, len(studies) * len(labels)) for of in (scores[known], None))
    scores[known] = total[cell[known]] / number[cell[known]]
    return predictions.assign(score=scores[: len(predictions)])


def partners(studies: NDArray[np.generic], seed: int | None) -> NDArray[np.int64]:
    """For every image another one of its study, for [CLS] of two: its position; itself where it is alone or of no known study.

    With a seed (training) the seed and the studies decide which one, all equally likely; without one (evaluation) it is the next
    in order, after the last the first.
    """
    known = np.flatnonzero(~pd.isna(studies))
    study, _ = pd.factorize(studies[known])
    order, sizes = np.argsort(study, kind="stable"), np.bincount(study)
    first, size = np.repeat(np.cumsum(sizes) - sizes, sizes), np.repeat(sizes, sizes)
    others = size - 1
    step = np.minimum(1, others)
    if seed is not None:
        step = np.where(others, np.random.Generator(np.random.PCG64(seed)).integers(1, np.maximum(size, 2)), 0)
    found = np.arange(len(studies))
    found[known[order]] = known[order[first + (np.arange(len(order)) - first + step) % size]]
    return found


def ensemble(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The first head's rows with the mean probability of all heads, equally weighed.

    Args:
        tables: by head; columns `dataset`, `row`, `label`, `score` and any others, rows in any order.

    Raises:
        InputError: a head's rows are not the first one's.
    """
    (first, like), *_ = tables.items()
    total = np.zeros(len(like))
    for head, table in tables.items():
        ours = like[PLACE].merge(table[[*PLACE, "score"]], on=PLACE)
        if not len(ours) == len(like) == len(table) or table.duplicated(PLACE).any():
            raise InputError(
                f"{head}: predictions are of other images or classes than those of {first}, so that they have no mean; give"
                " both heads the same datasets and classes, and make both predictions again"
            )
        total += ours["score"].to_numpy(np.float64)
    return like.assign(score=total / len(tables))
