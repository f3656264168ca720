"""Deformable attention, both ways to compute it, against the formula written out: pixel by pixel, in double precision."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fxcore.models.localization import deformable_attention as module
from fxcore.models.localization.deformable_attention import DeformableAttention, deformable_attention


@pytest.fixture(autouse=True, scope="module")
def gathers_however_few():
    """Small cases go the way of large ones; the way of small ones is that of gradients."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "FEW", 0)
        yield


PAPER = ((64, 64), (32, 32), (16, 16), (8, 8))
"""Levels of an image of 512 pixels: 5,440 tokens."""
SIDES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=3).map(tuple)


def slowly(value, shapes, locations, weights):
    """The sum over levels, points and the four pixels around each location; those outside are zero."""
    value, locations, weights = (one.numpy().astype(np.float64) for one in (value, locations, weights))
    batch, _, heads, channels = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    found = np.zeros((batch, queries, heads, channels))
    starts = np.cumsum([0, *(height * width for height, width in shapes)])
    for b, q, m, k, p in itertools.product(*map(range, (batch, queries, heads, len(shapes), points))):
        height, width = shapes[k]
        x, y = locations[b, q, m, k, p] * (width, height) - 0.5
        for column, row in itertools.product((math.floor(x), math.floor(x) + 1), (math.floor(y), math.floor(y) + 1)):
            if 0 <= column < width and 0 <= row < height:
                share = weights[b, q, m, k, p] * (1 - abs(x - column)) * (1 - abs(y - row))
                found[b, q, m] += share * value[b, starts[k] + row * width + column, m]
    return found.reshape(batch, queries, heads * channels)


def densely(value, shapes, locations, weights):
    """The same with a gradient: every pixel of a level, each by a tent of one pixel's reach around it."""
    total = 0
    for k, level in enumerate(value.split([height * width for height, width in shapes], dim=1)):
        height, width = shapes[k]
        x, y = locations[:, :, :, k, :, 0] * width - 0.5, locations[:, :, :, k, :, 1] * height - 0.5
        across = (1 - (x[..., None] - torch.arange(width)).abs()).clamp(min=0)
        down = (1 - (y[..., None] - torch.arange(height)).abs()).clamp(min=0)
        pixels = level.unflatten(1, (height, width))
        total = total + torch.einsum("bqmp,bqmpy,bqmpx,byxmc->bqmc", weights[:, :, :, k], down, across, pixels)
    return total.flatten(2)


def drawn(shapes, batch=1, heads=2, channels=3, queries=3, points=2, seed=0, spread=1.0):
    """Random arguments; locations reach `spread` image sides beyond the image, some far beyond or just on an edge."""
    random = torch.Generator().manual_seed(seed)
    tokens = sum(height * width for height, width in shapes)
    value = torch.randn(batch, heads, tokens, channels, generator=random).transpose(1, 2)
    layout = (batch, queries, heads, len(shapes), points)
    locations = torch.rand(*layout, 2, generator=random) * (1 + 2 * spread) - spread
    chosen = torch.rand(*layout, 2, generator=random)
    locations = torch.where(chosen < 0.1, locations.round(), locations)
    locations = torch.where(chosen > 0.95, locations * 1e12, locations)
    weights = torch.rand(layout, generator=random)
    return value, shapes, locations, weights


def quickly(value, shapes, locations, weights):
    with torch.no_grad():
        return deformable_attention(value, shapes, locations, weights)


def trainably(value, shapes, locations, weights):
    return deformable_attention(value.clone().requires_grad_(), shapes, locations, weights).detach()


@settings(max_examples=60, deadline=None)
@given(SIDES, st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 10**6))
@example(((1, 1),), 1, 1, 1, 3, 0)
@example(((1, 5), (5, 1), (1, 1)), 3, 2, 4, 4, 1)
def test_both_ways_are_the_sum_of_weighted_bilinear_samples(shapes, batch, heads, channels, queries, seed):
    case = drawn(shapes, batch, heads, channels, queries, seed=seed, spread=0.6)
    expected = slowly(*case)
    for way in (quickly, trainably):
        np.testing.assert_allclose(way(*case), expected, atol=1e-5)


@pytest.mark.parametrize("way", [quickly, trainably])
@pytest.mark.parametrize(
    ("location", "share"),
    [((0.5, 0.5), 1), ((0, 0.5), 0.5), ((0, 0), 0.25), ((1.25, 0.5), 0.25), ((-0.25, 1.25), 0.0625), ((2, 0.5), 0)],
)
def test_a_single_pixel_fades_over_its_own_width(way, location, share):
    # a pixel of 8 at 0.5 that reaches to -0.5 and 1.5, linearly, in x and y
    one = torch.tensor(location, dtype=torch.float32).view(1, 1, 1, 1, 1, 2)
    found = way(torch.full((1, 1, 1, 1), 8.0), ((1, 1),), one, torch.ones(1, 1, 1, 1, 1))
    assert found.item() == 8 * share


