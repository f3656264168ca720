"""Table 6: means over draws with their spread, and Foundation X against the best of the others with as many images."""

import pytest

from fxcore.errors import InputError
from fxcore.report.few_shot import table6_few_shot
from tests.report.study import STUDY, number

RUNS = ("clavicle_random", "clavicle_ark", "clavicle_fx")
FEW = {"runs": list(RUNS), "samples": [3, 6], "draws": 2, "updates": 50}


def _samples(value, sd=None, differences=None, low=None, high=None):
    return number(value, low, high) | {"draws": [value, value], "sd": sd, "differences": differences or {}}


def _of(three, six):
    facts = {"dataset": "jsrt_clavicle", "task": "segmentation", "metric": "dice", "images": 50, "patients": 40}
    return facts | {"samples": {"3": three, "6": six}}


FOUND = {
    "clavicle_random": _of(_samples(0.5, 0.02), _samples(0.7)),
    "clavicle_ark": _of(_samples(0.6), _samples(0.65)),
    "clavicle_fx": _of(
        _samples(
            0.75, 0.0125, {"clavicle_random": number(0.25), "clavicle_ark": number(0.15, 0.1, 0.2)}, low=0.7, high=0.8
        ),
        _samples(0.72, None, {"clavicle_random": number(0.02, -0.02, 0.05), "clavicle_ark": number(0.07)}),
    ),
}


@pytest.fixture
def table(tiny, handmade):
    return table6_few_shot(handmade(tiny(**STUDY | {"few_shot": FEW}), few_shot=FOUND))


def test_a_row_a_number_of_images(table):
    three, six = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert three == {
        "dataset": "JSRT clavicle",
        "metric": "Dice",
        "training images": "3",
        "Random": "50.0 ± 2.0",
        "POPAR": "not supplied",
        "Ark-6": "60.0",
        "Foundation X": "75.0 [70.0, 80.0] ± 1.2",
        "Δ": "+15.0 [+10.0, +20.0]",
        "against": "Ark-6",
        "published Ark": "74.98",
        "published POPAR": "70.68",
        "published Foundation X": "78.18",
        "test images (patients)": "50 (40)",
        "note": "no POPAR: not supplied; docs/how-to/start-from-weights.md; no ± of Ark-6: one draw",
    }
    assert (six["against"], six["Δ"]) == ("Random", "+2.0 [-2.0, +5.0]")
    assert "Ark is higher with 6 than with 12 samples" in six["note"]
    assert table.missing == []


def test_the_csv_has_the_spread_apart_from_the_interval(table):
    mine = next(one for one in table.records if one["run"] == "clavicle_fx")
    columns = ("samples", "draws", "value", "value_low", "value_high", "sd", "difference", "published")
    assert [mine[name] for name in columns] == [3, 2, 75, 70, 80, 1.25, 15, 78.18]


def test_the_caption_tells_interval_from_spread_and_flags_the_published_noise(table):
    for words in (
        "one seed: means over 2 draws",
        "standard deviation of the draws",
        "over test patients",
        "with 6 than with 12",
    ):
        assert words in table.caption


def test_a_number_that_the_paper_has_not_says_so(tiny, handmade):
    few = FEW | {"samples": [3, 7]}
    found = {
        name: one | {"samples": {"3": one["samples"]["3"], "7": one["samples"]["6"]}} for name, one in FOUND.items()
    }
    table = table6_few_shot(handmade(tiny(**STUDY | {"few_shot": few}), few_shot=found))
    row = dict(zip(table.header, table.rows[1], strict=True))
    assert (row["training images"], row["published Ark"]) == ("7", "not in the paper")
    assert row["note"].endswith("no published: not in the paper")


def test_without_runs_there_is_no_table(tiny, handmade):
    with pytest.raises(InputError, match=r"few_shot\.runs is empty"):
        table6_few_shot(handmade(tiny(few_shot={})))
