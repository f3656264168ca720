"""A small experiment with every kind of run that tables of fine-tuning show, and what a metrics file says of one cell."""

from __future__ import annotations

from typing import Any

PHANTOM = {"source": "phantom", "phantom": {"train": 1, "val": 1, "test": 1}}
LENGTH = {"cycles": 4, "horizon_cycles": 4}
JSRT = {"adapter": "jsrt", "folder": "jsrt", "segmentation": {"classes": ["Clavicles"]}, **PHANTOM}
DATASETS = {
    "siim_acr": PHANTOM,
    "chexmask_vindr": PHANTOM,
    "jsrt_clavicle": JSRT,
    "montgomery": PHANTOM | {"classification": None},
    "vindr_cxr_local": PHANTOM | {"adapter": "vindr_cxr", "localization": {"classes": ["Mass", "Nodule"]}},
}
"""By key."""


def finetune(title: str, where: str, visits: dict[str, Any], start: Any = None, **train: Any) -> dict[str, Any]:
    """A run of that role; `start` is a run's name, or a file."""
    begin = {"run": start} if isinstance(start, str) else start
    return {
        "title": title,
        "role": "finetune",
        "shown_in": where,
        "train": {"visits": visits, **LENGTH, "start": begin, "lock": [], "momentum": None, **train},
    }


FILE = {"file": "weights/swin.safetensors", "sha256": "0" * 64}
ORGANS = {"chexmask_vindr": ["localization", "segmentation"]}
CLAVICLE, LUNG = {"jsrt_clavicle": ["segmentation"]}, {"montgomery": ["segmentation"]}
DISEASE = {"vindr_cxr_local": ["localization"]}
RUNS = {
    "foundation_x": {
        "title": "Foundation X",
        "role": "joint",
        "train": {"visits": {"siim_acr": ["classification", "segmentation"]}, **LENGTH},
    },
    "alone": {"title": "Swin", "role": "baseline", "train": {"visits": {"siim_acr": ["classification"]}, **LENGTH}},
    "ark6": {"title": "Ark-6", "role": "start", "train": {"visits": {"siim_acr": ["classification"]}, **LENGTH}},
    "organs_loc": finetune("DINO", "table4_organs", {"chexmask_vindr": ["localization"]}),
    "organs_seg": finetune("UPerNet", "table4_organs", {"chexmask_vindr": ["segmentation"]}),
    "clavicle_random": finetune("Random", "table5_transfer", CLAVICLE),
    "clavicle_swin": finetune("Swin, ImageNet", "table5_transfer", CLAVICLE, FILE),
    "lung_random": finetune("Random", "table5_transfer", LUNG),
    "disease_random": finetune("DINO", "figure3_finetuning", DISEASE),
}
FINETUNE = {
    "organs_fx": finetune("Foundation X", "table4_organs", ORGANS, "foundation_x"),
    "clavicle_ark": finetune("Ark-6", "table5_transfer", CLAVICLE, "ark6"),
    "clavicle_fx": finetune("Foundation X", "table5_transfer", CLAVICLE, "foundation_x"),
    "clavicle_head": finetune("Foundation X", "table5_transfer", CLAVICLE, "foundation_x", tune="head"),
    "lung_fx": finetune("Foundation X", "table5_transfer", LUNG, "foundation_x"),
    "disease_fx": finetune("Foundation X, full", "figure3_finetuning", DISEASE, "foundation_x"),
    "disease_head": finetune("Foundation X, head only", "figure3_finetuning", DISEASE, "foundation_x", tune="head"),
}
STUDY: dict[str, Any] = {
    "datasets": DATASETS,
    "runs": RUNS,
    "release": ["foundation_x", "ark6"],
    "finetune": FINETUNE,
    "few_shot": {},
    "report": {"titles": {"jsrt_clavicle": "JSRT clavicle", "vindr_cxr_local": "VinDr-CXR local labels"}},
}
"""For `tiny(**STUDY)`."""


def number(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    """A value with its interval as metrics files have it."""
    return {"value": value, "low": low, "high": high}


def cell(metric: str, value: Any, branch: str = "student", **more: Any) -> dict[str, Any]:
    """A dataset and task of one run; `more` are further metrics of the branch, and `differences`."""
    differences = more.pop("differences", {})
    one = value if isinstance(value, dict) else number(value)
    found = {"images": 1200, "patients": 1100, "cycle": 4, metric: {"undefined": {}, **one}, **more}
    return {"metric": metric, "choice": branch, branch: found, "differences": differences}
