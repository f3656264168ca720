"""The tables and figures that an experiment has something for, and what each is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fxcore import paths
from fxcore.params.experiment import Params

TABLES = (
    "table1_datasets",
    "table2_schedule",
    "table3_pretraining",
    "table4_organs",
    "table5_transfer",
    "table6_few_shot",
    "ablation",
    "claims",
)
FIGURES = (
    "figure1_method",
    "figure2_cross_task",
    "figure3_finetuning",
    "few_shot",
    "panels_classification",
    "panels_localization",
    "panels_segmentation",
)


def tables(params: Params) -> list[str]:
    """Those of `TABLES` that the experiment has something for."""
    has = {name: bool(of) for name, of in _of_tables(params).items()} | {"table6_few_shot": bool(params.few_shot.runs)}
    return [name for name in TABLES if has.get(name, True)]


def figures(params: Params) -> list[str]:
    """Those of `FIGURES` that the experiment has something for."""
    has = {"figure3_finetuning": bool(_shown(params, "figure3_finetuning")), "few_shot": bool(params.few_shot.runs)}
    return [name for name in FIGURES if has.get(name, True)]


def table_reads(params: Params, name: str) -> list[Path]:
    """What a table is made from, beside the manifests of all datasets."""
    results = Path(params.results_root)
    few = [paths.few_shot_metrics(results)] if params.few_shot.runs else []
    if name == "claims":
        return [*_each(results, params.trained), paths.choice(results, params.joint), *few]
    return few if name == "table6_few_shot" else _each(results, _of_tables(params).get(name, ()))


def figure_reads(params: Params, name: str) -> list[Path]:
    """What a figure is made from, beside the manifests of all datasets."""
    results, joint = Path(params.results_root), params.joint
    found: Mapping[str, list[Path]] = {
        "figure1_method": [],
        "figure2_cross_task": [paths.choice(results, joint)],
        "figure3_finetuning": [paths.choice(results, run) for run in _shown(params, "figure3_finetuning")],
        "few_shot": [paths.few_shot_metrics(results)],
    }
    return found.get(name, [paths.metrics(results, joint), paths.predictions(results, joint)])


def _of_tables(params: Params) -> dict[str, list[str]]:
    """Runs whose metrics a table shows."""
    return {
        "table3_pretraining": _roles(params, "joint", "baseline"),
        "table4_organs": _shown(params, "table4_organs"),
        "table5_transfer": _shown(params, "table5_transfer"),
        "ablation": _roles(params, "ablation"),
    }


def _roles(params: Params, *roles: str) -> list[str]:
    return [name for name, run in params.trained.items() if run.role in roles]


def _shown(params: Params, where: str) -> list[str]:
    return [name for name, run in params.trained.items() if run.shown_in == where]


def _each(results: Path, runs: Iterable[str]) -> list[Path]:
    return [paths.metrics(results, run) for run in runs]
