"""The ablation table: what differs is read off the runs, and differences are averaged over datasets."""

import pytest

from fxcore.errors import InputError
from fxcore.params.runs import Training
from fxcore.report.ablation import ablation, changes

PHANTOM = {"source": "phantom", "phantom": {"train": 1, "val": 1, "test": 1}}
LENGTH = {"cycles": 4, "horizon_cycles": 4}
VISITS = {"siim_acr": ["classification", "segmentation"], "rsna_pneumonia": ["classification"]}


def _metric(value):
    return {"value": value, "low": None, "high": None}


def _cell(metric, value, branch="teacher", difference=None):
    cell = {"metric": metric, "choice": branch, branch: {metric: _metric(value)}}
    if difference:
        cell["differences"] = {"full": dict(zip(("value", "low", "high"), difference, strict=True))}
    return cell


@pytest.fixture
def table(tiny, handmade):
    runs = {
        "joint": {"title": "Joint", "role": "joint", "train": {"visits": VISITS, **LENGTH}},
        "full": {"title": "Full method", "role": "ablation", "train": {"visits": VISITS, **LENGTH}},
        "alone": {
            "title": "no teacher",
            "role": "ablation",
            "of": "full",
            "train": {"visits": VISITS, **LENGTH, "momentum": None, "stage_cycles": 2},
        },
        "half": {
            "title": "classification only",
            "role": "ablation",
            "of": "full",
            "train": {"visits": {"siim_acr": ["classification"]}, **LENGTH},
        },
    }
    params = tiny(datasets={"siim_acr": PHANTOM, "rsna_pneumonia": PHANTOM}, runs=runs, report={})
    full = {
        "siim_acr": {"classification": _cell("auc", 0.8), "segmentation": _cell("dice", 0.5)},
        "rsna_pneumonia": {"classification": _cell("auc", 0.7)},
    }
    alone = {
        "siim_acr": {
            "classification": _cell("auc", 0.7, "student", (-0.1, -0.2, -0.05)),
            "segmentation": _cell("dice", 0.6, "student", (0.1, 0.02, 0.2)),
        },
        "rsna_pneumonia": {"classification": _cell("auc", 0.75, "student", (0.05, -0.1, 0.2))},
    }
    half = {"siim_acr": {"classification": _cell("auc", 0.82, "teacher", (0.02, -0.1, 0.1))}}
    seen = {"siim_acr": {"classification": 100, "segmentation": 60}, "rsna_pneumonia": {"classification": 1000}}
    return ablation(
        handmade(params, metrics={"full": full, "alone": alone, "half": half}, seen=dict.fromkeys(runs, seen))
    )


def test_a_row_a_run_with_means_over_datasets_and_what_moved(table):
    assert table.header == [
        "run",
        "changed",
        "AUC",
        "Δ AUC",
        "mAP40",
        "Δ mAP40",
        "Dice",
        "Δ Dice",
        "images seen",
        "note",
    ]
    assert [tuple(row) for row in table.rows] == [
        (
            "Full method",
            "",
            *("75.0", "–", "–", "–", "50.0", "–", "1,160"),
            "no mAP40: not trained for it; no Δ AUC, Δ Dice: no run that it changes",
        ),
        # -10 and +5: one of two datasets is surely below, the other may be either
        (
            "no teacher",
            "momentum: none (not 0.8)",
            "72.5",
            "-2.5 (1− of 2)",
            "–",
            "–",
            "60.0",
            "+10.0 (1+ of 1)",
            "1,160",
            "no mAP40: not trained for it",
        ),
        (
            "classification only",
            "visits.siim_acr: classification (not classification, segmentation); visits.rsna_pneumonia: none"
            " (not classification)",
            *("82.0", "+2.0 (0 of 1)", "–", "–", "–", "–", "100"),
            "no mAP40, Dice: not trained for it",
        ),
    ]


def test_a_record_a_dataset_and_task_with_its_interval(table):
    assert len(table.records) == 3 + 3 + 1
    assert [one for one in table.records if one["run"] == "alone"][1] == {
        "run": "alone",
        "title": "no teacher",
        "dataset": "SIIM-ACR",
        "key": "siim_acr",
        "task": "segmentation",
        "metric": "dice",
        "branch": "student",
        "value": 60.0,
        "value_low": None,
        "value_high": None,
        "against_run": "full",
        "difference": 10.0,
        "difference_low": 2.0,
        "difference_high": 20.0,
        "images_seen": 60,
        "note": "",
    }
    assert table.missing == []


def test_overrides_are_named_by_their_block():
    base = Training.model_validate({"visits": VISITS, **LENGTH})
    override = {"model": {"localization": {"decoder": "shared"}}, "pretrain": {"consistency": 0}}
    other = Training.model_validate({"visits": VISITS, **LENGTH, "lock": [], "override": override})
    assert list(changes(other, base)) == [
        "lock: none (not localization, segmentation)",
        "model.localization.decoder: shared",
        "pretrain.consistency: 0",
    ]


def test_without_ablations_there_is_no_table(tiny, handmade):
    with pytest.raises(InputError, match="none with role: ablation"):
        ablation(handmade(tiny()))
