"""The known datasets against the paper's table 1, and how a parameter file's entry lies over them."""

import pytest

from fxcore import yamlfile
from fxcore.params.blocks import merged
from fxcore.params.datasets import Dataset
from fxcore.params.registry import completed, registry
from fxcore.params.splits import Holdout
from fxcore.passes import Task, passes
from fxcore.slices.make import release_slice

PAPER = {
    "chexpert": (14, 0, 0),
    "nih14": (14, 0, 0),
    "vindr_cxr": (6, 0, 0),
    "shenzhen": (1, 0, 0),
    "mimic_cxr": (14, 0, 0),
    "tbx11k": (1, 1, 0),
    "node21": (1, 1, 0),
    "candid_ptx": (1, 1, 1),
    "rsna_pneumonia": (3, 1, 0),
    "chestx_det": (13, 13, 13),
    "siim_acr": (1, 1, 1),
}
"""Outputs of the classification, localization and segmentation heads; 0 where the paper trains none."""


@pytest.fixture
def known(tiny):
    """Every known dataset as a parameter file that says nothing more of it."""
    return tiny(datasets=dict.fromkeys(PAPER), report={}, runs=_runs()).datasets


def _runs():
    train = {"visits": {"chexpert": ["classification"]}, "cycles": 1, "horizon_cycles": 1}
    return {"joint": {"title": "J", "role": "joint", "train": train}}


def test_heads_are_those_of_the_paper(known):
    assert {key: tuple(len(one.classes(task)) for task in Task) for key, one in known.items()} == PAPER
    heads = [sum(bool(one.classes(task)) for one in known.values()) for task in Task]
    assert heads == [11, 6, 3]
    assert sum(heads) == 20


def test_datasets_have_the_papers_order_and_numbers():
    keys = (*PAPER, "chexmask_vindr", "vindr_ribcxr", "montgomery", "jsrt")
    assert [(key, one.paper) for key, one in registry().items() if one.paper] == list(
        zip(keys, range(1, 16), strict=True)
    )
    assert [key for key, one in registry().items() if not one.paper] == [
        *("cxr_lt_2024", "cxr_lt_2024_gold", "padchest", "brax")
    ]
    assert len({one.title for one in registry().values()}) == 19


def test_a_cycle_over_them_has_29_passes(known):
    # 11 classification, 6 localization and 3 segmentation heads, the last two locked and released
    assert len(passes([(key, frozenset(one.tasks)) for key, one in known.items()], 1)) == 11 + 2 * 6 + 2 * 3


def test_classes_are_those_of_the_specification(known, shared):
    spec = {one["key"]: one["classes"] for one in yamlfile.load(shared("spec/datasets.yaml"))["datasets"]}
    for key, dataset in known.items():
        for task, name in zip(Task, ("cls", "loc", "seg"), strict=True):
            if dataset.classes(task):
                assert list(dataset.classes(task)) == spec[key].get(f"{name}_fx", spec[key][name]), (key, task)
        assert list(dataset.classification.reported or ()) == spec[key].get("reported", [])


def test_only_labels_of_report_parsers_are_uncertain_or_blank(known):
    policies = {key: (one.classification.uncertain, one.classification.blank) for key, one in known.items()}
    assert policies["chexpert"] == ("u_lsr_ones", "blank_zero")
    assert policies["mimic_cxr"] == ("u_ones", "blank_zero")
    parsed = {"chexpert", "mimic_cxr"}
    assert {key for key, policy in policies.items() if policy == ("u_ignore", "blank_ignore")} == set(PAPER) - parsed


def test_an_entry_lies_over_the_registry_mapping_by_mapping(tiny):
    entry = {
        "adapter": "folder",
        "index": "mine.csv",
        "columns": {"file": "Path"},
        "classification": {"uncertain": "u_zeros"},
        "localization": None,
        "segmentation": {"file": "segments.json"},
        "mirror": False,
    }
    datasets = {
        "chexpert": {"adapter": "folder", "columns": {"patient": None}},
        "candid_ptx": entry,
        "nih14": {"classification": {"classes": ["Mass"]}},
    }
    made = tiny(datasets=datasets, report={}, runs=_runs()).datasets
    candid = made["candid_ptx"]
    assert (candid.index, candid.mirror) == ("mine.csv", False)
    assert (candid.columns.file, candid.columns.patient, candid.columns.split) == ("Path", "patient", "split")
    assert candid.tasks == (Task.CLASSIFICATION, Task.SEGMENTATION)
    policy = candid.classification
    assert (policy.classes, policy.uncertain, policy.blank) == (("Pneumothorax",), "u_zeros", "blank_ignore")
    assert (candid.segmentation.file, candid.segmentation.classes) == ("segments.json", ("Pneumothorax",))
    assert made["chexpert"].columns.patient is None
    assert len(made["chexpert"].classification.reported) == 5
    assert made["nih14"].classification.classes == ("Mass",)  # a list is replaced, not joined


def test_another_key_brings_nothing():
    assert completed("mine", {"index": "a.csv"}) == {"index": "a.csv"}
    assert completed("nih14", ["no", "mapping"]) == ["no", "mapping"]


def test_a_mistake_in_the_entry_of_a_known_dataset_is_named(tiny):
    with pytest.raises(ValueError, match=r"classification\.reported: Edema is not among the classes"):
        tiny(datasets={"chexpert": {"classification": {"classes": ["Edem"], "reported": ["Edema"]}}}, runs=_runs())


def test_laying_over_changes_neither_side():
    base, changes = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "d": {"e": 5}}
    assert merged(base, changes) == {"a": {"b": 4, "c": 2}, "d": {"e": 5}}
    assert (base, changes) == ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "d": {"e": 5}})


def test_a_card_names_the_terms_of_known_datasets(tiny):
    phantom = {"source": "phantom", "phantom": dict.fromkeys(("train", "val", "test"), 1)}
    slice_ = release_slice(tiny(datasets={"chexpert": phantom}, report={}, runs=_runs()), "joint")
    assert slice_.licences == {"chexpert": "Stanford University Dataset Research Use Agreement"}
    assert release_slice(tiny(), "foundation_x").licences == {}


def test_a_test_set_has_test_images_only_and_its_release_says_so():
    gold = registry()["cxr_lt_2024_gold"]
    assert gold.images(Holdout()) == {"test": 406}
    made = Dataset.model_validate(completed("cxr_lt_2024_gold", {}))
    assert made.splits == ("test",)
    assert (made.pictures, len(made.classification.classes)) == ("mimic_cxr", 26)
    at = made.classification.classes.index
    assert at("Normal") < at("Nodule")
    assert not set(made.classification.classes) - set(registry()["cxr_lt_2024"].classes(Task.CLASSIFICATION))
    assert registry()["chexpert"].dataset("chexpert")["test_only"] is False
