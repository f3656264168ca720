"""Claims: verdicts by hand, effects by kind of test, and nothing about phantoms."""

import copy
from collections import Counter

import pytest

from fxcore.report.claims import claims, miscounted, verdict
from fxcore.report.effects import Effect, Interval, Printed, printed
from fxcore.report.published import claims as published
from fxcore.report.shares import wilson
from tests.report.study import PHANTOM, STUDY, cell, number

CLAIMS = {one.id: one for one in published()}


def _real(**images):
    """Manifests of real datasets with that many images."""
    return {key: {"synthetic": False, "images": number} for key, number in images.items()}


WHOLE = _real(siim_acr=12047, chexmask_vindr=18000, jsrt_clavicle=247, montgomery=138, vindr_cxr_local=18000)


@pytest.mark.parametrize(
    ("interval", "sign", "threshold", "expected"),
    [
        ((1.0, 0.1, 2.0), 1, 0, "supported"),
        ((1.0, 0.1, 2.0), -1, 0, "not supported: the other side"),
        ((-1.0, -2.0, -0.1), -1, 0, "supported"),
        ((-1.0, -2.0, -0.1), 1, 0, "not supported: the other side"),
        ((1.0, -0.1, 2.0), 1, 0, "not supported: includes zero"),
        ((1.0, 0.0, 2.0), 1, 0, "not supported: includes zero"),
        ((90.0, 60.0, 95.0), 1, 50, "supported"),
        ((60.0, 40.0, 80.0), 1, 50, "not supported: includes one half"),
        ((10.0, 2.0, 30.0), 1, 50, "not supported: the other side"),
        ((1.0, None, None), 1, 0, "not testable (no interval)"),
    ],
)
def test_a_verdict_goes_by_the_side_of_the_whole_interval(tiny, handmade, interval, sign, threshold, expected):
    results = handmade(tiny(**STUDY), manifests=WHOLE)
    claim = CLAIMS["pretraining_cells" if threshold else "pretraining_siim_acr_classification"]
    assert claim.threshold == threshold
    found = Effect(Interval(*interval), ("siim_acr",))
    assert verdict(results, claim, found, Printed("", sign)) == expected


def test_what_keeps_a_claim_from_being_tested_is_named_phantoms_first(tiny, handmade):
    claim, theirs = CLAIMS["pretraining_siim_acr_classification"], Printed("+1.43", 1)
    sure = Effect(Interval(1.0, 0.5, 2.0), ("siim_acr", "montgomery"))
    some = WHOLE | {"montgomery": {"synthetic": True}}
    assert verdict(handmade(tiny(**STUDY), manifests=some), claim, sure, theirs) == "not testable (phantom)"
    few = WHOLE | _real(montgomery=130)
    assert verdict(handmade(tiny(**STUDY), manifests=few), claim, sure, theirs) == (
        "not testable (not the registered count: NIH Montgomery has 130 of 138 images)"
    )
    results = handmade(tiny(**STUDY), manifests=WHOLE)
    assert verdict(results, claim, Effect(lacks="no such run"), theirs) == "not testable (no such run)"
    assert verdict(results, claim, sure, theirs) == "supported"


def test_images_left_out_for_a_reason_count_as_there(tiny, handmade):
    manifests = WHOLE | {
        "montgomery": {
            "synthetic": False,
            "images": 130,
            "left_out": {"no mask": 5},
            "excluded": {"a": "listed", "b": "listed", "c": "view"},
        }
    }
    results = handmade(tiny(**STUDY), manifests=manifests)
    assert miscounted(results, "montgomery") == ""
    assert miscounted(results, "jsrt_clavicle") == ""  # known by its format, not by its key


def test_a_dataset_that_is_not_registered_cannot_be_counted(tiny, handmade):
    results = handmade(tiny(), manifests={"example_a": {"images": 3}})
    assert miscounted(results, "example_a") == "Example A is not registered"


def test_wilson_by_hand():
    # 9 of 10: (0.9 + 0.192073 ± 1.959964 √(0.009 + 0.009604)) / 1.384146, with z² = 3.841459
    low, high = wilson(9, 10)
    assert (round(low, 4), round(high, 4)) == (0.5958, 0.9821)


def _study():
    study = copy.deepcopy(STUDY)
    study["few_shot"] = {"runs": ["clavicle_random", "clavicle_ark", "clavicle_fx"], "samples": [3], "draws": 1}
    return study


