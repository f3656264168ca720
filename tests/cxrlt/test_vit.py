"""The vision transformer against timm's own forward pass, and crops packed against crops apart."""

import numpy as np
import pytest
import torch

from fxcore.cxrlt.vit import MEAN, STD, Packed, VisionNetwork, _branch, parameters_apart, resampled
from fxcore.params.cxrlt import Vit

SIZES = Vit(patch=8, width=32, depth=3, heads=4, registers=2, layer_scale=0.3, drop_path=0.0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return VisionNetwork(SIZES, 48).eval()


def _images(number, side, seed=1):
    return torch.rand(number, 1, side, side, generator=torch.Generator().manual_seed(seed))


def test_tokens_are_those_of_timm(network):
    images = _images(2, 48)
    colours = (images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network([(images, None)])[0], network.net(colours), rtol=1e-5, atol=1e-5)


def test_the_published_network_has_303_8_million_parameters():
    with torch.device("meta"):
        large = VisionNetwork(Vit(), 224)
    assert Vit().hidden == 2736
    # 24 blocks of 4·1024² + 3·1024·2736 weights, embeddings of 196 patches; the mask token on top
    assert sum(one.numel() for one in large.parameters()) / 1e6 == pytest.approx(303.8, abs=0.1)


def test_feed_forward_nets_are_gated_by_a_swish_of_the_first_half(network):
    tokens = torch.randn(3, 32, generator=torch.Generator().manual_seed(5))
    net = network.net.blocks[1].mlp
    with torch.no_grad():
        gate, gated = net.fc1(tokens).chunk(2, dim=-1)
        torch.testing.assert_close(net(tokens), net.fc2(gate * gate.sigmoid() * gated))


def test_crops_packed_are_crops_one_by_one(network):
    large, small = _images(3, 48), _images(5, 24, seed=2)
    masked = torch.rand(3, 36, generator=torch.Generator().manual_seed(3)) < 0.4
    with torch.no_grad():
        found = network([(large, masked), (small, None)])
        for at in range(3):
            alone = network([(large[at : at + 1], masked[at : at + 1])])[0]
            torch.testing.assert_close(found[0][at : at + 1], alone, rtol=1e-5, atol=1e-5)
        for at in range(5):
            torch.testing.assert_close(
                found[1][at : at + 1], network([(small[at : at + 1], None)])[0], rtol=1e-5, atol=1e-5
            )


def test_what_is_masked_is_not_seen_but_where_it_is_is_known(network):
    images, masked = _images(1, 48), torch.zeros(1, 36, dtype=torch.bool)
    masked[0, 7] = True
    changed = images.clone()
    changed[..., 8:16, 8:16] = 0.0  # patch 7 of a grid of 6
    with torch.no_grad():
        torch.testing.assert_close(network.embed(images, masked), network.embed(changed, masked))
        tokens = network.embed(images, masked)
        torch.testing.assert_close(tokens[0, network.prefix + 7], network.mask_token + network.net.pos_embed[0, 7])


def test_features_are_the_last_blocks_under_the_final_norm(network):
    images = _images(2, 48)
    with torch.no_grad():
        expected = network.net.get_intermediate_layers(
            (images - network.mean) / network.std, n=2, norm=True, return_prefix_tokens=True
        )
        found = network.features(images, 2)
    for mine, (patches, prefix) in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, torch.cat([prefix, patches], dim=1), rtol=1e-5, atol=1e-5)


def _keys(distance):
    """The cubic kernel with a = -0.75, at distances below 1 and from 1 to 2."""
    near = 1.25 * distance**3 - 2.25 * distance**2 + 1
    far = -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance < 1, near, far)


def test_positions_for_a_finer_grid_are_bicubic():
    grid = np.random.default_rng(3).normal(size=(8, 8))
    found = resampled(torch.from_numpy(grid).reshape(1, 64, 1), 16).reshape(16, 16).numpy()
    # the centre of fine cell 7 lies at 7.5 / 2 - 0.5 = 3.25 in coarse cells: between 3 and 4
    weights = _keys(np.abs(np.array([2, 3, 4, 5]) - 3.25))
    assert found[7, 7] == pytest.approx(weights @ grid[2:6, 2:6] @ weights, abs=1e-5)
    same = torch.zeros(1, 64, 4)
    assert resampled(same, 8) is same


def test_positions_for_a_coarser_grid_are_not_antialiased():
    row = np.random.default_rng(4).normal(size=(16, 16))
    found = resampled(torch.from_numpy(row).reshape(1, 256, 1), 8).reshape(8, 8).numpy()
    # coarse cell 3 lies at 3.5 * 2 - 0.5 = 6.5 in fine cells: four neighbours an axis, whatever the scale
    weights = _keys(np.abs(np.array([5, 6, 7, 8]) - 6.5))
    assert found[3, 3] == pytest.approx(weights @ row[5:9, 5:9] @ weights, abs=1e-5)


def test_a_branch_on_part_of_the_crops_is_right_on_average():
    tokens = torch.arange(12.0).reshape(6, 2)
    packed = Packed(tokens, ((3, 1), (1, 3)))
    torch.manual_seed(4)
    found = torch.stack([_branch(lambda kept: kept.tokens * 2, packed, 0.4) for _ in range(4000)])
    # 2 of 3 crops are kept, and the only one of the second group always
    assert torch.equal(found[:, 3:], (tokens[3:] * 3).expand(4000, 3, 2))
    np.testing.assert_allclose(found[:, :3].mean(dim=0), tokens[:3] * 3, atol=0.15)
    skipped = (found[:, :3] == tokens[:3]).all(dim=2)[:, 1:]
    assert (skipped.sum(dim=1) <= 1).all()
    assert skipped.any(dim=0).all()


def test_checkpointing_changes_neither_values_nor_gradients():
    sizes = SIZES.model_copy(update={"drop_path": 0.5})
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(5)
        network = VisionNetwork(sizes, 24, checkpointing=checkpointing).train()
        torch.manual_seed(6)
        value = network([(_images(4, 24), None)])[0].square().mean()
        value.backward()
        found.append((value.detach(), network.net.blocks[0].attn.qkv.weight.grad))
    torch.testing.assert_close(found[0], found[1])


def test_biases_norms_and_layer_scale_do_not_decay(network):
    decays = {name: of for name, _, of in parameters_apart(network)}
    assert not any(
        decays[f"net.blocks.0.{name}"] for name in ("norm1.weight", "ls1.gamma", "attn.qkv.bias", "mlp.fc1.bias")
    )
    assert all(
        decays[name] for name in ("net.blocks.0.attn.qkv.weight", "net.pos_embed", "net.cls_token", "mask_token")
    )
