"""All randomness comes from names: the same names give the same numbers, whatever ran before."""

from __future__ import annotations

import hashlib


def derive(*names: str | int) -> int:
    """A seed in [0, 2^63) that depends on every name and on their order, and on nothing else."""
    text = "\x1f".join(f"{type(name).__name__}:{name}" for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_torch(seed: int) -> None:
    """Seed torch's own generators.

    `torch.manual_seed` gives the same numbers, but until a GPU is first used it keeps every seed for it, with the stack that
    asked for it: a list that grows with every update and every picture.
    """
    import torch

    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