def _organ(*values, **differences):
    heart = {name: {"classes": {"Heart": one}} for name, one in differences.items()}
    classes = dict.fromkeys(("Heart", "Left Lung", "Right Lung"), number(None))
    return cell("dice", number(*values) | {"classes": classes}, differences=heart)


def _dice(value, **differences):
    return {"segmentation": cell("dice", value, differences=differences)}


def _map(value, **differences):
    return {"vindr_cxr_local": {"localization": cell("map40", value, differences=differences)}}


METRICS = {
    "foundation_x": {
        "siim_acr": {
            "classification": cell("auc", 0.9, "teacher", differences={"alone": number(0.02, 0.01, 0.03)}),
            "segmentation": cell("dice", 0.8, "teacher"),
        }
    },
    "alone": {"siim_acr": {"classification": cell("auc", 0.88)}},
    "organs_loc": {"chexmask_vindr": {"localization": _organ(0.5)}},
    "organs_seg": {"chexmask_vindr": {"segmentation": _organ(0.5)}},
    "organs_fx": {
        "chexmask_vindr": {
            "localization": _organ(0.5),
            "segmentation": _organ(0.5, organs_seg=number(-0.01, -0.02, -0.005)),
        }
    },
    "clavicle_random": {"jsrt_clavicle": _dice(0.95)},
    "clavicle_swin": {"jsrt_clavicle": _dice(0.85)},
    "clavicle_ark": {"jsrt_clavicle": _dice(0.84)},
    "clavicle_fx": {"jsrt_clavicle": _dice(0.9, clavicle_ark=number(0.06, -0.01, 0.1), clavicle_random=number(-0.05))},
    "clavicle_head": {"jsrt_clavicle": _dice(0.87)},
    "lung_random": {"montgomery": _dice(0.9)},
    "lung_fx": {"montgomery": _dice(0.95, lung_random=number(0.05, 0.01, 0.1))},
    "disease_random": _map(0.1),
    "disease_fx": _map(0.2, disease_random=number(0.1, 0.05, 0.15), disease_head=number(0.05, 0.02, 0.08)),
    "disease_head": _map(0.15, disease_random=number(0.05, -0.01, 0.1)),
}
SNAPSHOTS = [
    {"after": ["siim_acr", after], "of": ["siim_acr", of], "value": value}
    for after, of, value in (
        ("classification", "classification", 0.8),
        ("segmentation", "classification", 0.8),
        ("classification", "segmentation", 0.5),
        ("segmentation", "segmentation", 0.6),
    )
]


def _few(name, value, **differences):
    samples = {"3": number(value) | {"draws": [value], "sd": None, "differences": differences}}
    facts = {"dataset": "jsrt_clavicle", "task": "segmentation", "metric": "dice", "images": 9, "patients": 9}
    return {name: facts | {"samples": samples}}


FEW = (
    _few("clavicle_random", 0.4)
    | _few("clavicle_ark", 0.5)
    | _few("clavicle_fx", 0.6, clavicle_ark=number(0.1, 0.05, 0.2))
)


def _table(tiny, handmade, manifests, study=None, more=None):
    results = handmade(
        tiny(**(study or _study())),
        metrics=METRICS | (more or {}),
        choices={"foundation_x": {"snapshots": SNAPSHOTS}},
        few_shot=FEW,
        manifests=manifests,
    )
    return claims(results)


@pytest.fixture
def rows(tiny, handmade):
    """Records of real, complete datasets by claim."""
    return {one["id"]: one for one in _table(tiny, handmade, WHOLE).records}


def _said(one):
    return (one["published"], one["effect"], one["effect_low"], one["effect_high"], one["verdict"])


def test_an_effect_of_each_kind_of_claim(rows):
    assert _said(rows["pretraining_siim_acr_classification"]) == ("+1.43", 2, 1, 3, "supported")
    assert _said(rows["organs_heart_segmentation"]) == ("+0.33", -1, -2, -0.5, "not supported: the other side")
    assert _said(rows["finetuning_full_baseline"]) == ("+3.25", 10, 5, 15, "supported")
    assert _said(rows["finetuning_head_baseline"]) == ("+2.05", 5, -1, 10, "not supported: includes zero")
    assert _said(rows["finetuning_full_head"]) == ("+1.20", 5, 2, 8, "supported")
    assert _said(rows["pretraining_cells"])[:2] == ("18 of 20 cells", 100)
    assert rows["pretraining_cells"]["verdict"] == "not testable (no such run for 19 of 20 cells)"


