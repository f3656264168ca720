"""Which GPUs a job may use; lock files stand for them, so no GPU is needed."""

import os

import pytest

from fxcore.errors import InputError
from fxcore.training import runtime


@pytest.fixture(autouse=True)
def node(tmp_path, monkeypatch):
    """A machine with locks of its own, that shows its jobs two GPUs."""
    monkeypatch.setattr(runtime.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def test_jobs_of_one_machine_share_its_gpus(monkeypatch):
    with runtime.lease(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with runtime.lease(1):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
            with pytest.raises(InputError, match="1 GPUs asked for, 0 free of 2"), runtime.lease(1):
                pass


def test_jobs_of_slurm_have_gpus_of_their_own_under_the_same_number(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with runtime.lease(1):
        monkeypatch.setenv("SLURM_JOB_ID", "18")
        with runtime.lease(1):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
            # two processes in one allocation do share
            with pytest.raises(InputError, match="0 free of 1"), runtime.lease(1):
                pass
