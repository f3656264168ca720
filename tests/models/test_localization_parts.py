"""The parts of localization against independent formulae, written out the long way."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fxcore.data.targets import Target
from fxcore.models.localization.boxes import best, generalized_iou, inverse_sigmoid, to_corners
from fxcore.models.localization.criterion import focal, localization_loss
from fxcore.models.localization.decoder import Decoded, Decoder, LocalizationHead, Proposals
from fxcore.models.localization.deformable_attention import DeformableAttention, deformable_attention
from fxcore.models.localization.denoising import draw
from fxcore.models.localization.encoder import Memory, centres, positions, sine
from fxcore.models.localization.matcher import class_cost, match
from fxcore.params.model import Denoising, Localization
from fxcore.params.training import LocalizationLoss

UNIT = st.floats(0, 1, width=32)
BOX = st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.floats(0.1, 0.6), st.floats(0.1, 0.6))


def bilinear(picture, x, y):
    """One sample of a (H, W) array at x, y in 0..1, pixel centres at halves, zero outside."""
    height, width = picture.shape
    u, v = x * width - 0.5, y * height - 0.5
    value = 0.0
    for column, row in itertools.product((math.floor(u), math.floor(u) + 1), (math.floor(v), math.floor(v) + 1)):
        if 0 <= column < width and 0 <= row < height:
            value += float(picture[row, column]) * (1 - abs(u - column)) * (1 - abs(v - row))
    return value


def test_deformable_attention_is_the_sum_of_weighted_bilinear_samples():
    random = np.random.default_rng(3)
    shapes, heads, channels, queries, points = ((3, 5), (2, 2)), 2, 3, 4, 2
    tokens = sum(height * width for height, width in shapes)
    value = random.normal(size=(2, tokens, heads, channels)).astype(np.float32)
    locations = random.uniform(-0.2, 1.2, size=(2, queries, heads, 2, points, 2)).astype(np.float32)
    weights = random.uniform(size=(2, queries, heads, 2, points)).astype(np.float32)
    found = deformable_attention(
        *map(torch.from_numpy, (value,)), shapes, torch.from_numpy(locations), torch.from_numpy(weights)
    )
    expected = np.zeros((2, queries, heads, channels))
    starts = [0, 15]
    for b, q, m, c, level, p in itertools.product(
        range(2), range(queries), range(heads), range(channels), range(2), range(points)
    ):
        height, width = shapes[level]
        picture = value[b, starts[level] : starts[level] + height * width, m, c].reshape(height, width)
        expected[b, q, m, c] += weights[b, q, m, level, p] * bilinear(picture, *locations[b, q, m, level, p])
    np.testing.assert_allclose(found, expected.reshape(2, queries, -1), atol=1e-5)


def test_fresh_attention_looks_in_every_direction_at_growing_distance():
    module = DeformableAttention(16, heads=4, levels=1, points=3)
    offsets = module.sampling_offsets.bias.view(4, 1, 3, 2)
    torch.testing.assert_close(offsets[:, 0, 0], torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(offsets[:, 0, 2], 3 * offsets[:, 0, 0])


@given(BOX, BOX)
def test_giou_against_areas_worked_out_separately(first, second):
    def corners(box):
        cx, cy, w, h = box
        return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2

    a, b = corners(first), corners(second)
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(across, 0) * max(down, 0)
    union = first[2] * first[3] + second[2] * second[3] - overlap
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    found = generalized_iou(to_corners(torch.tensor([first])), to_corners(torch.tensor([second])))
    assert float(found) == pytest.approx(
        overlap / union - (hull - union) / hull, abs=5e-4
    )  # 1e-6 is added to areas of 0.01 and more


@given(UNIT)
def test_inverse_sigmoid_undoes_sigmoid_away_from_the_ends(probability):
    found = float(inverse_sigmoid(torch.tensor(probability)))
    assert abs(found) <= math.log(1 / 1e-3) + 1e-4
    if 0.001 < probability < 0.999:
        assert float(torch.tensor(found).sigmoid()) == pytest.approx(probability, abs=1e-5)


@given(st.floats(-8, 8), st.booleans())
def test_focal_loss_by_its_formula(logit, truth):
    p = 1 / (1 + math.exp(-logit))
    expected = -0.25 * (1 - p) ** 2 * math.log(p) if truth else -0.75 * p**2 * math.log(1 - p)
    assert float(focal(torch.tensor(logit), torch.tensor(float(truth)), 0.25, 2.0)) == pytest.approx(
        expected, rel=1e-3, abs=1e-6
    )


def _targets(*boxes_of_images, classes=3):
    return [
        Target(
            torch.tensor([i % classes for i in range(len(boxes))], dtype=torch.long),
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        )
        for boxes in boxes_of_images
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(2, 5))
def test_matching_is_the_cheapest_of_all_assignments(seed, boxes, queries):
    torch.manual_seed(seed)
    logits, found = torch.randn(1, 1, queries, 3), torch.rand(1, 1, queries, 4) * 0.4 + 0.2
    (target,) = _targets((torch.rand(boxes, 4) * 0.4 + 0.2).tolist())
    how = LocalizationLoss()
    cost = (
        how.cost_class * class_cost(logits, how)[0, 0][:, target.labels]
        + how.cost_l1
        * torch.stack([(found[0, 0] - one).abs().sum(-1) for one in target.boxes], 1).reshape(queries, boxes)
        - how.cost_giou
        * generalized_iou(to_corners(found[0, 0])[:, None], to_corners(target.boxes)[None]).reshape(queries, boxes)
        if boxes
        else torch.zeros(queries, 0)
    )
    pairs = match(logits, found, [target], how)
    ours = sum(float(cost[q, b]) for q, b in zip(pairs.query.tolist(), pairs.box.tolist(), strict=True))
    few, many = min(boxes, queries), max(boxes, queries)
    best = min(
        (
            sum(float(cost[q, b] if boxes <= queries else cost[b, q]) for b, q in enumerate(chosen))
            for chosen in itertools.permutations(range(many), few)
        ),
        default=0.0,
    )
    assert len(pairs.query) == few
    assert ours == pytest.approx(best, abs=1e-4)


def test_more_boxes_than_queries_are_matched_as_far_as_they_go():
    targets = _targets([[0.5, 0.5, 0.1, 0.1]] * 6)
    pairs = match(torch.randn(2, 1, 4, 3), torch.rand(2, 1, 4, 4), targets, LocalizationLoss())
    assert sorted(pairs.query[pairs.layer == 0].tolist()) == [0, 1, 2, 3]


def test_denoising_makes_groups_of_positives_and_negatives_around_their_boxes():
    torch.manual_seed(0)
    targets = _targets([[0.5, 0.5, 0.2, 0.1], [0.3, 0.6, 0.1, 0.2]], [], [[0.4, 0.4, 0.2, 0.2]])
    made = draw(targets, 3, Denoising(queries=5, label_noise=0.0, box_noise=0.4))
    assert made is not None
    assert made.groups == 5 // 2
    assert made.positive.tolist() == [True, True, False, False] * 2
    assert made.target.tolist() == [[0, 1] * 4, [-1] * 8, [0, -1] * 4]
    assert torch.equal(made.labels, made.true_labels)
    for image, target in enumerate(targets):
        for query, origin in enumerate(made.target[image].tolist()):
            if origin >= 0:
                box = target.boxes[origin]
                assert torch.equal(made.true_boxes[image, query], box)
                assert made.true_labels[image, query] == target.labels[origin]
                moved = (to_corners(made.boxes[image, query]) - to_corners(box)).abs() / (box[2:].repeat(2) / 2 * 0.4)
                low, high = (0, 1) if made.positive[query] else (1, 2)
                assert bool(((moved >= low - 1e-4) & (moved <= high + 1e-4)).all())


def test_label_noise_redraws_half_of_its_rate():
    torch.manual_seed(1)
    targets = _targets([[0.5, 0.5, 0.2, 0.2]] * 50, classes=1)
    made = draw(targets, 1000, Denoising(queries=5000, label_noise=0.5))
    redrawn = (made.labels != made.true_labels).float().mean()
    assert float(redrawn) == pytest.approx(0.25, abs=0.02)


def test_no_box_or_no_denoising_makes_no_noisy_queries():
    assert draw(_targets([], []), 3, Denoising()) is None
    assert draw(_targets([[0.5, 0.5, 0.1, 0.1]]), 3, Denoising(queries=0)) is None


def test_the_mask_hides_groups_from_each_other_and_from_the_matching_queries():
    made = draw(_targets([[0.5, 0.5, 0.1, 0.1]]), 3, Denoising(queries=2))
    hidden = made.mask(queries=2)
    # two groups of a positive and a negative, then two matching queries; a row may not see the columns marked 1
    assert hidden.int().tolist() == [
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
    ]


def test_sines_interleave_and_frequencies_fall_with_the_temperature():
    found = sine(torch.tensor([0.25, 0.5]), 4, 20)
    expected = [f(2 * math.pi * x / 20 ** (e / 4)) for x in (0.25, 0.5) for e in (0, 2) for f in (math.sin, math.cos)]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)


def test_centres_and_positions_run_row_major_with_y_first():
    assert centres(((1, 2), (1, 1)), torch.device("cpu")).tolist() == [[[0.25, 0.5], [0.75, 0.5], [0.5, 0.5]]]
    first, _ = positions(((2, 3), (1, 1)), 8, torch.device("cpu"))
    same_row, same_column = first[0, [0, 1]], first[0, [0, 3]]
    torch.testing.assert_close(same_row[0, :4], same_row[1, :4])
    torch.testing.assert_close(same_column[0, 4:], same_column[1, 4:])


def _perfect(targets, queries=4, classes=3, layers=2):
    """Proposals and decoded layers that answer the targets exactly and surely."""
    logits = torch.full((len(targets), queries, classes), -20.0)
    boxes = torch.full((len(targets), queries, 4), 0.5)
    for image, one in enumerate(targets):
        for query, (label, box) in enumerate(zip(one.labels, one.boxes, strict=True)):
            logits[image, query, label], boxes[image, query] = 20.0, box
    return Proposals(logits, boxes), Decoded(logits.expand(layers, -1, -1, -1), boxes.expand(layers, -1, -1, -1), boxes)


def test_perfect_answers_cost_nothing():
    targets = _targets([[0.5, 0.5, 0.2, 0.1], [0.3, 0.6, 0.1, 0.2]], [])
    proposals, decoded = _perfect(targets)
    terms = localization_loss(proposals, decoded, None, targets, LocalizationLoss())
    assert all(float(value) == pytest.approx(0, abs=1e-3) for value in terms.values())


def test_terms_are_sums_over_the_batch_divided_by_its_boxes():
    targets = _targets([[0.5, 0.5, 0.2, 0.2], [0.2, 0.2, 0.1, 0.1]], [[0.5, 0.5, 0.4, 0.4]])
    proposals, decoded = _perfect(targets)
    off = decoded.boxes + torch.tensor([0.01, 0.0, 0.0, 0.0])
    terms = localization_loss(proposals, Decoded(decoded.logits, off, off), None, targets, LocalizationLoss())
    # each of the three boxes is off by 0.01 in x
    assert float(terms["l1"]) == pytest.approx(5 * (3 * 0.01) / 3, rel=1e-3)
    overlaps = [(0.19 * 0.2, 0.21 * 0.2), (0.09 * 0.1, 0.11 * 0.1), (0.39 * 0.4, 0.41 * 0.4)]
    assert float(terms["giou"]) == pytest.approx(2 * sum(1 - inner / outer for inner, outer in overlaps) / 3, rel=1e-2)


def test_images_without_boxes_still_teach_background():
    proposals, decoded = _perfect(_targets([[0.5, 0.5, 0.2, 0.2]]))
    terms = localization_loss(proposals, decoded, None, _targets([]), LocalizationLoss())
    # one query in each layer claims a class with certainty: 0.75 · 1² · 20
    assert float(terms["class"]) == pytest.approx(0.75 * 20, rel=1e-3)
    assert float(terms["l1"]) == float(terms["giou"]) == 0


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 30))
def test_proposals_are_the_best_tokens_that_keep_off_the_border(seed, images, queries):
    """Anchors by their formula: pixel centre, side 0.05 · 2^level; any coordinate outside 0.01..0.99 disqualifies a token."""
    torch.manual_seed(seed)
    shapes, width, classes = ((60, 3), (7, 5), (1, 2)), 16, 4
    tokens = sum(high * wide for high, wide in shapes)
    memory = Memory(torch.randn(images, tokens, width), shapes, centres(shapes, torch.device("cpu")))
    sizes = Localization(width=width, heads=2, points=1, decoder_layers=1, feedforward=8, queries=queries)
    decoder, head = Decoder(sizes, len(shapes)), LocalizationHead(sizes, classes)
    with torch.no_grad():
        found = decoder.propose(memory, head)
        scores = head.proposal_class(decoder.proposal_norm(decoder.proposal_proj(memory.tokens)))
    anchors = [
        ((column + 0.5) / wide, (row + 0.5) / high, 0.05 * 2**level, 0.05 * 2**level)
        for level, (high, wide) in enumerate(shapes)
        for row in range(high)
        for column in range(wide)
    ]
    allowed = [at for at, anchor in enumerate(anchors) if all(0.01 < value < 0.99 for value in anchor)]
    assert len(allowed) == tokens - 2 * 3  # the first and last of 60 rows lie within 1 % of the border
    for image in range(images):
        order = sorted(allowed, key=lambda at: -float(scores[image, at].max()))[:queries]
        # a fresh box head changes nothing, so that boxes are anchors
        torch.testing.assert_close(found.boxes[image], torch.tensor([anchors[at] for at in order]), atol=1e-6, rtol=0)
        torch.testing.assert_close(found.logits[image], scores[image, order], atol=1e-6, rtol=0)


def test_the_best_boxes_are_over_queries_and_classes_and_stay_within_the_image():
    logits = torch.tensor([[[0.0, 2.0], [3.0, -1.0], [1.0, 0.5]]])
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.1, 0.5, 0.4, 0.2], [0.9, 0.9, 0.4, 0.4]]])
    scores, labels, corners = best(logits, boxes, 4)
    assert labels.tolist() == [[0, 1, 0, 1]]
    assert scores[0].tolist() == pytest.approx([1 / (1 + math.exp(-value)) for value in (3.0, 2.0, 1.0, 0.5)])
    expected = [[0.0, 0.4, 0.3, 0.6], [0.4, 0.3, 0.6, 0.7], [0.7, 0.7, 1.0, 1.0], [0.7, 0.7, 1.0, 1.0]]
    torch.testing.assert_close(corners[0], torch.tensor(expected))
    assert best(logits, boxes, 100)[0].shape == (1, 6)
