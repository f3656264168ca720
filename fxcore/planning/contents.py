"""The tables and figures that an experiment has something for, and what each is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fxcore import paths, sources
from fxcore.params.blocks import Block
from fxcore.params.experiment import Params
from fxcore.params.runs import Run
from fxcore.slices import make

TABLES = (
    "table1_datasets",
    "table2_schedule",
    "table3_pretraining",
    "table4_organs",
    "table5_transfer",
    "table6_few_shot",
    "ablation",
    "splits",
    "leakage",
    "claims",
)
FIGURES = (
    "figure1_method",
    "figure2_cross_task",
    "figure3_finetuning",
    "few_shot",
    "leakage",
    "panels_classification",
    "panels_localization",
    "panels_segmentation",
)


CXRLT_TABLES = (
    "cxrlt_data",
    "cxrlt_settings",
    "cxrlt_task1",
    "cxrlt_task2",
    "cxrlt_ensemble",
    "cxrlt_test",
)
CXRLT_FIGURES = ("cxrlt_prevalence",)
"""Those of the CXR-LT study."""
ALL_TABLES, ALL_FIGURES = (*TABLES, *CXRLT_TABLES), (*FIGURES, *CXRLT_FIGURES)


def tables(params: Params) -> list[str]:
    """Those of `TABLES` and `CXRLT_TABLES` that the experiment has something for."""
    return [*(_tables(params) if params.runs else ()), *_study_tables(params)]


def figures(params: Params) -> list[str]:
    """Those of `FIGURES` and `CXRLT_FIGURES` that the experiment has something for."""
    return [*(_figures(params) if params.runs else ()), *(CXRLT_FIGURES if params.cxrlt else ())]


def _study_tables(params: Params) -> list[str]:
    if params.cxrlt is None:
        return []
    has = {"cxrlt_task2": params.cxrlt.gold is not None, "cxrlt_ensemble": bool(params.cxrlt.ensembles)}
    return [name for name in CXRLT_TABLES if has.get(name, True)]


def _tables(params: Params) -> list[str]:
    has = {name: bool(of) for name, of in _of_tables(params.trained).items()} | {
        "table6_few_shot": bool(params.few_shot.runs)
    }
    return [name for name in TABLES if has.get(name, True)]


def _figures(params: Params) -> list[str]:
    has = {
        "figure3_finetuning": bool(_shown(params.trained, "figure3_finetuning")),
        "few_shot": bool(params.few_shot.runs),
    }
    return [name for name in FIGURES if has.get(name, True)]


def table_slice(params: Params, name: str) -> Block:
    """What a table knows."""
    return make.report_slice(params) if name in CXRLT_TABLES else make.table_slice(params)


def figure_slice(params: Params, name: str) -> Block:
    """What a figure knows."""
    return make.report_slice(params) if name in CXRLT_FIGURES else make.figure_slice(params)


def sources_of(made: Mapping[str, str]) -> tuple[str, ...]:
    """Our source files of a table or figure, `{"table": name}` or `{"figure": name}`."""
    ((kind, name),) = made.items()
    return sources.closure(f"fxcore.report.{'cxrlt' if name in (*CXRLT_TABLES, *CXRLT_FIGURES) else kind}")


def table_reads(params: Params, name: str) -> list[Path]:
    """What a table is made from, beside the manifests of all datasets."""
    results = Path(params.results_root)
    if name in CXRLT_TABLES:
        return _study_reads(params, results, name)
    few = [paths.few_shot_metrics(results)] if params.few_shot.runs else []
    if name == "leakage":
        return [paths.leakage(results, what) for what in ("lists", "runs")]
    if name == "claims":
        return [*_each(results, params.trained), paths.choice(results, params.joint), *few]
    return few if name == "table6_few_shot" else _each(results, _of_tables(params.trained).get(name, ()))


def figure_reads(params: Params, name: str) -> list[Path]:
    """What a figure is made from, beside the manifests of all datasets."""
    results = Path(params.results_root)
    if name in CXRLT_FIGURES:
        return _study_reads(params, results, name)
    joint = params.joint
    found: Mapping[str, list[Path]] = {
        "figure1_method": [],
        "figure2_cross_task": [paths.choice(results, joint)],
        "figure3_finetuning": [paths.choice(results, run) for run in _shown(params.trained, "figure3_finetuning")],
        "few_shot": [paths.few_shot_metrics(results)],
        "leakage": [paths.leakage(results, "lists")],
    }
    return found.get(name, [paths.metrics(results, joint), paths.predictions(results, joint)])


def _study_reads(params: Params, results: Path, name: str) -> list[Path]:
    assert params.cxrlt is not None
    if name == "cxrlt_settings":
        return []
    if name == "cxrlt_data":
        return [paths.corpus(results, "json")]
    return [paths.head_metrics(results, one) for one in params.cxrlt.measured]


def shows(name: str, runs: Mapping[str, Run], few_shot: Iterable[str]) -> list[str]:
    """Of all `runs`, those whose numbers a table or figure shows; `few_shot` are trained on few images, too."""
    few, joint = list(few_shot), _roles(runs, "joint")
    found = _of_tables(runs) | {
        "table6_few_shot": few,
        "claims": list(runs),
        "figure2_cross_task": joint,
        "figure3_finetuning": _shown(runs, "figure3_finetuning"),
        "few_shot": few,
        **{figure: joint for figure in FIGURES if figure.startswith("panels_")},
    }
    return found.get(name, [])


def _of_tables(runs: Mapping[str, Run]) -> dict[str, list[str]]:
    """Runs whose metrics a table shows."""
    return {
        "table3_pretraining": _roles(runs, "joint", "baseline"),
        "table4_organs": _shown(runs, "table4_organs"),
        "table5_transfer": _shown(runs, "table5_transfer"),
        "ablation": _roles(runs, "ablation"),
        "splits": [name for key in _roles(runs, "split") for name in (key, str(runs[key].of))],
    }


def _roles(runs: Mapping[str, Run], *roles: str) -> list[str]:
    return [name for name, run in runs.items() if run.role in roles]


def _shown(runs: Mapping[str, Run], where: str) -> list[str]:
    return [name for name, run in runs.items() if run.shown_in == where]


def _each(results: Path, runs: Iterable[str]) -> list[Path]:
    return [paths.metrics(results, run) for run in runs]
