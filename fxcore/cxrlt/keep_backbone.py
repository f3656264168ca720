"""DVC's copy of a stage of a backbone: a hard link, since DVC empties a stage's outputs before it runs (`training/keep.py`)."""

from __future__ import annotations

from pathlib import Path

from fxcore.errors import InputError
from fxcore.files import link

PARTS = (".safetensors", ".csv")
"""Weights and history."""


def keep_backbone(checkpoint: Path, kept: Path) -> None:
    """Put a stage's weights and history where DVC knows them; the other way round, bring them back.

    Raises:
        InputError: one is missing.
    """
    for suffix in PARTS:
        source = checkpoint.with_suffix(suffix)
        if not source.exists():
            raise InputError(f"{source}: is missing; train the stage again with: snakemake --cores all")
        link(source, kept.with_suffix(suffix))
