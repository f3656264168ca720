"""Benchmarks run; what they measure is no test."""

import runpy
import sys

import pytest

from fxcore.params.cxrlt import Vit
from tests.conftest import PROJECT, TINY


@pytest.fixture
def benchmark(monkeypatch):
    """A benchmark's names, its constants changed."""

    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))  # as where Python is given the file

    def read(name, **small):
        made = runpy.run_path(str(PROJECT / "benchmarks" / name))
        names = made["main"].__globals__
        monkeypatch.setattr(sys, "argv", [name])
        for constant, value in small.items():
            assert constant in made
            monkeypatch.setitem(names, constant, value)
        return names

    return read


def test_ways_take_turns_and_the_best_round_of_each_counts(monkeypatch):
    names = runpy.run_path(str(PROJECT / "benchmarks/table.py"))
    now, turns = [0.0], []

    def way(name, *seconds):
        left = iter(seconds)

        def run():
            turns.append(name)
            now[0] += next(left)

        return run

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    assert names["timed"](3, way("a", 3, 2, 4), way("b", 5, 6, 7)) == [2, 5]
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert names["heading"]().splitlines() == [
        "| what | against | ours | theirs | ratio | aim |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    assert names["ratio"]("a", "b", 0.5, 2, "< 1", "ms") == "| a | b | 0.5 ms | 2 ms | 0.250 | < 1 |\n"


def test_the_store_benchmark_prints_both_rates_and_their_ratio(benchmark, capsys):
    benchmark("store.py", IMAGES=3, SIDE=128, STORE=64, REPEATS=1)["main"]()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "decode PNG 128 x 128 (Pillow)",
        "read the store, 64 x 64",
        "ratio",
    ]
    assert all(float(line.split(":")[1].split()[0].replace(",", "")) > 0 for line in lines)


def test_the_model_benchmark_prints_ratios_and_distances_to_floors(benchmark, monkeypatch, capsys):
    tiny = {"PRESET": str(TINY), "DATASET": "example_a", "BATCH": 2, "SIDES": (64,), "ROUNDS": 1, "REPEATS": 1}
    names = benchmark("model.py", **tiny, FAR=2**20, NEAR=2**12, SQUARE=64)
    names["report_peak"]("alone")
    assert int(capsys.readouterr().out) >= 0
    # A process takes five seconds to import torch: one is measured in place of both.
    found = names["peak"]("update")
    monkeypatch.setitem(names, "peak", lambda _: found)
    names["main"]()
    ratios, floors = (table.splitlines() for table in capsys.readouterr().out.split("\n\n"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (*ratios[2:], *floors[2:])]
    assert [one[0] for one in cells] == [
        *("peak memory", "release update", "release update", "lock update", "release update", "the teacher's step"),
        *("deformable attention, encoder at 64 pixels", "deformable attention, decoder at 64 pixels"),
        *("release update", "backbone forward", "the teacher's step", "deformable attention, encoder at 64 pixels"),
    ]
    for *_, ours, theirs, ratio, _ in cells[:8]:
        assert float(ratio) == pytest.approx(float(ours.split()[0]) / float(theirs.split()[0]), rel=0.02, abs=0.001)
    for *_, least, takes, times in cells[8:]:
        assert float(times) == pytest.approx(float(takes.split()[0]) / float(least.split()[0]), rel=0.02, abs=0.1)


def _cells(out):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines()]


def test_the_engine_benchmark_weighs_each_kind_of_pass_by_the_papers_cycle(benchmark, capsys, monkeypatch):
    tiny = {
        "PRESET": str(TINY),
        "DATASET": "example_a",
        "BATCH": 4,
        "UPDATES": 3,
        "ROUNDS": 1,
        "THREADS": 1,
        "WORKERS": 0,
    }
    names = benchmark("engine.py", **tiny)
    monkeypatch.setitem(names, "start", lambda: iter(["| a start |\n"]))  # it runs whole jobs
    names["main"]()
    _, _, _, *kinds, cycle, published, outside, waits, saved = _cells(capsys.readouterr().out)
    assert [one[0] for one in kinds] == [
        "classification release",
        *("localization lock", "localization release", "segmentation lock", "segmentation release"),
    ]
    seconds = [float(one[3].split()[0]) for one in kinds]
    weights = (30747, 1119, 2241, 536, 1074)
    hours = sum(weight * one for weight, one in zip(weights, seconds, strict=True)) / 3600
    assert float(cycle[3].split()[0]) == pytest.approx(hours, rel=0.02)
    assert (cycle[0], published[0], outside[0]) == ("a cycle", "a cycle", "between updates of a cycle")
    assert waits[3] == "6"  # two of each of three released passes of 3 updates; a lock pass has one update
    assert saved[0].startswith("an autosave, ")


def test_the_benchmark_of_stores_compares_with_opencv(benchmark, capsys):
    pytest.importorskip("cv2", reason="needs opencv-python-headless, which only this benchmark uses")
    benchmark("normalize.py", DRAWN=1, IMAGES=6, SIDE=128, STORE=64, ROUNDS=1)["main"]()
    *_, png, jpg = _cells(capsys.readouterr().out)
    assert (png[0], jpg[0]) == ("6 png of 128 × 128", "6 jpg of 128 × 128")
    for one in (png, jpg):
        pure, ours = (float(cell.removesuffix("/s").replace(",", "")) for cell in one[1:3])
        assert float(one[3]) == pytest.approx(ours / pure, rel=0.05, abs=0.01)


