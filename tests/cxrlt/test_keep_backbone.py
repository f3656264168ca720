"""What DVC keeps of a stage is a file of its own."""

import os

import pytest

from fxcore.cxrlt.keep_backbone import keep_backbone
from fxcore.errors import InputError


@pytest.fixture
def stage(tmp_path):
    """A checkpoint and its history, and the place of the copy."""
    checkpoint = tmp_path / "checkpoints" / "48.safetensors"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"weights")
    checkpoint.with_suffix(".csv").write_bytes(b"history")
    return checkpoint, tmp_path / "backbones" / "48.safetensors"


def test_touching_the_copy_leaves_the_checkpoint_as_old_as_it_is(stage):
    """Snakemake touches what a job made; a later stage that started from the checkpoint would be trained again."""
    checkpoint, kept = stage
    os.utime(checkpoint, (1, 1))
    keep_backbone(checkpoint, kept)
    os.utime(kept)
    assert kept.read_bytes() == b"weights"
    assert kept.with_suffix(".csv").read_bytes() == b"history"
    assert checkpoint.stat().st_mtime == 1


def test_what_is_there_already_is_not_written_again(stage):
    checkpoint, kept = stage
    keep_backbone(checkpoint, kept)
    os.utime(kept, (5, 5))
    keep_backbone(checkpoint, kept)
    assert kept.stat().st_mtime == 5


def test_a_stage_that_is_not_there_is_named(stage):
    checkpoint, kept = stage
    checkpoint.unlink()
    with pytest.raises(InputError, match=r"48\.safetensors: is missing"):
        keep_backbone(checkpoint, kept)