def test_a_claim_against_ark_and_popar_needs_both(rows):
    # against Ark-6 and not against random weights, which are better here
    assert _said(rows["transfer_jsrt_clavicle"]) == ("+0.99", 6, -1, 10, "not testable (no such run: POPAR)")
    assert (rows["transfer_jsrt_clavicle"]["run"], rows["transfer_jsrt_clavicle"]["against_run"]) == (
        *("clavicle_fx", "clavicle_ark"),
    )
    assert _said(rows["transfer_montgomery"]) == ("+0.51", None, None, None, "not testable (no such run: Ark, POPAR)")
    assert _said(rows["few_shot_3"]) == ("+3.20", 10, 5, 20, "not testable (no such run: POPAR)")
    assert _said(rows["few_shot_6"]) == ("+0.32", None, None, None, "not testable (no such run)")
    assert "Ark is higher with 6 than with 12" in rows["few_shot_6"]["note"]


def test_unfocused_results_are_counted_by_cell(rows):
    # classification: 0.8 against 0.8; segmentation: 0.5 against 0.6
    one = rows["cross_task"]
    assert (one["cells"], one["effect"], one["published"]) == ("1 of 2 cells", 50, "words only")
    assert one["verdict"] == "not supported: includes one half"


def test_parts_of_the_method_are_tested_by_the_ablation_that_lacks_them(tiny, handmade):
    study = _study()
    full = {"title": "Full", "role": "ablation", "train": study["runs"]["foundation_x"]["train"]}
    without = full | {"title": "no lock", "of": "full", "train": full["train"] | {"lock": []}}
    both = full | {"title": "neither", "of": "full", "train": full["train"] | {"lock": [], "momentum": None}}
    study["runs"] |= {"both": both, "full": full, "no_lock": without}
    of_ablation = {
        "siim_acr": {
            "classification": cell("auc", 0.8, differences={"full": number(-0.1)}),
            "segmentation": cell("dice", 0.8, differences={"full": number(0.1)}),
        }
    }
    rows = {one["id"]: one for one in _table(tiny, handmade, WHOLE, study, {"no_lock": of_ablation}).records}
    assert (rows["lock_release"]["cells"], rows["lock_release"]["against_run"]) == ("1 of 2 cells", "no_lock")
    assert rows["cyclic"]["verdict"] == "not testable (no such run)"


def test_on_phantoms_no_claim_about_a_dataset_is_tested_but_its_effect_is_shown(tiny, handmade):
    table = _table(tiny, handmade, {})
    verdicts = Counter(one["verdict"] for one in table.records)
    assert verdicts.keys() == {"not testable (phantom)", "not testable (no such run)"}
    row = next(one for one in table.rows if one[0].startswith("SIIM-ACR, classification"))
    assert row[2:5] == ("+1.43", "+2.0 [+1.0, +3.0]", "not testable (phantom)")
    assert table.caption.startswith("Phantom data")


def test_what_the_paper_misprinted_is_flagged(rows):
    assert rows["pretraining_tbx11k_localization"]["published"] == "+3.72"
    for key, printed_there in (("tbx11k_localization", "+6.72"), ("candid_ptx_classification", "+7.25")):
        assert f"printed {printed_there}" in rows[f"pretraining_{key}"]["note"]


def test_every_claim_has_a_published_effect_and_a_kind_of_test():
    assert Counter(one.test for one in published()) == {
        "pretraining": 20,
        "wins": 1,
        "organs": 6,
        "transfer": 5,
        "few_shot": 6,
        "finetuning": 3,
        "unfocused": 1,
        "ablation": 2,
    }
    assert len(CLAIMS) == 44
    worse = {one.id for one in published() if printed(one).sign < 0}
    assert worse == {"pretraining_mimic_cxr_classification", "pretraining_chestx_det_segmentation"}
    assert all("worse" in CLAIMS[name].text for name in worse)
    assert all(printed(one).words for one in published())


def test_a_baseline_that_is_not_there_leaves_the_cell_empty_and_says_so(tiny, handmade):
    study = _study() | {"datasets": STUDY["datasets"] | {"nih14": PHANTOM}}
    table = _table(tiny, handmade, WHOLE | _real(nih14=112120), study)
    row = next(one for one in table.rows if one[0].startswith("NIH ChestX-ray14"))
    assert row[3:] == ("no run", "not testable (no such run)", "ours: no such run")