@pytest.mark.parametrize("queries", [None, 900], ids=["encoder", "decoder"])
def test_both_ways_agree_at_512_pixels(queries):
    value, shapes, locations, weights = drawn(PAPER, 1, 8, 32, queries or 5440, points=4, spread=0.1)
    weights = weights.flatten(3).softmax(-1).view_as(weights)
    case = value, shapes, locations, weights
    torch.testing.assert_close(quickly(*case), trainably(*case), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_floats_are_summed_in_float32_and_rounded_once(dtype):
    value, shapes, locations, weights = drawn(((5, 3), (2, 2)), 2, 2, 8, 20, points=4)
    short = value.to(dtype), shapes, locations.clamp(-2, 2).to(dtype), weights.to(dtype)
    exact = quickly(short[0].float(), shapes, short[2].float(), short[3].float())
    found = quickly(*short)
    assert found.dtype is dtype
    torch.testing.assert_close(found.float(), exact, rtol=torch.finfo(dtype).eps / 2, atol=1e-7)
    mixed = quickly(short[0], shapes, short[2].float(), short[3].float())
    assert torch.equal(mixed, found)


def test_mixed_precision_stays_close_in_inference_and_in_training():
    torch.manual_seed(0)
    module, shapes = DeformableAttention(16, heads=2, levels=2, points=2), ((4, 4), (2, 2))
    query, reference, tokens = torch.randn(2, 5, 16), torch.rand(1, 5, 2), torch.randn(2, 20, 16)
    with torch.no_grad():
        exact = module(query, reference, tokens, shapes)
    for graph in (False, True):
        with torch.set_grad_enabled(graph), torch.autocast("cpu", dtype=torch.bfloat16):
            found = module(query, reference, tokens, shapes)
        assert found.requires_grad is graph
        torch.testing.assert_close(found.float(), exact, atol=0.05, rtol=0.05)


def test_gradients_are_those_of_the_formula():
    value, shapes, locations, weights = drawn(((3, 5), (1, 2), (1, 1)), 2, 2, 3, 4, spread=0.3)
    ours = [one.double().requires_grad_() for one in (value, locations.clamp(-1, 2), weights)]
    theirs = [one.detach().clone().requires_grad_() for one in ours]
    found = deformable_attention(ours[0], shapes, ours[1], ours[2])
    expected = densely(theirs[0], shapes, theirs[1], theirs[2])
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    direction = torch.randn_like(found)
    for mine, its in zip(
        torch.autograd.grad(found, ours, direction), torch.autograd.grad(expected, theirs, direction), strict=True
    ):
        torch.testing.assert_close(mine, its, atol=1e-10, rtol=0)


@pytest.mark.parametrize("index", [0, 2, 3], ids=["value", "locations", "weights"])
def test_only_what_needs_a_gradient_on_a_cpu_is_sampled(index, monkeypatch):
    case = list(drawn(((2, 2),)))

    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr(torch.nn.functional, "embedding_bag", refuse)
    case[index].requires_grad_()
    assert deformable_attention(*case).requires_grad
    meta = [one.detach().to("meta") if isinstance(one, torch.Tensor) else one for one in case]
    assert deformable_attention(*meta).shape == (1, 3, 6)
    monkeypatch.undo()
    monkeypatch.setattr(torch.nn.functional, "grid_sample", refuse)
    with torch.no_grad():
        assert not deformable_attention(*case).requires_grad
    case[index] = case[index].detach()
    assert not deformable_attention(*case).requires_grad


def test_what_is_not_a_number_stays_in_its_query():
    value, shapes, locations, weights = drawn(((3, 3), (2, 2)), heads=3, queries=3)
    locations[0, 1, 0, 0, 0, 0] = torch.nan
    locations[0, 2, 0, 0, 0] = torch.inf
    found = quickly(value, shapes, locations, weights).unflatten(-1, (3, 3))
    assert bool(found[0, 1, 0].isnan().all())
    weights[0, 2, 0, 0, 0] = 0
    locations[0, 1:, 0, 0, 0] = 0
    spared = torch.ones(3, 3, dtype=torch.bool)
    spared[1, 0] = False
    expected = quickly(value, shapes, locations, weights).unflatten(-1, (3, 3))
    torch.testing.assert_close(found[0, spared], expected[0, spared])


@pytest.mark.parametrize(("few", "refused"), [(5, "grid_sample"), (5 * 2 * 2 * 3 + 1, "embedding_bag")])
def test_a_few_numbers_are_sampled(few, refused, monkeypatch):
    case = drawn(((2, 2),), heads=2, channels=3, queries=5, points=2)
    monkeypatch.setattr(module, "FEW", few)
    monkeypatch.setattr(torch.nn.functional, refused, None)
    assert deformable_attention(*case).shape == (1, 5, 6)
