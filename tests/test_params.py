"""Parameters: every mistake is one line that names the key; equal values are equal whatever their order."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fxcore.errors import InputError
from fxcore.params import experiment
from fxcore.slices.make import (
    figure_slice,
    report_slice,
    score_slice,
    store_slice,
    table_slice,
    train_slice,
    visits_slice,
)
from tests.conftest import PROJECT, TINY, changed

FILES = [
    PROJECT / "params.yaml",
    *sorted((PROJECT / "presets").glob("*.yaml")),
    *sorted((PROJECT / "tests" / "presets").glob("*.yaml")),
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_parameter_file_of_the_project_is_valid(file):
    params = experiment.load(file)
    assert params.runs or params.cxrlt


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_dvc_reads_the_same_values(file):
    from dvc.utils.serialize import load_yaml

    assert experiment.Params.model_validate(load_yaml(str(file))) == experiment.load(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sede": 1}, r"sede is not a parameter; did you mean seed\?"),
        ({"model__imag_size": 64}, r"model\.imag_size is not a parameter; did you mean image_size\?"),
        ({"datasets__example_a__sourc": "x"}, r"datasets\.example_a\.sourc is not a parameter; did you mean source\?"),
        ({"datasets__example_a__title": "x"}, r"datasets\.example_a\.title is not a parameter; known: adapter, source"),
        (
            {"runs__foundation_x__train__cycle": 2},
            r"runs\.foundation_x\.train\.cycle is not a parameter; did you mean cycles\?",
        ),
        (
            {"finetune__transfer__train__start": None},
            r"finetune\.transfer starts from no run; name one under train\.start\.run",
        ),
        (
            {"finetune__transfer__train__start__run": "fundation_x"},
            r"finetune\.transfer\.train\.start\.run is fundation_x, none of runs; did you mean foundation_x\?",
        ),
        (
            {"runs__example_a_localization__train__start": {"run": "foundation_x"}},
            r"runs\.example_a_localization starts from the weights of foundation_x; move it to the block finetune",
        ),
        ({"release": ["transfer"]}, r"release: transfer is none of runs; known: foundation_x, example_a_localization"),
        ({"finetune__transfer__train__tune": "neck"}, r"finetune\.transfer\.train\.tune is 'neck'; .*'full' or 'head'"),
        (
            {"runs__foundation_x__shown_in": "table5_transfer"},
            r"runs\.foundation_x\.shown_in: only a run with role: finetune",
        ),
        ({"few_shot__samples": [4, 2]}, r"few_shot\.samples: 4, 2 do not rise"),
        ({"few_shot__runs": ["foundation_x"]}, r"few_shot\.runs: foundation_x has more than one dataset and task"),
        ({"few_shot__runs": ["transfr"]}, r"few_shot\.runs: transfr is no run; did you mean transfer\?"),
        ({"pretrain__batch_size": 0}, r"pretrain\.batch_size is 0; .*greater than or equal to 1"),
        ({"pretrain__batch_size": "many"}, r"pretrain\.batch_size is 'many'; .*integer"),
        ({"runs__foundation_x__train__momentum": 1.2}, r"train\.momentum is 1\.2; .*less than or equal to 1"),
        ({"pretrain__momentum": 0.8}, r"pretrain\.momentum is not a parameter"),
        ({"pretrain__stage": "epoch"}, r"pretrain\.stage is 'epoch'; .*'pass', 'dataset' or 'cycle'"),
        (
            {"runs__foundation_x__train__lock": ["detection"]},
            r"runs\.foundation_x\.train\.lock\.0 is 'detection'; .*'classification'",
        ),
        ({"store_size": 40, "cxrlt": None}, r"store_size is 40, below model\.image_size 64"),
        (
            {"runs__foundation_x__train__visits": {"exmple_a": ["classification"]}},
            r"runs\.foundation_x\.train\.visits\.exmple_a: no such dataset; did you mean example_a\?",
        ),
        (
            {"runs__foundation_x__train__visits": {"example_a": []}},
            r"runs\.foundation_x\.train\.visits\.example_a is \[\]; .*at least 1 item",
        ),
        (
            {"runs__foundation_x__train__visits": {"example_a": ["clasification"]}},
            r"train\.visits\.example_a\.0 is 'clasification'; .*'classification', 'localization' or 'segmentation'",
        ),
        (
            {"runs__example_a_localization__train__override__pretrain": {"batch_siz": 2}},
            r"runs\.example_a_localization\.train\.override\.pretrain\.batch_siz is not a parameter; did you mean batch_size\?",
        ),
        (
            {"runs__example_a_localization__train__override__pretrain": {"rates": {"encoder": -1}}},
            r"override\.pretrain\.rates\.encoder is -1; .*greater than 0",
        ),
        (
            {"runs__example_a_localization__train__visits": {"example_a": ["localization", "classification"]}},
            "a baseline has one dataset and one task",
        ),
        (
            {
                "runs__example_a_localization__role": "joint",
                "runs__foundation_x__train__visits": {"example_a": ["localization"]},
                "runs__foundation_x__train__snapshots": None,
            },
            "runs: foundation_x, example_a_localization with role: joint; give it to one run",
        ),
        (
            {"runs__foundation_x__train__momentum": {"stat": 0.9, "end": 1.0}},
            r"train\.momentum\.stat is not a parameter; did you mean start\?",
        ),
        (
            {"runs__foundation_x__train__momentum": {"start": 1.5, "end": 1.0}},
            r"train\.momentum\.start is 1\.5; .*less than or equal to 1",
        ),
        (
            {"runs__foundation_x__train__override__model": {"localization": {"decoder": "mine"}}},
            r"foundation_x\.train\.override\.model\.localization\.decoder is 'mine'; .*'own' or 'shared'",
        ),
        (
            {"runs__foundation_x__train__override__model": {"image_size": 96}},
            "store_size is 72, below model.image_size 96",
        ),
        ({"runs__foundation_x__of": "foundation_x"}, r"foundation_x\.of: only a run with role: ablation"),
        (
            {"runs__example_a_localization__role": "ablation", "runs__example_a_localization__of": "foundation_y"},
            r"example_a_localization\.of is foundation_y; no such run; did you mean foundation_x",
        ),
        (
            {"runs__example_a_localization__role": "ablation", "runs__example_a_localization__of": "foundation_x"},
            r"example_a_localization\.of is foundation_x; give a run with role: ablation that is of no other",
        ),
        ({"runs__foundation_x__role": "baseline"}, "a baseline has one dataset and one task"),
        (
            {"datasets__example_a__classification": {"classes": ["a", "a"]}},
            r"datasets\.example_a: classification\.classes lists a twice",
        ),
        (
            {"datasets__example_a__phantom": None},
            r"datasets\.example_a: source: phantom and phantom: \{train, val, test\} belong together",
        ),
        (
            {"datasets__example_a__test_only": True},
            r"datasets\.example_a: phantom: give a number of images for test, and for no other split",
        ),
        (
            {"datasets__example_a__phantom": {"test": 6}},
            r"datasets\.example_a: phantom: give a number of images for train, val, test, and for no other split",
        ),
        (
            {"model__localization__queries": 86},
            r"model\.localization\.queries is 86, more than the 85 encoder tokens of model\.image_size 64",
        ),
        (
            {"runs__foundation_x__train__cycles": 5},
            r"runs\.foundation_x\.train\.cycles is 5, above horizon_cycles 4; the learning rate would be zero",
        ),
        (
            {"runs__foundation_x__train__snapshots__every": 5},
            r"runs\.foundation_x\.train\.snapshots\.every is 5, above horizon_cycles 4; none would ever be taken",
        ),
        (
            {"runs__foundation_x__train__visits": {"example_a": ["segmentation", "segmentation"]}},
            r"runs\.foundation_x\.train\.visits\.example_a.* segmentation is named twice",
        ),
        ({"results_root": ""}, r"results_root: '' is no folder for results"),
        (
            {"model__localization__width": 20},
            r"model\.localization: width is 20; give a multiple of 8 and of heads, 4",
        ),
        (
            {"model__localization__labels": 1},
            r"model\.localization\.labels is 1, fewer than the localization classes of example_a",
        ),
        (
            {"pretrain__stage": "cycle", "runs__foundation_x__train__stage_cycles": 3},
            r"runs\.foundation_x\.train\.cycles is 2; give a multiple of stage_cycles, 3",
        ),
        (
            {"report__titles": {"exampel_a": "A"}},
            r"report\.titles\.exampel_a: no such dataset; did you mean example_a\?",
        ),
        (
            {"runs__foundation_x__train__visits": {"example_a": ["classification"]}},
            r"runs\.foundation_x\.train\.snapshots\.cells: the run does not visit example_a for segmentation;",
        ),
        (
            {"runs__foundation_x__train__snapshots": {"cells": {"example_b": ["localization"]}}},
            r"snapshots\.cells: the run does not visit example_b for localization;",
        ),
        (
            {"runs__foundation_x__train__momentum": None},
            r"runs\.foundation_x\.train\.snapshots are of the teacher, and momentum is null; give a momentum",
        ),
        (
            {"runs__foundation_x__train__snapshots": {"every": 0, "cells": {"example_a": ["localization"]}}},
            r"train\.snapshots\.every is 0; .*greater than or equal to 1",
        ),
        (
            {"datasets__example_a__classification__reported": ["Cardiomegaly", "Mass"]},
            r"datasets\.example_a: classification\.reported: Mass is not among the classes",
        ),
        (
            {"datasets__example_a__classification__reported": []},
            r"datasets\.example_a\.classification\.reported is \[\]; .*at least 1 item",
        ),
        ({"evaluate__every": 0}, r"evaluate\.every is 0; .*greater than or equal to 1"),
        ({"seed": None}, r"seed is None; .*integer"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path, changes, message):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(changed(yaml.safe_load(TINY.read_text()), changes), sort_keys=False))
    with pytest.raises(InputError, match=message) as caught:
        experiment.load(file)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(file))


def test_a_run_on_a_task_that_the_dataset_lacks(tmp_path):
    content = changed(yaml.safe_load(TINY.read_text()), {"datasets__example_a__segmentation": None})
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(
        InputError, match=r"visits\.example_a: the dataset has no segmentation; it has classification, localization"
    ):
        experiment.load(file)


@pytest.mark.parametrize("place", ["runs.foundation_x", "finetune.transfer"])
def test_no_run_trains_on_a_test_set(tmp_path, place):
    gold = {"cxr_lt_2024_gold": {"source": "phantom", "phantom": {"test": 6}}}
    content = changed(yaml.safe_load(TINY.read_text()), {})
    content["datasets"] |= gold
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert experiment.load(file).datasets["cxr_lt_2024_gold"].test_only
    block, run = place.split(".")
    content[block][run]["train"]["visits"] = {"cxr_lt_2024_gold": ["classification"]}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(
        InputError, match=rf"{place}\.train\.visits\.cxr_lt_2024_gold: the dataset is a test set"
    ) as caught:
        experiment.load(file)
    assert "\n" not in str(caught.value)


def test_snakemake_stops_with_exit_code_2_and_one_line_before_any_job(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(TINY.read_text().replace("batch_size: 4", "batch_siz: 4", 1))
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "snakemake"), "--cores", "all", "--config", f"params={file}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    lines = [line for line in ran.stderr.splitlines() if "batch_siz" in line]
    assert lines == [f"{file}: pretrain.batch_siz is not a parameter; did you mean batch_size? (and 1 more)"]
    assert "Traceback" not in ran.stderr


def test_two_baselines_of_one_cell_are_one_too_many(tiny):
    runs = tiny().model_dump(mode="json")["runs"]
    with pytest.raises(ValueError, match="runs: example_a_localization and twin are baselines of one dataset and task"):
        tiny(runs=runs | {"twin": runs["example_a_localization"]})


def test_overrides_replace_single_values(tiny):
    made = tiny(runs__example_a_localization__train__override__pretrain={"rates": {"encoder": 0.5}, "clip": {}})
    how = made.pretraining("example_a_localization")
    assert how.rates.encoder == 0.5
    assert how.rates.decoder == made.pretrain.rates.decoder
    assert how.clip == made.pretrain.clip == {"localization": 0.1}
    assert made.pretraining("foundation_x") == made.pretrain


def test_a_title_is_the_reports_or_the_registrys_or_the_key(tiny):
    mine = tiny().model_dump(mode="json")["datasets"]["example_a"]
    nih = {"source": "phantom", "phantom": {"train": 1, "val": 1, "test": 1}}
    params = tiny(datasets={"example_a": mine, "example_b": mine, "nih14": nih, "shenzhen": nih})
    assert params.title("example_a") == "Example A"
    assert params.title("example_b") == "example_b"
    assert params.title("nih14") == "NIH ChestX-ray14"
    titled = params.model_copy(update={"report": params.report.model_copy(update={"titles": {"nih14": "NIH"}})})
    assert (titled.title("nih14"), titled.title("shenzhen")) == ("NIH", "NIH Shenzhen")


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_canonical_slice_does_not_depend_on_key_order(random):
    content = yaml.safe_load(TINY.read_text())

    def shuffled(value, keep):
        if not isinstance(value, dict):
            return value
        keys = list(value)
        if not keep:
            random.shuffle(keys)
        return {key: shuffled(value[key], key in ("visits", "cells")) for key in keys}

    made = experiment.Params.model_validate(shuffled(content, False))
    plain = experiment.Params.model_validate(content)
    assert train_slice(made, "foundation_x").canonical() == train_slice(plain, "foundation_x").canonical()


def test_whole_numbers_written_as_floats_are_the_same_parameters(tiny):
    assert (
        train_slice(tiny(pretrain__weight_decay=1), "foundation_x").canonical()
        == train_slice(tiny(pretrain__weight_decay=1.0), "foundation_x").canonical()
    )


def test_raising_cycles_changes_no_training_slice(tiny):
    assert train_slice(tiny(runs__foundation_x__train__cycles=4), "foundation_x") == train_slice(tiny(), "foundation_x")


@pytest.mark.parametrize(
    "changes",
    [
        {"runs__foundation_x__title": "Other", "runs__foundation_x__gpus": 0},
        {"report__titles": {}, "evaluate__iou": 0.5},
        {"datasets__example_a__mirror": True, "datasets__example_a__classification__uncertain": "u_ones"},
        {"runs__example_a_localization__train__override__pretrain": {"weight_decay": 0.5}},
    ],
    ids=str,
)
def test_what_training_learns_from_elsewhere_is_in_no_training_slice(tiny, changes):
    assert train_slice(tiny(**changes), "foundation_x") == train_slice(tiny(), "foundation_x")


def test_the_store_depends_on_its_dataset_and_neither_on_titles_nor_on_runs(tiny):
    base = store_slice(tiny(), "example_a")
    assert store_slice(tiny(report__titles={}, runs__foundation_x__train__cycles=4, seed=8), "example_a") == base
    assert store_slice(tiny(datasets__example_a__classification__uncertain="u_ones"), "example_a") != base
    assert store_slice(tiny(store_size=80), "example_a") != base


def test_visits_know_datasets_and_tasks_in_training_order_and_no_more(tiny):
    other = tiny(
        runs__foundation_x__train__visits={"example_a": ["segmentation", "localization", "classification"]},
        runs__foundation_x__train__momentum=0.5,
        datasets__example_a__mirror=True,
    )
    assert visits_slice(other, "foundation_x") == visits_slice(tiny(), "foundation_x")
    assert [list(tasks) for _, tasks in visits_slice(other, "foundation_x").visits] == [
        ["classification", "localization", "segmentation"]
    ]


def test_scoring_knows_nothing_of_training_nor_of_intervals(tiny):
    changes = {"pretrain__batch_size": 3, "evaluate__resamples": 30, "evaluate__confidence": 0.9}
    assert score_slice(tiny(**changes), "foundation_x") == score_slice(tiny(), "foundation_x")


def test_tables_know_titles_and_how_the_joint_run_trained(tiny):
    made = table_slice(tiny(runs__foundation_x__train__override__pretrain={"batch_size": 2}))
    assert made.titles == {"example_a": "Example A"}
    assert made.pretrain.batch_size == 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_slice_is_short_enough_for_a_command_line(file):
    params = experiment.load(file)
    longest = [figure_slice(params)] if params.runs else []
    longest += [report_slice(params)] if params.cxrlt else []
    assert all(len(slice_.canonical().encode()) < 2**17 / 3 for slice_ in longest)


def test_a_finetune_from_the_joint_run_is_compared_with_the_others_of_its_table(tiny):
    def run(visits, start=None, shown_in="table5_transfer", **more):
        train = {"visits": visits, "cycles": 1, "horizon_cycles": 1, "momentum": None, "start": start, **more}
        return {"title": "x", "role": "finetune", "shown_in": shown_in, "train": train}

    seg, both = {"example_a": ["segmentation"]}, {"example_a": ["localization", "segmentation"]}
    params = tiny(
        runs__scratch=run(seg),
        runs__elsewhere=run(seg, shown_in="table4_organs"),
        runs__other_task=run({"example_a": ["localization"]}),
        runs__start=run(seg, shown_in=None) | {"role": "start"},
        release=["foundation_x", "start"],
        finetune__from_start=run(both, {"run": "start"}),
        finetune__head=run(seg, {"run": "foundation_x"}, tune="head"),
    )
    assert params.against("head") == ("scratch", "from_start")
    assert params.against("transfer") == ("scratch", "from_start", "head")
    assert params.against("scratch") == params.against("from_start") == ()
    assert params.against("foundation_x") == ("example_a_localization",)
