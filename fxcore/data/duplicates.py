"""Pictures that are the same though their files are not: found by perceptual hashes, confirmed on the pictures.

Releases give one radiograph again: cropped to a square, encoded anew, windowed otherwise, under another name. A perceptual hash
changes by few bits then, and an index finds hashes that differ by few bits without comparing all pairs. Radiographs of different
patients are alike, too, so a pair that the index finds is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from fxcore.params.splits import Near

BITS = 64
SIDE = 32
"""Of what is hashed and compared, in pixels."""
_KEPT = 8
"""Frequencies of each direction that make a hash."""
_EQUAL = 3
"""Bands of a hash that make a key of the index."""
_AT_ONCE = 1 << 16
"""Pairs of pictures that are compared at once."""

Pairs = NDArray[np.int64]
"""Two rows each, the smaller first."""
Thumb = NDArray[np.uint8]
"""A picture as means of SIDE × SIDE parts."""
Thumbs = Callable[[NDArray[np.int64]], NDArray[np.uint8]]
"""Those of some rows, (rows, SIDE, SIDE)."""


def thumb(picture: NDArray[np.uint8]) -> Thumb:
    """A square picture, its side at least `SIDE`, as means of parts."""
    edges = np.linspace(0, len(picture), SIDE + 1).astype(np.int64)
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float32), edges[:-1], axis=0), edges[:-1], axis=1)
    sizes = np.diff(edges)
    means: NDArray[np.float32] = sums / np.outer(sizes, sizes)
    return np.round(means).astype(np.uint8)


def perceptual(small: Thumb) -> int:
    """The 64-bit perceptual hash of a picture: which low frequencies of its cosine transform are above their median.

    pHash (Zauner 2010), of the pixels' ranks: scale, compression and windowing matter little.
    """
    from scipy.fft import dctn  # slow to import, and many jobs only look hashes up

    low = dctn(ranks(small[None])[0].reshape(SIDE, SIDE), norm="ortho")[:_KEPT, :_KEPT].reshape(-1)
    bits = low > np.median(low[1:])  # the first is the mean
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near(hashes: NDArray[np.uint64], distance: int) -> Pairs:
    """All pairs of hashes that differ by at most `distance` bits, in order.

    Cut into `distance + 3` bands, two such hashes have at least three bands equal: for each choice of three, hashes are sorted by
    these, and only equal neighbours are compared.
    """
    found: list[Pairs] = []
    bands = _bands(distance + _EQUAL)
    for chosen in combinations(bands, _EQUAL):
        keys = hashes & np.uint64(sum(chosen))
        order = np.argsort(keys, kind="stable")
        for left, right in _equal_neighbours(keys[order]):
            first, second = order[left], order[right]
            close = np.bitwise_count(hashes[first] ^ hashes[second]) <= distance
            found.append(np.sort(np.stack([first[close], second[close]], axis=1), axis=1))
    pairs = np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)
    return np.unique(pairs, axis=0).astype(np.int64)


def _bands(number: int) -> list[int]:
    """Masks of so many bands of nearly equal width, which together are all bits."""
    edges = [round(BITS * at / number) for at in range(number + 1)]
    return [((1 << high) - 1) ^ ((1 << low) - 1) for low, high in pairwise(edges)]


def _equal_neighbours(keys: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places of equal keys in a sorted row: those next to each other, then those two apart, and so on."""
    at = np.arange(len(keys) - 1)
    step = 1
    while len(at := at[at + step < len(keys)]):
        at = at[keys[at] == keys[at + step]]
        if len(at):
            yield at, at + step
        step += 1


def alike(pairs: Pairs, thumbs: Thumbs, least: float) -> Pairs:
    """Those pairs whose pictures are alike: rank correlation of `least` or more, which no windowing changes."""
    kept = []
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        rows, places = np.unique(some, return_inverse=True)
        placed = ranks(thumbs(rows))
        left, right = places.reshape(some.shape).T
        kept.append(some[np.einsum("np,np->n", placed[left], placed[right]) >= least])
    return np.concatenate(kept) if kept else pairs


def ranks(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Ranks of the pixels of each picture, equal ones sharing theirs, with mean 0 and length 1; (pictures, pixels)."""
    flat = pictures.reshape(len(pictures), -1)
    # Of each grey value of each picture: the mean of the places that its pixels take.
    of_picture = flat + 256 * np.arange(len(flat))[:, None]
    counts = np.bincount(of_picture.reshape(-1), minlength=256 * len(flat)).reshape(-1, 256)
    places = np.cumsum(counts, axis=1) - (counts + 1) / 2
    found = places.reshape(-1)[of_picture].astype(np.float32)
    found -= found.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1)
    return scaled


def pairs_of(hashes: NDArray[np.uint64], thumbs: Thumbs, how: Near) -> Pairs:
    """All pairs of rows that show one picture."""
    return alike(near(hashes, how.distance), thumbs, how.correlation)


def joined(names: NDArray[np.object_], pairs: Pairs) -> NDArray[np.object_]:
    """The group of each row, rows of a pair being of one: the first, in order, of the names that were joined."""
    made = names.copy()
    if not len(pairs):
        return made
    from scipy.sparse import coo_array  # slow to import, and most runs have no such pairs
    from scipy.sparse.csgraph import connected_components

    linked, codes = np.unique(names[pairs].astype(str), return_inverse=True)
    left, right = codes.reshape(pairs.shape).T
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(linked), len(linked)))
    _, of = connected_components(graph, directed=False)
    _, first = np.unique(of, return_index=True)
    name = dict(zip(linked.tolist(), linked[first[of]].tolist(), strict=True))
    touched = np.flatnonzero(np.isin(names, linked.astype(object)))
    made[touched] = [name[one] for one in names[touched]]
    return made
