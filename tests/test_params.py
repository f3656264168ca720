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
from fxcore.passes import Task
from fxcore.slices.make import heads, store_slice, train_slice
from tests.conftest import PROJECT, TINY, changed

FILES = [
    PROJECT / "params.yaml",
    *sorted((PROJECT / "presets").glob("*.yaml")),
    *sorted((PROJECT / "tests" / "presets").glob("*.yaml")),
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_parameter_file_of_the_project_is_valid(file):
    assert experiment.load(file).runs


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_dvc_reads_the_same_values(file):
    from dvc.utils.serialize import load_yaml

    assert experiment.Params.model_validate(load_yaml(str(file))) == experiment.load(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sede": 1}, r"sede is not a parameter; did you mean seed\?"),
        ({"model__imag_size": 64}, r"model\.imag_size is not a parameter; did you mean image_size\?"),
        ({"datasets__example_a__titel": "x"}, r"datasets\.example_a\.titel is not a parameter; did you mean title\?"),
        ({"runs__foundation_x__cycle": 2}, r"runs\.foundation_x\.cycle is not a parameter; did you mean cycles\?"),
        ({"pretrain__batch_size": 0}, r"pretrain\.batch_size is 0; .*greater than or equal to 1"),
        ({"pretrain__batch_size": "many"}, r"pretrain\.batch_size is 'many'; .*integer"),
        ({"pretrain__momentum": 1.2}, r"pretrain\.momentum is 1\.2; .*less than or equal to 1"),
        ({"pretrain__stage": "epoch"}, r"pretrain\.stage is 'epoch'; .*'pass', 'dataset' or 'cycle'"),
        ({"pretrain__lock": ["detection"]}, r"pretrain\.lock\.0 is 'detection'; .*'classification'"),
        ({"store_size": 40}, r"store_size is 40, below model\.image_size 64"),
        (
            {"runs__foundation_x__visits": {"exmple_a": ["classification"]}},
            r"visits\.exmple_a: no such dataset; did you mean example_a\?",
        ),
        (
            {"runs__foundation_x__visits": {"example_a": []}},
            r"runs\.foundation_x\.visits\.example_a is \[\]; .*at least 1 item",
        ),
        (
            {"runs__example_a_localization__override": {"lockk": []}},
            r"runs\.example_a_localization\.override\.lockk is not a parameter; did you mean lock\?",
        ),
        (
            {"runs__example_a_localization__override": {"rates": {"encoder": -1}}},
            r"override\.rates\.encoder is -1; .*greater than 0",
        ),
        (
            {"runs__example_a_localization__visits": {"example_a": ["localization", "classification"]}},
            "a baseline has one dataset and one task",
        ),
        (
            {
                "runs__example_a_localization__role": "joint",
                "runs__foundation_x__visits": {"example_a": ["localization"]},
            },
            "runs: foundation_x, example_a_localization with role: joint; give it to one run",
        ),
        ({"runs__foundation_x__role": "baseline"}, "a baseline has one dataset and one task"),
        (
            {"datasets__example_a__classification": {"classes": ["a", "a"]}},
            r"datasets\.example_a: classification\.classes lists a twice",
        ),
        (
            {"datasets__example_a__phantom": None},
            r"datasets\.example_a: source: phantom and phantom: .* belong together",
        ),
        (
            {"model__localization__queries": 86},
            r"model\.localization\.queries is 86, more than the 85 encoder tokens of model\.image_size 64",
        ),
        (
            {"runs__foundation_x__cycles": 5},
            r"runs\.foundation_x\.cycles is 5, above horizon_cycles 4; the learning rate would be zero",
        ),
        (
            {"pretrain__batch_size": 1},
            r"pretrain\.batch_size is 1, but runs\.foundation_x trains segmentation, which normalises over the batch",
        ),
        (
            {"model__localization__width": 20},
            r"model\.localization: width is 20; give a multiple of 8 and of heads, 4",
        ),
        (
            {"model__localization__labels": 1},
            r"model\.localization\.labels is 1, fewer than the localization classes of example_a",
        ),
        (
            {"pretrain__stage": "cycle", "pretrain__stage_cycles": 3},
            r"runs\.foundation_x\.cycles is 2; give a multiple of pretrain\.stage_cycles, 3",
        ),
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


def test_snakemake_stops_with_exit_code_2_and_one_line_before_any_job(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(TINY.read_text().replace("batch_size: 4", "batch_siz: 4"))
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


def test_overrides_replace_single_values(tiny):
    made = tiny(runs__example_a_localization__override={"rates": {"encoder": 0.5}, "momentum": None})
    how = made.pretraining("example_a_localization")
    assert how.rates.encoder == 0.5
    assert how.rates.decoder == made.pretrain.rates.decoder
    assert how.momentum is None
    assert made.pretraining("foundation_x") == made.pretrain


def test_a_baseline_knows_only_its_own_heads(tiny):
    of_run = heads(tiny(), "example_a_localization")["example_a"]
    assert of_run.classes(Task.LOCALIZATION) == ("Right Lung", "Left Lung")
    assert of_run.classes(Task.CLASSIFICATION) == of_run.classes(Task.SEGMENTATION) == ()


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
        return {key: shuffled(value[key], key == "visits") for key in keys}

    made = experiment.Params.model_validate(shuffled(content, False))
    plain = experiment.Params.model_validate(content)
    assert train_slice(made, "foundation_x").canonical() == train_slice(plain, "foundation_x").canonical()


def test_whole_numbers_written_as_floats_are_the_same_parameters(tiny):
    assert (
        train_slice(tiny(pretrain__weight_decay=1), "foundation_x").canonical()
        == train_slice(tiny(pretrain__weight_decay=1.0), "foundation_x").canonical()
    )


def test_raising_cycles_changes_no_training_slice(tiny):
    assert train_slice(tiny(runs__foundation_x__cycles=4), "foundation_x") == train_slice(tiny(), "foundation_x")


def test_the_store_depends_neither_on_policies_nor_on_titles(tiny):
    base = tiny()
    other = tiny(
        datasets__example_a__title="Other",
        datasets__example_a__mirror=True,
        datasets__example_a__classification={
            "classes": ["Cardiomegaly", "Lung Opacity"],
            "uncertain": "u_ones",
            "blank": "blank_zero",
        },
    )
    assert store_slice(other, "example_a") == store_slice(base, "example_a")
    assert train_slice(other, "foundation_x") != train_slice(base, "foundation_x")
