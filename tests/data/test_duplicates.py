"""One picture in two releases: hashes that survive what releases do to pictures, an index that misses nothing, and a second look."""

import io
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fxcore.data import duplicates, images
from fxcore.params.splits import Near

SIDE = 104
CHANGES = {
    "JPEG, quality 50": lambda image: _jpeg(image, 50),
    "half its size, and JPEG": lambda image: _jpeg(image.resize((image.width // 2, image.height // 2)), 75),
    "gamma 0.7": lambda image: _curve(image, lambda grey: grey**0.7),
    "gamma 1.4": lambda image: _curve(image, lambda grey: grey**1.4),
    "window 20 to 220": lambda image: _curve(image, lambda grey: ((grey - 20 / 255) / (200 / 255)).clip(0, 1)),
}
"""What releases do to pictures that they take from another."""


def _jpeg(image, quality):
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    return Image.open(sink)


def _curve(image, of):
    return Image.fromarray(np.round(255 * of(np.asarray(image) / 255)).astype(np.uint8))


def _thumb(image):
    return duplicates.thumb(images.resize(np.asarray(image), SIDE))


@pytest.mark.parametrize("bits", [0, 3, 4])
def test_the_index_finds_exactly_the_pairs_that_comparing_all_finds(bits):
    random = np.random.default_rng(bits)
    hashes = random.integers(0, 2**64, 300, dtype=np.uint64)
    for at in range(0, 200, 2):  # neighbours that differ by 0 to 6 bits
        flips = random.choice(64, at % 7, replace=False)
        hashes[at + 1] = hashes[at] ^ np.bitwise_or.reduce(
            np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0)
        )
    expected = [
        pair for pair in combinations(range(300), 2) if int(hashes[pair[0]] ^ hashes[pair[1]]).bit_count() <= bits
    ]
    assert duplicates.near(hashes, bits).tolist() == [list(pair) for pair in expected]
    assert len(expected) >= 15 * (1 + (bits > 0))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.integers(0, 8))
def test_the_index_on_few_hashes(hashes, bits):
    expected = [
        list(p) for p in combinations(range(len(hashes)), 2) if (hashes[p[0]] ^ hashes[p[1]]).bit_count() <= bits
    ]
    assert duplicates.near(np.array(hashes, dtype=np.uint64), bits).tolist() == expected


def test_ranks_do_not_change_with_the_window():
    picture = np.arange(1024, dtype=np.uint16).reshape(32, 32) // 4
    darker = (picture.astype(float) ** 2 / 256).round()
    values = np.stack([picture, picture // 2, 255 - picture]).astype(np.uint8)
    ranks = duplicates.ranks(values)
    assert np.einsum("p,p->", ranks[0], ranks[1]) == pytest.approx(1, abs=1e-3)
    assert np.einsum("p,p->", ranks[0], ranks[2]) == pytest.approx(-1)
    assert darker.max() <= 255


def test_a_picture_of_one_value_is_like_no_other():
    thumbs = np.stack([np.full((32, 32), 7, dtype=np.uint8)] * 2)
    assert len(duplicates.alike(np.array([[0, 1]]), lambda rows: thumbs[rows], 0.5)) == 0


@pytest.mark.parametrize("least", [-1.0, 0.0, 0.7, 0.9, 0.98])
def test_pairs_are_those_that_comparing_all_pixels_finds(least):
    random = np.random.default_rng(0)
    smooth = random.normal(size=(60, 4, 4)).repeat(8, axis=1).repeat(8, axis=2)
    rough = random.normal(size=(60, 32, 32))
    of = np.arange(240) % 60  # pairs that differ by what is fine, coarse, or nothing
    values = smooth[of] + np.repeat([0.0, 0.05, 0.3, 1.0], 60)[:, None, None] * random.permutation(rough)[of]
    thumbs = np.clip(128 + 40 * values, 0, 255).astype(np.uint8)
    thumbs[7] = 3
    pairs = np.array(list(combinations(range(240), 2)))
    ranks = duplicates.ranks(thumbs)
    left, right = pairs.T
    slow = pairs[np.einsum("np,np->n", ranks[left], ranks[right]) >= least]
    found = duplicates.alike(pairs, lambda rows: thumbs[rows], least)
    assert found.tolist() == slow.tolist()
    assert 50 <= len(slow) <= len(pairs)


def test_pairs_of_many_are_compared_some_at_a_time(monkeypatch):
    monkeypatch.setattr(duplicates, "_AT_ONCE", 7)
    monkeypatch.setattr(duplicates, "_COMPARED", 3)
    thumbs = np.random.default_rng(0).integers(256, size=(5, 32, 32), dtype=np.uint8)[np.arange(20) % 5]
    pairs = np.array(list(combinations(range(20), 2)))
    asked = []
    found = duplicates.alike(pairs, lambda rows: asked.append(len(rows)) or thumbs[rows], 0.98)
    assert found.tolist() == [pair for pair in pairs.tolist() if pair[0] % 5 == pair[1] % 5]
    assert max(asked) <= 6


def test_means_of_parts():
    picture = np.kron(np.arange(32 * 32).reshape(32, 32) % 251, np.ones((3, 3))).astype(np.uint8)
    assert (duplicates.thumb(picture) == picture[::3, ::3]).all()


def test_joined_groups_have_the_first_name():
    names = np.array(["b", "c", "a", "d", "c"], dtype=object)
    assert duplicates.joined(names, np.array([[0, 1], [2, 3]])).tolist() == ["b", "b", "a", "a", "b"]
    assert duplicates.joined(names, np.empty((0, 2), dtype=np.int64)).tolist() == names.tolist()


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=12), st.data())
def test_joined_groups_are_those_that_walking_from_pair_to_pair_finds(names, data):
    rows = st.integers(0, len(names) - 1)
    pairs = data.draw(st.lists(st.tuples(rows, rows), max_size=8))
    of = {name: {name} for name in names}
    for left, right in pairs:
        together = of[names[left]] | of[names[right]]
        of |= dict.fromkeys(together, together)
    found = duplicates.joined(np.array(names, dtype=object), np.array(pairs, dtype=np.int64).reshape(-1, 2))
    assert found.tolist() == [min(of[name]) for name in names]


def test_recall_and_precision_on_real_radiographs(shared, capsys):
    """The 64 patients of NIH and some others: what is the same is found again after each change, and nothing else is."""
    root = shared("cxr-real")
    files = sorted([*root.glob("nih64/**/*.png"), *root.glob("images/*.jpg")])[:160]
    pictures = [Image.open(file).convert("L") for file in files]
    thumbs = np.stack([_thumb(picture) for picture in pictures])
    hashes = [duplicates.perceptual(one) for one in thumbs]
    near = Near()
    for name, change in CHANGES.items():
        changed = np.stack([_thumb(change(picture)) for picture in pictures])
        both = np.concatenate([thumbs, changed])
        all_hashes = np.array([*hashes, *(duplicates.perceptual(one) for one in changed)], dtype=np.uint64)
        pairs = {tuple(pair) for pair in duplicates.pairs_of(all_hashes, lambda rows, both=both: both[rows], near)}
        same = {(at, at + len(files)) for at in range(len(files))}
        recall = len(pairs & same) / len(same)
        # A picture that is in the folders twice is also found with its twin's changed copy.
        wrong = {pair for pair in pairs - same if pair[0] % len(files) != pair[1] % len(files)}
        precision = 1 - len(wrong) / len(pairs)
        with capsys.disabled():
            sys.stdout.write(f"\n{name}: recall {recall:.3f}, precision {precision:.3f} ({len(wrong)} other pairs)")
        assert recall >= 0.95
        assert len(wrong) <= 4 * 2
