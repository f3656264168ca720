"""Which tables and figures an experiment has something for, and what each is made from."""

from pathlib import Path

import pytest

from fxcore.params.experiment import load
from fxcore.planning.contents import (
    CXRLT_FIGURES,
    CXRLT_TABLES,
    FIGURES,
    TABLES,
    figure_reads,
    figures,
    shows,
    table_reads,
    tables,
)
from tests.conftest import PROJECT, TINY


@pytest.fixture(scope="module")
def default():
    return load(PROJECT / "params.yaml")


def test_the_default_experiment_has_all_of_them(default):
    assert tables(default) == [*TABLES, *CXRLT_TABLES]
    assert figures(default) == [*FIGURES, *CXRLT_FIGURES]


def test_an_experiment_has_what_its_runs_are_for(tiny):
    params = load(TINY)
    assert tables(params) == [
        *("table1_datasets", "table2_schedule", "table3_pretraining", "table5_transfer", "table6_few_shot", "leakage"),
        "claims",
        *("cxrlt_data", "cxrlt_settings", "cxrlt_task1", "cxrlt_ensemble", "cxrlt_test"),
    ]
    assert "figure3_finetuning" not in figures(params)
    assert "few_shot" in figures(params)
    bare = tiny(finetune={}, few_shot={}, cxrlt=None)
    assert tables(bare) == ["table1_datasets", "table2_schedule", "table3_pretraining", "leakage", "claims"]
    assert figures(bare) == [
        "figure1_method",
        "figure2_cross_task",
        "leakage",
        *(name for name in FIGURES if "panels" in name),
    ]


def _files(found):
    return [str(path.relative_to("results")) for path in found]


def test_a_table_reads_the_metrics_of_the_runs_it_shows(default):
    assert table_reads(default, "table1_datasets") == []
    assert _files(table_reads(default, "table4_organs")) == [
        "metrics/organs_localization.json",
        "metrics/organs_segmentation.json",
        "metrics/organs_foundation_x.json",
    ]
    assert _files(table_reads(default, "table6_few_shot")) == ["metrics/few_shot.json"]
    third = _files(table_reads(default, "table3_pretraining"))
    assert len(third) == 1 + 20  # the joint run, and a baseline for each of its heads
    assert not [name for name in third if "jsrt" in name or "ark6" in name]
    claimed = _files(table_reads(default, "claims"))
    assert {"metrics/few_shot.json", "predictions/foundation_x.json", "metrics/no_lock.json"} < set(claimed)


def test_a_table_or_figure_shows_the_runs_whose_metrics_it_reads(default):
    def of(name):
        return shows(name, default.trained, default.few_shot.runs)

    for name in ("table3_pretraining", "table4_organs", "table5_transfer", "ablation", "splits"):
        assert _files(table_reads(default, name)) == [f"metrics/{run}.json" for run in of(name)]
    assert of("claims") == list(default.trained)
    assert of("table6_few_shot") == of("few_shot") == list(default.few_shot.runs)
    assert of("figure2_cross_task") == of("panels_localization") == ["foundation_x"]
    assert of("figure3_finetuning") == ["disease_random", "disease_foundation_x", "disease_foundation_x_head"]
    for name in ("table1_datasets", "table2_schedule", "figure1_method", "leakage"):
        assert of(name) == []


def test_without_few_shot_runs_nobody_asks_for_their_metrics(tiny):
    params = tiny(few_shot={})
    assert Path("results-tiny/metrics/few_shot.json") not in table_reads(params, "claims")


def test_a_figure_reads_what_it_draws(default):
    assert figure_reads(default, "figure1_method") == []
    assert _files(figure_reads(default, "figure2_cross_task")) == ["predictions/foundation_x.json"]
    assert _files(figure_reads(default, "figure3_finetuning")) == [
        "predictions/disease_random.json",
        "predictions/disease_foundation_x.json",
        "predictions/disease_foundation_x_head.json",
    ]
    assert _files(figure_reads(default, "panels_segmentation")) == [
        "metrics/foundation_x.json",
        "predictions/foundation_x.parquet",
    ]