def test_the_benchmark_of_evaluation_compares_with_scikit_learn_and_pycocotools(benchmark, capsys):
    tiny = {"IMAGES": 60, "CLASSES": 2, "RESAMPLES": 4, "FEW": 2, "SHOWN": 8, "FOUND": 6, "DRAWN": 2, "ROUNDS": 1}
    benchmark("evaluation.py", **tiny)["main"]()
    table, memory = capsys.readouterr().out.split("\n\n")
    _, _, *rows = _cells(table)
    assert [one[0].split(",")[0] for one in rows] == ["AUC", "mAP40", "mAP40", *["COCO's AP"] * 3]
    for one in rows:
        ours, theirs = (float(cell.removesuffix(" s")) for cell in one[2:4])
        assert float(one[4]) == pytest.approx(theirs / ours, rel=0.02, abs=0.1)
    assert all(float(rows[place][1].rsplit(" ", 1)[1]) < 1e-15 for place in (1, 3, 5))
    assert float(memory.split(": ")[1].split()[0]) > 0


def test_the_benchmark_of_cxrlt_heads_compares_with_a_loop_and_with_timm(benchmark, capsys):
    tiny = {"BATCH": 3, "CLASSES": 4, "WIDTH": 16, "IMAGES": 2, "PATCHES": 5, "FEATURES": 12, "ROUNDS": 1, "REPEATS": 2}
    benchmark("cxrlt_heads.py", **tiny, THREADS=1)["main"]()
    _, _, *rows = _cells(capsys.readouterr().out)
    assert [one[0].split(",")[0] for one in rows] == ["last layer", "last layer", "ML-Decoder", "ML-Decoder"]
    for one in rows:
        ours, theirs = (float(cell.removesuffix(" ms")) for cell in one[2:4])
        assert float(one[4]) == pytest.approx(theirs / ours, rel=0.02, abs=0.1)
        assert float(one[1].rsplit(" ", 1)[1]) < 1e-4


def test_the_benchmark_of_pretraining_compares_each_part_with_a_plainer_way(benchmark, capsys, monkeypatch):
    crops = {"IMAGES": 1, "LARGE": 32, "SMALL": 16, "LOCALS": 2}
    crops |= {"SIZES": Vit(width=24, depth=4, heads=2, drop_path=0.0, layer_scale=1e-5)}
    loss = {"PROTOTYPES": 64, "CHANNELS": 8, "ROWS": 16, "CHUNK": 16}
    heads = {"LABELLED": 8, "EPOCHS": 1, "CLASSES": 3, "SIDE": 32}
    names = benchmark("pretraining.py", **crops, **loss, **heads, ROUNDS=1, THREADS=1)
    monkeypatch.setitem(names, "peak", {"ours": 0.5, "plain": 2.0}.get)  # processes of their own
    names["main"]()
    _, _, *rows = _cells(capsys.readouterr().out)
    assert [one[1].partition(";")[0] for one in rows] == [
        *("a loop over crops", "whole matrices", "whole matrices", "one learning rate"),
    ]
    assert rows[1][2:] == ["0.5 GiB", "2 GiB", "0.250", "≤ 0.25"]
    assert float(rows[0][1].rsplit(" ", 1)[1]) < 1e-4


def test_the_benchmark_of_leakage_finds_with_the_index_what_all_pairs_have(benchmark, capsys):
    benchmark("leakage.py", ALL_PAIRS=300, DECODED=2, SIDE=64, STORE=48)["main"](2_000)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["hashing", "index", "index", "split", "join", "largest memory"]


@pytest.mark.long
def test_the_benchmark_of_scale_runs_every_job_and_measures_its_growth(benchmark, capsys, monkeypatch, tmp_path):
    names = benchmark("scale.py", PARAMS=str(TINY), FEW=0, IMAGES=(100, 200, 400), CYCLES=2, ROUNDS=1)
    found = names["measure"](100)
    assert list(found) == list(names["TIMED"])
    assert all(one.seconds > 0 and 0 < one.memory < 8 for one in found.values())
    # What three numbers of images would take is made up, so that its growth is known: linear, and with the square.
    of = names["Cost"]
    monkeypatch.setitem(
        names, "measure", lambda number: {job: of(1 + number / 100, 1, 0.1 + (number / 100) ** 2) for job in found}
    )
    sys.argv.append(str(tmp_path / "scale.png"))
    names["main"]()
    dry, table = capsys.readouterr().out.split("\n\n")
    assert int(dry.split()[3]) > 20  # every stage of two cycles, and the rest
    _, _, *rows = _cells(table)
    assert [one[0] for one in rows] == list(names["TIMED"])
    assert {tuple(one[1:]) for one in rows} == {("1 s", "2 s", "3 s", "5 s", "1.00", "16.10 GiB", "2.00")}
    assert (tmp_path / "scale.png").stat().st_size > 1000
