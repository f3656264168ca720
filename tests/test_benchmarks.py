"""Benchmarks run; what they measure is no test."""

import runpy
import sys

from tests.conftest import PROJECT


def test_the_store_benchmark_prints_both_rates_and_their_ratio(monkeypatch, capsys):
    made = runpy.run_path(str(PROJECT / "benchmarks/store.py"))
    small = {"IMAGES": 3, "SIDE": 128, "STORE": 64, "REPEATS": 1}
    monkeypatch.setattr(sys, "argv", ["store.py"])
    for name, value in small.items():
        monkeypatch.setitem(made["main"].__globals__, name, value)
    made["main"]()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "decode PNG 128 x 128 (Pillow)",
        "read the store, 64 x 64",
        "ratio",
    ]
    assert all(float(line.split(":")[1].split()[0].replace(",", "")) > 0 for line in lines)
