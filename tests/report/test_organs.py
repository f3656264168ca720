"""Table 4: which run is which, and an organ's numbers out of those of all."""

import pytest

from fxcore.errors import InputError
from fxcore.report.organs import table4_organs
from tests.report.study import STUDY, cell, number


def _classes(heart, left, right):
    return {"classes": {"Heart": heart, "Left Lung": left, "Right Lung": right}}


NOTHING = number(None)
FOUND = {
    "organs_loc": {
        "chexmask_vindr": {
            "localization": cell(
                "map40",
                number(0.7)
                | _classes(number(0.8, 0.75, 0.85), number(0.6, 0.5, 0.7), NOTHING)
                | {"undefined": {"Right Lung": "no positives"}},
                map=number(0.4) | _classes(number(0.45, 0.4, 0.5), number(0.35), NOTHING),
            )
        }
    },
    "organs_seg": {
        "chexmask_vindr": {
            "segmentation": cell("dice", number(0.9) | _classes(number(0.91), number(0.92), number(0.93)))
        }
    },
    "organs_fx": {
        "chexmask_vindr": {
            "localization": cell(
                "map40",
                number(0.8) | _classes(number(0.875, 0.8, 0.9), number(0.7), number(0.75)),
                map=number(0.5) | _classes(number(0.55), number(0.45), number(0.5)),
                differences={
                    "organs_loc": number(0.1) | _classes(number(0.075, -0.01, 0.1), number(0.1, 0.05, 0.2), NOTHING)
                },
            ),
            "segmentation": cell(
                "dice",
                number(0.95) | _classes(number(0.94), number(0.95), number(0.96)),
                differences={"organs_seg": number(0.03) | _classes(*[number(0.03, 0.01, 0.05)] * 3)},
            ),
        }
    },
}


def test_a_row_an_organ_with_both_tasks_and_the_published_numbers_apart(tiny, handmade):
    table = table4_organs(handmade(tiny(**STUDY), metrics=FOUND))
    heart, left, right = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert heart == {
        "dataset": "CheXmask on VinDr-CXR",
        "organ": "Heart",
        "baseline mAP40": "80.0 [75.0, 85.0]",
        "Foundation X mAP40": "87.5 [80.0, 90.0]",
        "Δ mAP40": "+7.5 [-1.0, +10.0]",
        "baseline Dice": "91.0",
        "Foundation X Dice": "94.0",
        "Δ Dice": "+3.0 [+1.0, +5.0]",
        "published baseline mAP40": "80.17",
        "published Foundation X mAP40": "88.41",
        "published baseline Dice": "95.82",
        "published Foundation X Dice": "96.15",
        "test images (patients)": "1,200 (1,100)",
        "note": "published: the overlap from which a box counts is not labelled",
    }
    assert (left["organ"], left["Δ mAP40"]) == ("Left Lung", "+10.0 [+5.0, +20.0]")
    assert (right["baseline mAP40"], right["Δ mAP40"]) == ("undefined", "–")
    assert right["note"].startswith(
        "no baseline mAP40: no positives; no Δ mAP40: one of the two compared has no number"
    )
    assert table.missing == [
        "chexmask_vindr localization, Right Lung, baseline mAP40: no positives",
        "chexmask_vindr localization, Right Lung, Δ mAP40: one of the two compared has no number",
    ]


def test_the_csv_has_the_average_precision_of_coco(tiny, handmade):
    record = table4_organs(handmade(tiny(**STUDY), metrics=FOUND)).records[0]
    assert (record["organ"], record["task"], record["run"], record["baseline_run"]) == (
        *("Heart", "localization"),
        *("organs_fx", "organs_loc"),
    )
    assert [record[f"baseline_map{end}"] for end in ("", "_low", "_high")] == [45, 40, 50]
    assert [record[f"foundation_x_map{end}"] for end in ("", "_low", "_high")] == [55, None, None]


def test_without_a_baseline_its_cells_say_so(tiny, handmade):
    runs = {name: run for name, run in STUDY["runs"].items() if name != "organs_seg"}
    table = table4_organs(handmade(tiny(**STUDY | {"runs": runs}), metrics=FOUND))
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert (row["baseline Dice"], row["Foundation X Dice"], row["Δ Dice"]) == ("no run", "94.0", "–")
    assert "no baseline Dice: no such run with shown_in: table4_organs" in row["note"]
    assert not [line for line in table.missing if "segmentation" in line]  # nobody asked for it


def test_the_caption_says_what_was_measured_on_what(tiny, handmade):
    caption = table4_organs(handmade(tiny(**STUDY), metrics=FOUND)).caption
    assert caption.startswith("Phantom data: synthetic pictures, not radiographs. Test split of CheXmask on VinDr-CXR,")
    for words in ("one seed", "DINO (localization), UPerNet (segmentation)", "a head for each organ", "95 % bootstrap"):
        assert words in caption


def test_without_runs_there_is_no_table(tiny, handmade):
    with pytest.raises(InputError, match="none with shown_in: table4_organs"):
        table4_organs(handmade(tiny(finetune={}, few_shot={})))
