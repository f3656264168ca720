"""Training on few images: which images, how long, and that a killed job goes on to the same bytes."""

import json

import numpy as np
import pandas as pd
import pytest

from fxcore import tablefile
from fxcore.errors import InputError
from fxcore.evaluation import few_shot as module
from fxcore.evaluation.evaluate_few_shot import evaluate_few_shot
from fxcore.evaluation.few_shot import FewImages, Trial, few_shot, trials
from fxcore.files import write_json
from fxcore.machine import Machine
from fxcore.passes import Split, Task
from fxcore.slices.few_shot import FewShotMetricsSlice
from fxcore.slices.make import few_shot_slice
from fxcore.slices.train import Origin
from fxcore.tensorfile import write
from fxcore.training.loop import build, heads_of


@pytest.fixture
def slice_(tiny):
    """Of the tiny run `transfer`: 2 and 4 images, two draws, five updates each."""
    params = tiny(few_shot={"runs": ["transfer"], "samples": [2, 4], "draws": 2, "updates": 5})
    return few_shot_slice(params, "transfer")


@pytest.fixture
def start(slice_, stores, tmp_path):
    """Weights to start from: those of the run's own network, drawn from another seed."""
    how = slice_.train.model_copy(update={"seed": 99})
    model = build(how, heads_of(how, stores))
    write(tmp_path / "start.safetensors", model.state_dict(), {})
    return Origin(tmp_path / "start.safetensors")


def _run(slice_, stores, start, root):
    few_shot(slice_, stores["example_a"], start, Machine(autosave=0), 0, root / "work", root / "few.parquet")
    return (root / "few.parquet").read_bytes()


def test_fewer_images_are_among_more_and_test_stays_whole(stores):
    whole = stores["example_a"]
    few, more = FewImages(whole, 3, 1), FewImages(whole, 7, 1)
    task = Task.SEGMENTATION
    mine = [set(one.rows(task, Split.TRAIN)) for one in (few, more)]
    assert list(map(len, mine)) == [3, 7]
    assert mine[0] < mine[1] <= set(whole.rows(task, Split.TRAIN))
    for split in (Split.VAL, Split.TEST):
        assert np.array_equal(few.rows(task, split), whole.rows(task, split))


def test_another_draw_has_other_images(stores):
    drawn = {tuple(FewImages(stores["example_a"], 4, seed).rows(Task.SEGMENTATION, Split.TRAIN)) for seed in range(8)}
    assert len(drawn) > 4  # of 495 sets of 4 among 12 images


def test_more_images_than_there_are_is_said(stores):
    with pytest.raises(
        InputError, match=r"few_shot\.samples asks for 13 images; .* has 12 for training; ask for fewer"
    ):
        FewImages(stores["example_a"], 13, 1).rows(Task.SEGMENTATION, Split.TRAIN)


def test_every_training_has_the_updates_asked_for(slice_):
    # Batches of 4: two images make one smaller batch a pass, four make one; five updates are five passes of either.
    for trial in trials(slice_):
        how = trial.slice(slice_)
        updates = sum(one.updates(trial.samples, 4) for one in how.passes(slice_.cycles))
        assert updates == 5
    assert [one.name for one in trials(slice_)] == ["2-1", "4-1", "2-2", "4-2"]


def test_draws_differ_in_their_seed_and_sizes_do_not(slice_):
    seeds = {(one.samples, one.draw): one.slice(slice_).seed for one in trials(slice_)}
    assert seeds[2, 1] == seeds[4, 1] != seeds[2, 2]


def test_predictions_are_of_every_test_image_by_every_training(slice_, stores, start, tmp_path):
    _run(slice_, stores, start, tmp_path)
    table = pd.read_parquet(tmp_path / "few.parquet")
    rows = set(stores["example_a"].rows(Task.SEGMENTATION, Split.TEST))
    for _, of in table.groupby(["samples", "draw"]):
        assert set(of["row"]) == rows
        assert len(of) == 2 * len(rows)  # two classes
    assert table.groupby(["samples", "draw"]).ngroups == 4
    assert not (tmp_path / "work").exists()
    facts = json.loads((tmp_path / "few.json").read_text())
    assert facts["start"] == json.loads(_head(start.weights))["sha256"]


def _head(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]["fxcore"]


def test_a_killed_job_goes_on_to_the_same_bytes(slice_, stores, start, tmp_path, monkeypatch):
    whole = _run(slice_, stores, start, tmp_path / "whole")
    calls, real = [], module.pretrain

    def until(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(module, "pretrain", until)
    with pytest.raises(KeyboardInterrupt):
        _run(slice_, stores, start, tmp_path / "killed")
    assert _run(slice_, stores, start, tmp_path / "killed") == whole
    assert len(calls) == 5  # the third twice, and none of the others again


def test_what_other_settings_left_is_not_used(slice_, stores, start, tmp_path):
    left = tmp_path / "work" / "0123456789abcdef" / "2-1.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of another experiment")
    _run(slice_, stores, start, tmp_path)
    assert set(pd.read_parquet(tmp_path / "few.parquet")["samples"]) == {2, 4}


def test_a_trial_is_the_run_but_for_what_makes_it_one(slice_):
    how = Trial(2, 1).slice(slice_)
    same = set(type(how).model_fields) - {"run", "seed", "repeats", "snapshots", "horizon_cycles"}
    assert all(getattr(how, name) == getattr(slice_.train, name) for name in same)


def test_metrics_are_means_over_draws_and_pair_runs_by_image(stores, tiny, tmp_path):
    """Predictions by hand: a run finds one class whole in all images, another in none; Dice of an empty find is 0."""
    from fxcore.data import rle
    from fxcore.provenance import describe

    store = stores["example_a"]
    rows = store.rows(Task.SEGMENTATION, Split.TEST)
    few = {"runs": ["transfer"], "samples": [2], "draws": 2, "updates": 5}
    slice_ = few_shot_slice(tiny(few_shot=few), "transfer")
    files = {}
    for run, found in (("all", {1: True, 2: False}), ("nothing", {1: False, 2: False})):
        table = [
            (int(row), label, rle.encode(mask if found[draw] else np.zeros_like(mask))["counts"], 2, draw)
            for draw in (1, 2)
            for row in rows
            for label, mask in enumerate(store.mask(row))
        ]
        files[run] = tmp_path / f"{run}.parquet"
        columns = ["row", "label", "counts", "samples", "draw"]
        tablefile.write(files[run], pd.DataFrame(table, columns=columns))
        write_json(files[run].with_suffix(".json"), describe(slice_))
    how = FewShotMetricsSlice(runs=("all", "nothing"), store_size=72, resamples=50, confidence=0.95)
    evaluate_few_shot(how, files, lambda _: stores, tmp_path / "few_shot.json")
    runs = json.loads((tmp_path / "few_shot.json").read_text())["runs"]
    one = runs["all"]["samples"]["2"]
    assert one["draws"] == [1.0, 0.0]
    assert one["value"] == 0.5
    assert one["sd"] == pytest.approx(0.5**0.5, abs=1e-6)
    assert one["differences"]["nothing"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert runs["nothing"]["samples"]["2"]["value"] == 0.0
