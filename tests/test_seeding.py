"""Seeds from names."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcore.seeding import derive, seed_torch
from tests.conftest import PROJECT


@given(
    st.lists(st.one_of(st.integers(), st.text()), max_size=4), st.lists(st.one_of(st.integers(), st.text()), max_size=4)
)
def test_seeds_differ_exactly_when_names_do(first, second):
    same = [(type(one), one) for one in first] == [(type(one), one) for one in second]
    assert (derive(*first) == derive(*second)) == same
    assert 0 <= derive(*first) < 2**63


def test_a_seed_gives_the_numbers_that_torch_gives_for_it_and_is_not_kept():
    torch = pytest.importorskip("torch")
    torch.manual_seed(7)
    expected, kept = torch.rand(3), len(torch.cuda._queued_calls)
    for _ in range(5):
        seed_torch(7)
    assert torch.equal(torch.rand(3), expected)
    assert len(torch.cuda._queued_calls) == kept


def test_seeds_are_the_same_in_every_process():
    assert derive(42, "order", 0) == _in_another_process()


def _in_another_process():
    code = "from fxcore.seeding import derive; print(derive(42, 'order', 0))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return int(ran.stdout)
