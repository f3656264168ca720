"""Heads against a loop over classes and against timm's ML-Decoder, and what must not happen to labels in a sweep."""

import math

import pytest
import torch
from timm.layers.ml_decoder import MLDecoder
from torch.nn import functional

from fxcore.cxrlt.decoder import GroupLinear, LinearHead, MlDecoder, masked_bce


def test_the_linear_head_starts_near_zero():
    torch.manual_seed(0)
    head = LinearHead(512, 40)
    assert float(head.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert not head.bias.any()
    assert head(torch.randn(3, 512)).shape == (3, 40)


def _loop(layer, tokens, shared):
    """Group by group, the shared features appended to each token; surplus logits cut."""
    if shared is not None:
        tokens = torch.cat([tokens, shared[:, None].expand(-1, tokens.shape[1], -1)], dim=2)
    groups = [tokens[:, group] @ weight for group, weight in enumerate(layer.weight)]
    return torch.cat(groups, dim=1)[:, : len(layer.bias)] + layer.bias


@pytest.mark.parametrize("shared", [0, 5])
@pytest.mark.parametrize(("groups", "classes"), [(4, 4), (3, 7), (2, 8), (1, 3)])
def test_the_batched_linear_is_the_loop_over_groups_forward_and_backward(groups, classes, shared):
    torch.manual_seed(1)
    layer = GroupLinear(groups, 6, classes, shared)
    torch.nn.init.normal_(layer.bias)
    tokens = torch.randn(5, groups, 6, requires_grad=True)
    beside = torch.randn(5, shared) if shared else None
    found, expected = layer(tokens, beside), _loop(layer, tokens, beside)
    assert found.shape == (5, classes)
    torch.testing.assert_close(found, expected)
    leaves, upstream = (tokens, layer.weight, layer.bias), torch.randn(5, classes)
    for ours, theirs in zip(*(torch.autograd.grad(one, leaves, upstream) for one in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_group_weights_start_xavier_normal_over_the_whole_array():
    torch.manual_seed(2)
    layer = GroupLinear(100, 768, 300)
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / (3 * (100 + 768))), rel=0.02)
    assert not layer.bias.any()


def _copied(ours, theirs):
    """Give timm's head the weights of ours."""
    theirs.decoder = theirs.decoder.layers[0]  # what is around it passes an argument that the layer does not take
    theirs.embed_standart = ours.project
    theirs.query_embed.weight.data = ours.queries
    theirs.decoder.load_state_dict(ours.layer.state_dict())
    theirs.duplicate_pooling.data, theirs.duplicate_pooling_bias.data = ours.head.weight.data, ours.head.bias.data
    return theirs.eval()


@pytest.mark.parametrize(("classes", "groups"), [(5, None), (7, 3), (120, None)])
def test_ml_decoder_is_timms(classes, groups):
    torch.manual_seed(3)
    ours = MlDecoder(12, classes, width=16, groups=groups).eval()
    torch.nn.init.normal_(ours.head.bias)
    theirs = _copied(ours, MLDecoder(classes, groups or -1, decoder_embedding=16, initial_num_features=12))
    tokens = torch.randn(2, 9, 12)
    torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=1e-4, atol=1e-5)


def test_every_step_has_dropout():
    # with all of it dropped only the queries and their norms are left
    torch.manual_seed(4)
    head = MlDecoder(12, 4, width=16, dropout=1.0).train()
    expected = head.queries
    for norm in (head.layer.norm1, head.layer.norm2, head.layer.norm3):
        torch.nn.init.normal_(norm.bias)
        expected = norm(expected)
    expected = head.head(expected[None].expand(2, -1, -1))
    torch.testing.assert_close(head(torch.randn(2, 9, 12)), expected)


def test_without_dropout_training_is_evaluation():
    head = MlDecoder(12, 4, width=16, dropout=0.0)
    tokens = torch.randn(2, 9, 12)
    torch.testing.assert_close(head.train()(tokens), head.eval()(tokens))


def test_queries_are_a_buffer_that_no_seed_changes_and_nothing_trains():
    torch.manual_seed(5)
    first = MlDecoder(12, 4, width=16)
    torch.manual_seed(6)
    second = MlDecoder(12, 4, width=16)
    assert torch.equal(first.queries, second.queries)
    assert not torch.equal(first.project.weight, second.project.weight)
    assert "queries" in first.state_dict()
    assert "queries" not in dict(first.named_parameters())
    first(torch.randn(2, 9, 12)).sum().backward()
    assert first.queries.grad is None
    assert all(one.grad is not None for one in first.parameters())


def test_the_published_size():
    # of ML-Decoder and GLoRI: 8.69 M with 4 blocks of ViT-L and 40 classes; 8.86 M with [CLS] beside every token
    def size(skip):
        return sum(one.numel() for one in MlDecoder(4096, 40, skip=skip).parameters())

    assert (size(0), size(4096)) == (8_692_776, 8_692_776 + 40 * 4096)


def test_the_order_of_patches_says_nothing():
    torch.manual_seed(7)
    head = MlDecoder(12, 4, width=16).eval()
    tokens = torch.randn(2, 9, 12)
    torch.testing.assert_close(head(tokens[:, torch.randperm(9)]), head(tokens), rtol=1e-4, atol=1e-5)


def test_cls_is_added_for_each_class_by_its_own_weights():
    torch.manual_seed(8)
    head = MlDecoder(12, 4, width=16, skip=6).eval()
    tokens, cls = torch.randn(2, 9, 12), torch.randn(2, 6)
    with pytest.raises(AssertionError):
        head(tokens)
    added = head(tokens, cls) - head(tokens, torch.zeros(2, 6))
    torch.testing.assert_close(added, cls @ head.head.weight[:, 16:, 0].T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_attention_is_fused(monkeypatch, training):
    asked = []
    fused = functional.scaled_dot_product_attention

    def watched(*args, **kwargs):
        asked.append(kwargs)
        return fused(*args, **kwargs)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched)
    MlDecoder(12, 4, width=16).train(training)(torch.randn(2, 9, 12))
    assert len(asked) == 1


def test_the_loss_by_hand():
    # at logit 0 each known label costs ln 2, whatever it is
    labels = torch.tensor([[1.0, 0.0, -1.0], [0.0, -1.0, -1.0]])
    assert float(masked_bce(torch.zeros(2, 3), labels, labels >= 0)) == pytest.approx(3 * math.log(2))
    assert float(masked_bce(torch.zeros(2, 3), labels, labels > 1)) == 0.0


def test_every_head_of_a_sweep_meets_the_mask():
    # the published loop overwrites the labels for its first head, so that the others take unknown for absent
    torch.manual_seed(9)
    features = torch.randn(16, 8)
    labels = torch.randint(-1, 2, (16, 5)).float()
    known, before = labels >= 0, labels.clone()
    heads = {rate: LinearHead(8, 5) for rate in (1e-5, 1e-4, 1e-3)}
    losses = {rate: masked_bce(head(features), labels, known) for rate, head in heads.items()}
    torch.stack(list(losses.values())).sum().backward()
    assert torch.equal(labels, before)
    for rate, head in heads.items():
        logits = head(features).detach()
        expected = functional.binary_cross_entropy_with_logits(logits[known], labels[known], reduction="sum")
        torch.testing.assert_close(losses[rate].detach(), expected)
        slope = torch.where(known, logits.sigmoid() - labels, 0.0)  # none of unknown labels
        torch.testing.assert_close(head.bias.grad, slope.sum(0))
        torch.testing.assert_close(head.weight.grad, slope.T @ features)
