"""The released weights are those that validation prefers over all heads."""

import pytest

from fxcore.errors import InputError
from fxcore.evaluation.release import best, release
from fxcore.slices.make import release_slice


def _candidate(cycle, value, branch="teacher", dataset="a"):
    return {"cycle": cycle, "branch": branch, "dataset": dataset, "task": "classification", "value": value}


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([_candidate(1, 0.6), _candidate(2, 0.5)], (1, "teacher")),
        ([_candidate(1, 0.5), _candidate(2, 0.5)], (2, "teacher")),
        # means over heads: 0.6 after one cycle, 0.55 after two
        (
            [
                *(_candidate(1, 0.3), _candidate(1, 0.9, dataset="b")),
                *(_candidate(2, 0.5), _candidate(2, 0.6, dataset="b")),
            ],
            (1, "teacher"),
        ),
        # a student is taken only where there is no teacher
        ([_candidate(1, 0.6), _candidate(1, 0.9, "student")], (1, "teacher")),
        ([_candidate(1, 0.6, "student"), _candidate(2, 0.7, "student")], (2, "student")),
        # what is undefined counts for nothing
        ([_candidate(1, 0.6), _candidate(1, None, dataset="b"), _candidate(2, 0.5)], (1, "teacher")),
        ([_candidate(1, None), _candidate(2, None)], (2, "teacher")),
    ],
)
def test_the_best_mean_over_all_heads(candidates, expected):
    assert best(candidates) == expected


def test_a_run_that_was_not_scored_is_said(tiny, tmp_path):
    slice_ = release_slice(tiny(), "foundation_x")
    with pytest.raises(InputError, match=r"choice\.json: not readable .*; score the run with: snakemake"):
        release(slice_, tmp_path / "kept", tmp_path / "choice.json", lambda _: {}, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
