"""Table 5: columns in their order, what was not supplied, and Foundation X against the best of the others."""

import pytest

from fxcore.errors import InputError
from fxcore.report.transfer import table5_transfer
from tests.report.study import STUDY, cell, number


def _dice(value, differences=None, **more):
    return {"segmentation": cell("dice", value, differences=differences or {}, **more)}


FOUND = {
    "clavicle_random": {"jsrt_clavicle": _dice(0.8)},
    "clavicle_swin": {"jsrt_clavicle": _dice(number(0.85, 0.8, 0.9))},
    "clavicle_ark": {"jsrt_clavicle": _dice(0.84)},
    "clavicle_fx": {
        "jsrt_clavicle": _dice(
            0.9,
            {
                "clavicle_random": number(0.1, 0.05, 0.15),
                "clavicle_swin": number(0.05, -0.01, 0.1),
                "clavicle_ark": number(0.06, 0.01, 0.1),
            },
            hd95=number(12.5, 10, 20),
            iou=number(0.8, 0.7, 0.9),
            dice_positive=number(0.88),
        )
    },
    "clavicle_head": {"jsrt_clavicle": _dice(0.87)},
    "lung_random": {"montgomery": _dice(None)},
    "lung_fx": {"montgomery": _dice(0.95)},
}


@pytest.fixture
def table(tiny, handmade):
    return table5_transfer(handmade(tiny(**STUDY), metrics=FOUND))


def test_columns_are_random_files_runs_and_the_joint_run_last(table):
    assert table.header == [
        *("dataset", "metric"),
        *("Random", "Swin, ImageNet", "POPAR", "Ark-6", "Foundation X", "Foundation X, head only"),
        *("Δ", "against", "published Ark", "published POPAR", "published Foundation X"),
        *("test images (patients)", "note"),
    ]


def test_a_row_a_dataset_against_the_best_of_the_others(table):
    clavicle, lung = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert clavicle == {
        "dataset": "JSRT clavicle",
        "metric": "Dice",
        "Random": "80.0",
        "Swin, ImageNet": "85.0 [80.0, 90.0]",
        "POPAR": "not supplied",
        "Ark-6": "84.0",
        "Foundation X": "90.0",
        "Foundation X, head only": "87.0",
        "Δ": "+5.0 [-1.0, +10.0]",
        "against": "Swin, ImageNet",
        "published Ark": "90.05",
        "published POPAR": "90.18",
        "published Foundation X": "91.17",
        "test images (patients)": "1,200 (1,100)",
        "note": "no POPAR: not supplied; docs/how-to/start-from-weights.md",
    }
    assert [lung[name] for name in ("Random", "Swin, ImageNet", "Ark-6", "Foundation X", "Δ", "against")] == [
        *("undefined", "no run", "no run", "95.0"),
        *("no pair", "none"),
    ]
    assert lung["published Foundation X"] == "98.29"
    assert "no Δ: Foundation X, or a run with a number beside it, is missing" in lung["note"]
    assert table.missing == ["montgomery segmentation, Random: dice is undefined in test"]


def test_the_csv_has_a_line_an_initialisation_with_further_metrics(table):
    assert len(table.records) == 2 * 6
    (mine,) = [one for one in table.records if one["run"] == "clavicle_fx"]
    assert {
        name: mine[name] for name in ("iou", "iou_low", "iou_high", "dice_positive", "hd95", "hd95_low", "hd95_high")
    } == {
        "iou": 80,
        "iou_low": 70,
        "iou_high": 90,
        "dice_positive": 88,
        "hd95": 12.5,
        "hd95_low": 10,
        "hd95_high": 20,
    }
    assert (mine["against_run"], mine["difference"], mine["published"]) == ("clavicle_swin", 5, 91.17)
    popar = next(one for one in table.records if one["initialisation"] == "POPAR")
    assert (popar["run"], popar["origin"], popar["value"], popar["published"]) == (None, "not supplied", None, 90.18)


def test_an_ark_that_somebody_supplies_is_no_longer_missing(tiny, handmade):
    runs = STUDY["runs"] | {
        "clavicle_popar": STUDY["runs"]["clavicle_swin"] | {"title": "POPAR"},
    }
    found = FOUND | {"clavicle_popar": {"jsrt_clavicle": _dice(0.86)}}
    table = table5_transfer(handmade(tiny(**STUDY | {"runs": runs}), metrics=found))
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert (row["POPAR"], row["against"], row["Δ"]) == ("86.0", "POPAR", "–")
    assert "no Δ: no paired difference from clavicle_popar" in row["note"]
    assert "not supplied" not in row.values()


def test_a_run_that_trains_the_head_alone_is_no_rival(tiny, handmade):
    head = STUDY["finetune"]["clavicle_ark"]
    head = head | {"train": head["train"] | {"tune": "head"}}
    finetune = STUDY["finetune"] | {"clavicle_ark_head": head}
    found = FOUND | {"clavicle_ark_head": {"jsrt_clavicle": _dice(0.89)}}
    table = table5_transfer(handmade(tiny(**STUDY | {"finetune": finetune}), metrics=found))
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert (row["Ark-6, head only"], row["against"]) == ("89.0", "Swin, ImageNet")


def test_the_caption_says_how_the_rival_is_chosen(table):
    for words in ("Phantom data", "Test split of JSRT clavicle, NIH Montgomery", "highest mean on these test images"):
        assert words in table.caption


def test_without_runs_there_is_no_table(tiny, handmade):
    with pytest.raises(InputError, match="none with shown_in: table5_transfer"):
        table5_transfer(handmade(tiny(finetune={}, few_shot={})))
