"""Tiny checkpoints as the authors of CheXFound released theirs, and what their networks compute, written down apart from ours."""

import numpy as np
import torch

WIDTH, DEPTH, PATCH, SIDE, REGISTERS, ATTENTION = 128, 4, 4, 5, 2, 2
HIDDEN = 344
"""Two thirds of 4 · 128, rounded up to a multiple of 8."""
RESOLUTION = PATCH * SIDE
PROJECTION = {"prototypes": 24, "hidden": 32, "dino": 12, "ibot": 8, "chunk": 16}


def backbone(seed=0):
    """DINOv2's names with flat blocks, without a prefix."""
    drawn = torch.Generator().manual_seed(seed)

    def normal(*shape, scale=0.1):
        return torch.randn(*shape, generator=drawn) * scale

    state = {
        "cls_token": normal(1, 1, WIDTH),
        "pos_embed": normal(1, 1 + SIDE**2, WIDTH, scale=0.5),
        "register_tokens": normal(1, REGISTERS, WIDTH),
        "mask_token": normal(1, WIDTH),
        "patch_embed.proj.weight": normal(WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": normal(WIDTH),
        "norm.weight": 1 + normal(WIDTH),
        "norm.bias": normal(WIDTH),
    }
    linears = {
        "attn.qkv": (3 * WIDTH, WIDTH),
        "attn.proj": (WIDTH, WIDTH),
        "mlp.w12": (2 * HIDDEN, WIDTH),
        "mlp.w3": (WIDTH, HIDDEN),
    }
    for block in range(DEPTH):
        place = f"blocks.{block}"
        for norm in ("norm1", "norm2"):
            state |= {f"{place}.{norm}.weight": 1 + normal(WIDTH), f"{place}.{norm}.bias": normal(WIDTH)}
        for name, shape in linears.items():
            state |= {f"{place}.{name}.weight": normal(*shape), f"{place}.{name}.bias": normal(shape[0])}
        state |= {f"{place}.{scale}.gamma": 1 + normal(WIDTH, scale=0.3) for scale in ("ls1", "ls2")}
    return state


def projection(channels, seed):
    """A head of self-supervision, with the names of PyTorch's older `weight_norm`."""
    drawn, hidden, number = torch.Generator().manual_seed(seed), PROJECTION["hidden"], PROJECTION["prototypes"]
    shapes = {"mlp.0": (hidden, WIDTH), "mlp.2": (hidden, hidden), "mlp.4": (channels, hidden)}
    state = {f"{name}.weight": torch.randn(*shape, generator=drawn) for name, shape in shapes.items()}
    state |= {f"{name}.bias": torch.randn(shape[0], generator=drawn) for name, shape in shapes.items()}
    state["last_layer.weight_g"] = 1 + torch.rand(number, 1, generator=drawn)
    state["last_layer.weight_v"] = torch.randn(number, channels, generator=drawn)
    return state


def chunked(state):
    """Blocks in two chunks; a block keeps the number that it has among all."""
    return {
        f"blocks.{int(name.split('.')[1]) // 2}.{name.removeprefix('blocks.')}"
        if name.startswith("blocks.")
        else name: of
        for name, of in state.items()
    }


def teacher(state, heads=("dino", "ibot")):
    """The checkpoint."""
    made = {f"backbone.{name}": of for name, of in state.items()}
    for seed, head in enumerate(heads):
        made |= {f"{head}_head.{name}": of for name, of in projection(PROJECTION[head], seed).items()}
    return {"teacher": made}


def norm(tokens, weight, bias, eps):
    centred = tokens - tokens.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias


def attention(query, key, value, heads):
    """(B, N, width), (B, M, width), (B, M, width) → (B, N, width), in a loop over heads."""
    size, found = query.shape[-1] // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = query[..., part] @ key[..., part].transpose(0, 2, 1) / np.sqrt(size)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        found.append(weights / weights.sum(-1, keepdims=True) @ value[..., part])
    return np.concatenate(found, axis=-1)


def outputs(state, images):
    """Of every block, under the last norm: images (B, 1, S, S) in 0..1 → tokens (B, 1 + registers + patches, width) each."""
    of = {name: value.double().numpy() for name, value in state.items()}
    mean, std = (np.array(one)[:, None, None] for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixels = (images.double().numpy() - mean) / std
    rows = []
    for down in range(SIDE):
        for right in range(SIDE):
            patch = pixels[..., PATCH * down : PATCH * (down + 1), PATCH * right : PATCH * (right + 1)]
            rows.append(np.einsum("bchw,dchw->bd", patch, of["patch_embed.proj.weight"]) + of["patch_embed.proj.bias"])
    number = len(images)
    cls = np.repeat(of["cls_token"], number, axis=0)
    tokens = np.concatenate([cls, np.stack(rows, axis=1)], axis=1) + of["pos_embed"]
    registers = np.repeat(of["register_tokens"], number, axis=0)
    tokens = np.concatenate([tokens[:, :1], registers, tokens[:, 1:]], axis=1)
    found = []
    for block in range(DEPTH):
        own = {
            name.removeprefix(f"blocks.{block}."): value
            for name, value in of.items()
            if name.startswith(f"blocks.{block}.")
        }

        def linear(name, tokens, own=own):
            return tokens @ own[f"{name}.weight"].T + own[f"{name}.bias"]

        seen = norm(tokens, own["norm1.weight"], own["norm1.bias"], 1e-6)
        query, key, value = np.split(linear("attn.qkv", seen), 3, axis=-1)
        tokens = tokens + own["ls1.gamma"] * linear("attn.proj", attention(query, key, value, ATTENTION))
        seen = norm(tokens, own["norm2.weight"], own["norm2.bias"], 1e-6)
        gate, gated = np.split(linear("mlp.w12", seen), 2, axis=-1)
        tokens = tokens + own["ls2.gamma"] * linear("mlp.w3", gate / (1 + np.exp(-gate)) * gated)
        found.append(norm(tokens, of["norm.weight"], of["norm.bias"], 1e-6))
    return found


FEATURES, MEMORY, FEEDFORWARD, CLASSES = 64, 24, 48, 40


def decoder(skip=0, classes=CLASSES, seed=0):
    """ML-Decoder's names, with a query a class."""
    drawn = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=drawn) * 0.3

    state = {
        "embed_len_decoder.weight": normal(MEMORY, FEATURES),
        "embed_len_decoder.bias": normal(MEMORY),
        "decoder.query_embed.weight": normal(classes, MEMORY),
        "decoder.duplicate_pooling": normal(classes, MEMORY + skip, 1),
        "decoder.duplicate_pooling_bias": normal(classes),
        "decoder.layers.0.multihead_attn.in_proj_weight": normal(3 * MEMORY, MEMORY),
        "decoder.layers.0.multihead_attn.in_proj_bias": normal(3 * MEMORY),
        "decoder.layers.0.multihead_attn.out_proj.weight": normal(MEMORY, MEMORY),
        "decoder.layers.0.multihead_attn.out_proj.bias": normal(MEMORY),
        "decoder.layers.0.linear1.weight": normal(FEEDFORWARD, MEMORY),
        "decoder.layers.0.linear1.bias": normal(FEEDFORWARD),
        "decoder.layers.0.linear2.weight": normal(MEMORY, FEEDFORWARD),
        "decoder.layers.0.linear2.bias": normal(MEMORY),
    }
    for number in (1, 2, 3):
        state |= {f"decoder.layers.0.norm{number}.weight": 1 + normal(MEMORY)}
        state |= {f"decoder.layers.0.norm{number}.bias": normal(MEMORY)}
    return state


def swept(*rates, parallel="", **how):
    """The checkpoint of a sweep: a head for each rate, as text with `_` for the dot."""
    return {
        "model": {
            f"classifiers_dict.classifier_4_blocks_avgpool_False_lr_{rate}.{parallel}{name}": of
            for seed, rate in enumerate(rates)
            for name, of in decoder(seed=seed, **how).items()
        },
        "iteration": 2499,
    }


def logits(state, patches, cls=None):
    """Patches (B, N, features) and, joined to each token, [CLS] (B, skip) → (B, classes)."""
    of = {name.removeprefix("decoder."): value.double().numpy() for name, value in state.items()}
    memory = np.maximum(patches.double().numpy() @ of["embed_len_decoder.weight"].T + of["embed_len_decoder.bias"], 0)
    layer = {name.removeprefix("layers.0."): value for name, value in of.items() if name.startswith("layers.0.")}

    def normed(number, tokens):
        return norm(tokens, layer[f"norm{number}.weight"], layer[f"norm{number}.bias"], 1e-5)

    tokens = normed(1, 2 * np.repeat(of["query_embed.weight"][None], len(patches), axis=0))
    maps = zip(
        np.split(layer["multihead_attn.in_proj_weight"], 3),
        np.split(layer["multihead_attn.in_proj_bias"], 3),
        strict=True,
    )
    query, key, value = (
        source @ weight.T + bias for source, (weight, bias) in zip((tokens, memory, memory), maps, strict=True)
    )
    seen = attention(query, key, value, 8)
    tokens = normed(
        2, tokens + seen @ layer["multihead_attn.out_proj.weight"].T + layer["multihead_attn.out_proj.bias"]
    )
    hidden = np.maximum(tokens @ layer["linear1.weight"].T + layer["linear1.bias"], 0)
    tokens = normed(3, tokens + hidden @ layer["linear2.weight"].T + layer["linear2.bias"])
    if cls is not None:
        joined = np.repeat(cls.double().numpy()[:, None], tokens.shape[1], axis=1)
        tokens = np.concatenate([tokens, joined], axis=-1)
    return np.stack(
        [
            tokens[:, one] @ of["duplicate_pooling"][one, :, 0] + of["duplicate_pooling_bias"][one]
            for one in range(tokens.shape[1])
        ],
        axis=1,
    )
