"""A small CXR-LT study by hand: what its tables and figure read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fxcore import paths
from fxcore.files import write_json
from fxcore.params.registry import registry
from fxcore.report.cxrlt import CxrltResults
from fxcore.slices.cxrlt_report import CxrltReportSlice
from tests.report.study import number

FREQUENCY = {"Edema": "head", "Mass": "medium", "Nodule": "medium", "Fissure": "tail"}
PREVALENCE = {"Edema": 0.25, "Mass": 0.05, "Nodule": 0.02, "Fissure": 0.005}
TASK2 = ("Edema", "Mass")
VIT_L = {"patch": 16, "width": 1024, "depth": 24, "heads": 16, "registers": 4}
STAGES = [
    {"resolution": 224, "local": 96, "batch_size": 304, "updates": 250000, "start": None},
    {"resolution": 336, "local": 128, "batch_size": 96, "updates": 0, "start": 224},
]


def head(**changes: Any) -> dict[str, Any]:
    """The slides' ML-Decoder at 336 pixels, with changes."""
    usual = {"title": "ViT-L", "backbone": "vit_l", "resolution": 336, "kind": "ml_decoder"}
    return {**usual, "views": 1, "labels": [], "epochs": 10, "stop": None, **changes}


SLICE: dict[str, Any] = {
    "store_size": 64,
    "titles": {"cxr_lt_2024": "CXR-LT 2024", "cxr_lt_gold": "CXR-LT gold", "chexpert": "CheXpert", "own": "Own"},
    "labels": "cxr_lt_2024",
    "gold": "cxr_lt_gold",
    "heads": {
        "mld": head(stop=2),
        "pair": head(kind="linear", views=2),
        "tiny": head(title="Tiny ViT", backbone="tiny", resolution=32, labels=["chexpert"]),
    },
    "ensembles": {"two": {"title": "Two resolutions", "heads": ["tiny", "mld"]}},
    "backbones": {
        "vit_l": {
            "title": "ViT-L",
            "vit": VIT_L,
            "stages": STAGES,
            "settings": {"projection.prototypes": 131072, "rate": 2e-4},
        },
        "tiny": {
            "title": "Tiny ViT",
            "vit": VIT_L | {"width": 48, "depth": 2},
            "stages": [{"resolution": 32, "local": 16, "batch_size": 8, "updates": 4, "start": None}],
            "settings": {"projection.prototypes": 64, "dino": 1, "ramp": [0.04, 0.07], "crops.packed": True},
        },
    },
    "confidence": 0.95,
    "left_out": [],
}
CORPUS: dict[str, Any] = {
    "sources": {
        "cxr_lt_2024": {
            "images": {"train": 100},
            "taken": 80,
            "left_out": {"holdout": 20, "evaluated": 0},
            "synthetic": True,
            "contamination": {name: {"images": 0, "groups": 0} for name in ("dev", "test", "gold")},
        },
        "own": {
            "images": {"train": 1500, "val": 0, "test": 30},
            "taken": 1525,
            "left_out": {"holdout": 0, "evaluated": 5},
            "synthetic": True,
            "contamination": {
                "dev": {"images": 3, "groups": 2},
                "test": {"images": 0, "groups": 0},
                "gold": {"images": 1, "groups": 1},
            },
        },
    },
    "total": 1605,
}


def metric(value: float | None, classes: dict[str, float | None], **undefined: str) -> dict[str, Any]:
    """A metric as metrics files have it, its interval a tenth of it below and above."""
    ends = (None, None) if value is None else (round(value * 0.9, 6), round(value * 1.1, 6))
    named = {label: number(one, one and one - 0.01, one and one + 0.01) for label, one in classes.items()}
    return number(value, *ends) | {"classes": named, "undefined": undefined}


def cell(value: float | None = 0.4, names: tuple[str, ...] = tuple(FREQUENCY), **changes: Any) -> dict[str, Any]:
    """One head on one set; every class has the value."""
    of = {"map": value, "mauc": 0.8, "mf1": 0.25, "ece": 0.05, "ece_board": 0.7, "ece_confidence": 0.06}
    found = {name: metric(one, dict.fromkeys(names, one)) for name, one in of.items()}
    groups = {
        name: number(value) | {"classes": sum(FREQUENCY[label] == name for label in names)}
        for name in FREQUENCY.values()
    }
    for group in groups.values():
        group["value"] = group["value"] if group["classes"] else None
    counts = {"images": 1200, "patients": 1000, "studies": 1100}
    return {**counts, **found, "groups": groups, **changes}


def both(none: float | None, average: float | None, gain: float | None, **changes: Any) -> dict[str, Any]:
    """Both aggregations; `gain` is what the average adds."""
    return {"none": cell(none, **changes), "average": cell(average, **changes) | {"gain": number(gain, -0.01, 0.03)}}


def found(none: float, average: float, ensemble: bool = False) -> dict[str, Any]:
    """All sets of a head with mAP of task 1; task 2 has a tenth more, and the hand-labelled images two tenths."""

    def task(more: float, **changes: Any) -> dict[str, Any]:
        """Of an ensemble the average alone."""
        made = both(none + more, average + more, average - none, **changes)
        return {"average": {name: one for name, one in made["average"].items() if name != "gain"}} if ensemble else made

    sets = {one: {"task1": task(0), "task2": task(0.1, names=TASK2)} for one in ("dev", "test")}
    return sets | {"gold": {"task2": task(0.2, names=TASK2)}}


METRICS = {
    "mld": found(0.30, 0.32),
    "pair": found(0.20, 0.21),
    "tiny": found(0.10, 0.11),
    "two": found(0.34, 0.34, True),
}


def study(
    root: Path,
    slice_: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
    corpus: dict[str, Any] | None = None,
    synthetic: bool = True,
    prevalence: dict[str, float] | None = None,
    frequency: dict[str, str] | None = None,
    adapter: str = "cxr_lt_2024",
) -> CxrltResults:
    """Results below `root`; `metrics` by name and set."""
    for key, counts in {"cxr_lt_2024": (100, 40, 50), "cxr_lt_gold": (0, 0, 12)}.items():
        splits = dict(zip(("train", "val", "test"), counts, strict=True))
        phantom = {"source": "phantom", "phantom": {"train": 1, "val": 1, "test": 1}}
        dataset = {"adapter": adapter, "classification": {"classes": list(FREQUENCY)}, **phantom}
        write_json(
            paths.store(root, key, 64) / "manifest.json", {"synthetic": synthetic, "params": {"dataset": dataset}}
        )
        known = registry().get(adapter)
        listed = ["test"] if known is None else list(known.expected.splits)
        made = {"annotated": {"classification": splits}, "policy": "official", "listed": listed, "withheld": {}}
        write_json(paths.split(root, key, "json"), made)
    for key in ("own", "chexpert"):
        write_json(paths.store(root, key, 64) / "manifest.json", {"synthetic": synthetic})
    write_json(root / "corpus.json", corpus or CORPUS)
    for name, of in (metrics or METRICS).items():
        facts = {"frequency": frequency or FREQUENCY, "prevalence": prevalence or PREVALENCE, "results": of}
        write_json(root / "metrics" / "cxrlt" / f"{name}.json", facts)
    return CxrltResults(root, CxrltReportSlice.model_validate(slice_ or SLICE))


def shown(table: Any) -> list[dict[str, str]]:
    """The page's rows by heading."""
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]
