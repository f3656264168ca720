"""Pictures that are the same though their files are not: found by perceptual hashes, confirmed on the pictures.

Releases give one radiograph again: cropped to a square, encoded anew, windowed otherwise, under another name. A perceptual hash
changes by few bits then, and an index finds hashes that differ by few bits without comparing all pairs. Radiographs of different
patients are alike, too, so a pair that the index finds is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fxcore.params.splits import Near

BITS = 64
SIDE = 32
"""Of what is hashed and compared, in pixels."""
_KEPT = 8
"""Frequencies of each direction that make a hash."""
_EQUAL = 3
"""Bands of a hash that make a key of the index."""
_OUTLINE = 5
"""Frequencies of each direction by which most pairs are told apart; more take longer, and leave fewer pairs to compare."""
_ROUNDING = 1e-4
"""More than single precision loses in sums over a picture."""
_AT_ONCE, _COMPARED = 1 << 16, 1 << 12
"""Pairs that are told apart at once, and pictures whose pixels are looked at at once."""

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
    these, and only equal neighbours are compared. A pair counts where the chosen are its first equal bands, so once.
    """
    number, found = len(hashes), [np.empty(0, dtype=np.int64)]
    bands = _bands(distance + _EQUAL)
    for chosen in combinations(range(len(bands)), _EQUAL):
        keys = hashes & np.uint64(sum(bands[at] for at in chosen))
        order = np.argsort(keys)
        placed = hashes[order]
        for left, right in _equal_neighbours(keys[order]):
            differ = placed[left] ^ placed[right]
            close = np.flatnonzero(np.bitwise_count(differ) <= distance)
            for at in set(range(chosen[-1])) - set(chosen):
                close = close[(differ[close] & np.uint64(bands[at])) != 0]
            first, second = order[left[close]], order[right[close]]
            found.append(np.minimum(first, second) * number + np.maximum(first, second))
    return np.stack(np.divmod(np.sort(np.concatenate(found)), max(1, number)), axis=1)


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
    """Those pairs whose pictures are alike: rank correlation of `least` or more, which no windowing changes.

    Most pairs are told apart by a few numbers a picture: the correlation is at most what these give and the rest could.
    """
    rows, places = np.unique(pairs, return_inverse=True)
    left, right = places.reshape(pairs.shape).T
    few, rest = _outlines(rows, thumbs)
    kept = [pairs[:0]]
    for start in range(0, len(pairs), _AT_ONCE):
        of = slice(start, start + _AT_ONCE)
        some, one, other = pairs[of], left[of], right[of]
        most = np.einsum("np,np->n", few[one], few[other]) + rest[one] * rest[other]
        kept += [_correlated(part, thumbs, least) for part in _parts(some[most >= least - _ROUNDING])]
    return np.concatenate(kept)


def _parts(pairs: Pairs) -> list[Pairs]:
    """Some pairs at a time."""
    return [pairs[start : start + _COMPARED] for start in range(0, len(pairs), _COMPARED)]


def _correlated(pairs: Pairs, thumbs: Thumbs, least: float) -> Pairs:
    """Those pairs whose pictures are alike, by all their pixels."""
    rows, places = np.unique(pairs, return_inverse=True)
    placed = ranks(thumbs(rows))
    left, right = places.reshape(pairs.shape).T
    kept: Pairs = pairs[np.einsum("np,np->n", placed[left], placed[right]) >= least]
    return kept


def _outlines(rows: NDArray[np.int64], thumbs: Thumbs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the ranks of each picture the lowest frequencies, and the length of all others."""
    waves = _waves()
    few, rest = np.empty((len(rows), waves.shape[1]), dtype=np.float32), np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _COMPARED):
        of = slice(start, start + _COMPARED)
        placed = ranks(thumbs(rows[of]))
        few[of] = placed @ waves
        left = np.einsum("np,np->n", placed, placed) - np.einsum("np,np->n", few[of], few[of])
        rest[of] = np.sqrt(np.maximum(left, 0))
    return few, rest


def _waves() -> NDArray[np.float32]:
    """The lowest frequencies of both directions, at right angles and of length 1; (pixels, frequencies)."""
    at = np.pi * (np.arange(SIDE) + 0.5) / SIDE
    row = np.cos(np.outer(np.arange(_OUTLINE), at))
    row /= np.linalg.norm(row, axis=1, keepdims=True)
    return np.kron(row, row).T.astype(np.float32)


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
    if not len(pairs):
        return names.copy()
    from scipy.sparse import coo_array  # slow to import, and most runs have no such pairs
    from scipy.sparse.csgraph import connected_components

    codes, known = pd.factorize(names)
    linked, ends = np.unique(codes[pairs], return_inverse=True)
    linked, rank = _sorted(linked, known)
    left, right = rank[ends.reshape(pairs.shape)].T
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(linked), len(linked)))
    _, of = connected_components(graph, directed=False)
    _, first = np.unique(of, return_index=True)
    becomes = known.copy()
    becomes[linked] = known[linked[first[of]]]
    made: NDArray[np.object_] = becomes[codes]
    return made


def _sorted(codes: NDArray[np.int64], names: NDArray[np.object_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes in the order of their names, and the place of each in it."""
    order = np.argsort(names[codes])
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes))
    return codes[order], rank
