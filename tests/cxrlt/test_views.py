"""Crops depend on names alone, and batches on the update's number."""

import numpy as np
import pandas as pd
import pytest
import torch

from fxcore.cxrlt.views import Batches, CropSamples, collate
from fxcore.params.cxrlt import Crops


class _Store:
    """Pictures that tell their store and row: a level, and a gradient."""

    def __init__(self, level, number):
        ramp = np.linspace(0, 40, 64)[None, :, None] + np.zeros((number, 64, 64))
        self.images = (ramp + level + 20 * np.arange(number)[:, None, None]).astype(np.uint8)

    def image(self, row):
        return self.images[row].copy()


STORES = {"a": _Store(10, 3), "b": _Store(120, 2)}
CORPUS = pd.DataFrame({"source": ["b", "a", "b"], "row": [1, 2, 0]})
PLAIN = Crops(flip=0, jitter=0, blur=(0, 0, 0), solarize=0, locals=3)


def test_a_place_of_the_corpus_is_a_row_of_its_source():
    samples = CropSamples(CORPUS, STORES, PLAIN.model_copy(update={"global_area": (0.99, 1.0)}), 32, 16)
    levels = [float(samples[place, 5].globals.float().mean()) for place in range(3)]
    expected = [STORES[key].images[row].mean() for key, row in zip(CORPUS["source"], CORPUS["row"], strict=True)]
    assert levels == pytest.approx(expected, abs=3)


def test_crops_have_their_sizes_and_depend_on_the_seed_alone():
    samples = CropSamples(CORPUS, STORES, Crops(locals=3), 32, 16)
    one, other, third = samples[0, 7], samples[0, 7], samples[0, 8]
    assert one.globals.shape == (2, 32, 32)
    assert one.locals.shape == (3, 16, 16)
    assert one.globals.dtype == torch.uint8
    assert all(torch.equal(mine, its) for mine, its in zip(one, other, strict=True))
    assert not torch.equal(one.globals, third.globals)
    assert collate([one, third]).globals.shape == (2, 2, 32, 32)


def test_effective_blur_spares_the_first_global_crop():
    """The published code takes 1 - p: the first global crop is never blurred, nine in ten of the second are."""
    noise = {"a": _Store(0, 1)}
    noise["a"].images = np.random.default_rng(0).integers(0, 256, (1, 64, 64), dtype=np.uint8)
    how = PLAIN.model_copy(update={"blur": Crops().blur, "global_area": (0.99, 1.0), "sigma": (1.5, 2.0)})
    samples = CropSamples(pd.DataFrame({"source": ["a"], "row": [0]}), noise, how, 64, 16)
    spread = np.array([[float(one.float().std()) for one in samples[0, seed].globals] for seed in range(60)])
    blurred = spread < 40  # of uniform noise 74
    assert not blurred[:, 0].any()
    assert 45 <= blurred[:, 1].sum() <= 60


@pytest.mark.parametrize(("images", "batch"), [(10, 4), (3, 8)])
def test_batches_go_through_the_corpus_again_and_again_each_time_in_another_order(images, batch):
    whole = [key for keys in Batches(images, batch, 1, 0, 15, slice(None)) for key in keys]
    turns = [[place for place, _ in whole[start : start + images]] for start in range(0, len(whole) - images, images)]
    assert all(sorted(turn) == list(range(images)) for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1
    assert len({seed for _, seed in whole}) == len(whole)


def test_a_batch_is_the_same_whenever_one_begins_and_is_shared_in_parts():
    whole = list(Batches(10, 4, 1, 0, 9, slice(None)))
    assert list(Batches(10, 4, 1, 6, 9, slice(None))) == whole[6:]
    parts = [list(Batches(10, 4, 1, 0, 9, part)) for part in (slice(0, 2), slice(2, 4))]
    assert [one + other for one, other in zip(*parts, strict=True)] == whole
