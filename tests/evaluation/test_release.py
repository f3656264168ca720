"""Releasing needs to know what validation chose; which state that is, tests/training/test_starting.py says."""

import pytest

from fxcore.errors import InputError
from fxcore.evaluation.release import release
from fxcore.slices.make import release_slice


def test_a_run_that_was_not_scored_is_said(tiny, tmp_path):
    slice_ = release_slice(tiny(), "foundation_x")
    with pytest.raises(InputError, match=r"choice\.json: not readable .*; make it again with: snakemake"):
        release(slice_, tmp_path / "kept", tmp_path / "choice.json", lambda _: {}, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
