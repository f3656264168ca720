"""DVC's copy of a stage of a backbone, since DVC empties a stage's outputs before it runs (`training/keep.py`).

A copy and no hard link: Snakemake gives the outputs of a job a new time, and would with a link give it to the checkpoint, which
later stages may have started from by then; they would be trained again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fxcore.errors import InputError
from fxcore.files import atomic, sha256, snakemake

PARTS = (".safetensors", ".csv")
"""Weights and history."""


def keep_backbone(checkpoint: Path, kept: Path) -> None:
    """Put a stage's weights and history where DVC knows them; the other way round, bring them back. What is there already stays.

    Raises:
        InputError: one is missing.
    """
    for suffix in PARTS:
        source, target = checkpoint.with_suffix(suffix), kept.with_suffix(suffix)
        if not source.exists():
            raise InputError(f"{source}: is missing; train the stage again with: {snakemake()}")
        if target.exists() and sha256(target) == sha256(source):
            continue
        with atomic(target) as part:
            shutil.copyfile(source, part)
