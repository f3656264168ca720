"""Sealed tables: what comes back is what was written, and nothing else does."""

import pandas as pd
import pytest

from fxcore import tablefile
from fxcore.errors import InputError

TABLE = pd.DataFrame({"image": ["a", "b", None], "row": [1, 2, 3], "score": [0.5, float("nan"), 1e-9]})
TABLE["label"] = pd.array([1, None, 0], dtype="Int8")
TABLE["source"] = pd.Categorical(["x", "y", "x"])


@pytest.fixture
def path(tmp_path):
    tablefile.write(tmp_path / "deep" / "a.parquet", TABLE)
    return tmp_path / "deep" / "a.parquet"


def test_a_table_comes_back_and_any_reader_of_parquet_can_read_it(path):
    pd.testing.assert_frame_equal(tablefile.read(path), TABLE)
    pd.testing.assert_frame_equal(pd.read_parquet(path), TABLE)


def test_equal_tables_are_equal_files(path, tmp_path):
    tablefile.write(tmp_path / "b.parquet", TABLE)
    assert path.read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_no_bit_flips_and_no_end_is_lost_unnoticed(path):
    """Every bit of a table, and every length that it can be cut to."""
    whole = path.read_bytes()
    assert len(whole) > 20_000 / 8
    assert tablefile._whole(memoryview(whole))
    changed = bytearray(whole)
    for at in range(8 * len(whole)):
        changed[at // 8] ^= 1 << at % 8
        assert not tablefile._whole(memoryview(changed)), at
        changed[at // 8] ^= 1 << at % 8
    assert not any(tablefile._whole(memoryview(whole[:length])) for length in range(len(whole)))


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"nothing at all"])
def test_what_is_no_table_is_named_with_the_command_that_makes_it(path, content):
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"a\.parquet: not readable .*; make it again with: snakemake --cores all --force -- \S+$"
    ):
        tablefile.read(path)


def test_a_table_that_was_not_sealed_is_not_read(path):
    TABLE.to_parquet(path)
    with pytest.raises(InputError, match="it does not have the checksum that it was written with"):
        tablefile.read(path)
