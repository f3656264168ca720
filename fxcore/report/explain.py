"""What is behind the numbers of one dataset and task in a table or figure: runs, what validation chose, weights, data, commits.

The CSV of a table is the truth: its columns `key` and `task` say which rows are meant, `run` and those that end in `_run` which
runs made them (`fxcore.report.render.Table`). A figure has no CSV; those of fine-tuning are of its runs, others of the joint run.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fxcore import paths
from fxcore.errors import InputError
from fxcore.files import read_json, sha256
from fxcore.params.registry import registry
from fxcore.passes import Split
from fxcore.report import finetuning
from fxcore.report.few_shot_curve import few_shot
from fxcore.report.finetuned import shown as shown_in
from fxcore.report.panels import KINDS
from fxcore.report.results import Results
from fxcore.training.keep import Kept

Facts = dict[str, Any]
Row = Mapping[str, str]
SNAPSHOTS = "figure2_cross_task"
"""The figure that is made of snapshots, not of what validation chose."""
SOURCES = 5
"""Native files that people are shown."""


def explain(
    results: Results, name: str, dataset: str, task: str, tables: Sequence[str], figures: Sequence[str]
) -> Facts:
    """Everything that is known of the numbers of one dataset and task.

    Args:
        results: where they lie.
        name: the table or figure.
        dataset: its key.
        task: the dataset's task.
        tables: names of the tables there are.
        figures: names of the figures there are.

    Raises:
        InputError: there is no such table, dataset or task in it, or what made it is not there.
    """
    if name not in (*tables, *figures):
        raise InputError(f"{name}: no such table or figure; there are {', '.join((*tables, *figures))}")
    rows = _of_table(results, name) if name in tables else list(_of_figure(results, name))
    found = _rows(name, rows, dataset, task)
    columns: dict[str, list[str]] = {}
    for row in found:
        for column, run in row.items():
            if run and _names_run(column):
                columns.setdefault(run, []).append(column)
    return {
        "of": name,
        "file": str(
            paths.table(results.root, name, "csv") if name in tables else paths.figure(results.root, name, "png")
        ),
        "dataset": dataset,
        "task": task,
        "rows": [dict(row) for row in found],
        "runs": {
            run: {"columns": list(dict.fromkeys(named)), **_run(results, run, dataset, task, name == SNAPSHOTS)}
            for run, named in columns.items()
        },
        "data": _data(results, dataset, task),
    }


def _names_run(column: str) -> bool:
    return column == "run" or column.endswith("_run")


def _of_table(results: Results, name: str) -> list[Row]:
    path = paths.table(results.root, name, "csv")
    try:
        with path.open(encoding="utf-8", newline="") as source:
            rows: list[Row] = list(csv.DictReader(source))
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror}); make it with: snakemake --cores all") from error
    if not rows or not {"key", "task"} <= set(rows[0]):
        raise InputError(f"{name} is not by dataset and task; {path} says all there is")
    return rows


def _of_figure(results: Results, name: str) -> Iterator[Row]:
    """A row a dataset and task that a figure shows."""
    if tried := _tried(results).get(name):
        for one in tried:
            yield from ({"key": key, "task": task, "run": one} for key, task in _visited(results, one))
        return
    joint, run = results.joint
    shown = [
        (key, str(task)) for key, tasks in run.order for task in tasks if name not in KINDS or task is KINDS[name].task
    ]
    if name == SNAPSHOTS:
        shown = [(one["of"][0], one["of"][1]) for one in results.choice(joint)["snapshots"]]
    for key, task in dict.fromkeys(shown):
        yield {"key": key, "task": task, "run": joint}


def _tried(results: Results) -> dict[str, Sequence[str]]:
    """Runs of the figures that are of other runs than the joint one."""
    return {finetuning.WHERE: shown_in(results, finetuning.WHERE), few_shot.__name__: results.slice.few_shot.runs}


def _visited(results: Results, run: str) -> list[tuple[str, str]]:
    return [(key, str(task)) for key, tasks in results.slice.runs[run].order for task in tasks]


def _rows(name: str, rows: Iterable[Row], dataset: str, task: str) -> list[Row]:
    tasks: dict[str, dict[str, None]] = {}
    for row in rows:
        if row["key"]:
            tasks.setdefault(row["key"], {})[row["task"]] = None
    if dataset not in tasks:
        raise InputError(f"{name} has no dataset {dataset}; it has {', '.join(tasks) or 'none'}")
    if task not in tasks[dataset]:
        raise InputError(f"{name} has no {task} of {dataset}; it has {', '.join(tasks[dataset])}")
    return [row for row in rows if (row["key"], row["task"]) == (dataset, task)]


def _run(results: Results, run: str, dataset: str, task: str, snapshots: bool) -> Facts:
    folder = paths.kept(results.root, run)
    kept, sums, choice = Kept.open(folder), read_json(folder / paths.MANIFEST)["files"], results.choice(run)
    known, trained = results.slice.runs.get(run), kept.provenance
    cell = choice["chosen"].get(dataset, {}).get(task, {})
    candidates = {
        (one["branch"], one["cycle"]): one["value"]
        for one in choice["candidates"]
        if (one["dataset"], one["task"]) == (dataset, task)
    }
    predictions, evaluated = paths.predictions(results.root, run), read_json(paths.metrics(results.root, run))
    facts: Facts = {
        "title": known and known.title,
        "role": known and known.role,
        "metric": choice["metric"][task],
        "choice": cell.get("choice"),
        "chosen": {
            branch: {
                "cycle": cycle,
                "validation": candidates.get((branch, cycle)),
                **_file(kept.weights[cycle], sums[kept.weights[cycle].name]),
            }
            for branch, cycle in cell.items()
            if branch != "choice"
        },
        "params": {"file": str(folder / paths.MANIFEST), "under": "provenance.params", "value": trained["params"]},
        "commits": {
            "trained": trained["commit"],
            "scored": choice["commit"],
            "evaluated": evaluated["provenance"]["commit"],
        },
        "predictions": _file(predictions, _sha256(predictions)),
        "made_with": trained["params"]
        | choice["params"]
        | evaluated["provenance"]["params"]
        | {"cycles": max(kept.weights)},
    }
    if snapshots:
        facts["snapshots"] = [_file(path, sums[f"snapshots/{path.name}"]) for path in kept.snapshots]
    return facts


def _file(path: Path, digest: str) -> Facts:
    return {"file": str(path), "sha256": digest}


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror}); make it with: snakemake --cores all") from error


def _data(results: Results, key: str, task: str) -> Facts:
    manifest, counts = results.manifest(key), results.counts(key)
    path = paths.store(results.root, key, results.slice.store_size) / "manifest.json"
    release = registry().get(manifest["adapter"])
    return {
        **_file(path, _sha256(path)),
        "title": results.slice.titles[key],
        "synthetic": manifest["synthetic"],
        "release": release and release.version,
        "adapter": manifest["adapter"],
        "adapter_version": manifest["adapter_version"],
        "store_size": results.slice.store_size,
        "images": counts["images"],
        "annotated": counts["annotated"][task],
        "split": results.split([key]),
        "commit": manifest["commit"],
        "sources": manifest["sources"],
        "params": manifest["params"],
    }


def stale(facts: Facts, runs: Mapping[str, Facts], data: Facts) -> list[str]:
    """What was made with other values than the parameters have now: `joint: pretrain.batch_size was 4, is now 8`.

    Args:
        facts: of `explain`.
        runs: what each run would be made with now, as its facts have it under `made_with`; of runs that there still are.
        data: what the dataset's store would be made of now.
    """
    made = [(name, facts["runs"][name]["made_with"], now) for name, now in runs.items()]
    made += [(facts["dataset"], facts["data"]["params"], data)]
    return [f"{name}: {one}" for name, was, now in made for one in _changes(was, now, "")]


def _changes(was: Any, now: Any, place: str) -> Iterator[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*was, *now)):
            yield from _changes(was.get(key), now.get(key), f"{place}.{key}" if place else key)
    elif was != now:
        before, after = (json.dumps(value, ensure_ascii=False) for value in (was, now))
        yield f"{place} was {before}, is now {after}"


def describe(facts: Facts, command: str = "snakemake --cores all") -> str:
    """The facts for people, and the command that makes anew what is stale; what is long is only pointed to."""
    data = facts["data"]
    lines = [f"{data['title']} ({facts['dataset']}), {facts['task']}, in {facts['file']}"]
    for row in facts["rows"]:
        if numbers := list(_facts(_numbers(row))):
            lines += ["", *numbers]
    for name, run in facts["runs"].items():
        title = ", ".join(filter(None, (run["title"], run["role"])))
        lines += ["", f"{name}: {title} ({', '.join(run['columns'])})", *_facts(_of_run(run))]
    kind = "phantom data: synthetic pictures, not radiographs" if data["synthetic"] else "real radiographs"
    lines += ["", f"{facts['dataset']}: {data['title']}, {kind}", *_facts(_of_data(data))]
    if facts.get("stale"):
        lines += ["", f"Made with other parameters than there are now; made anew by: {command}"]
        lines += [f"  {one}" for one in facts["stale"]]
    return "\n".join([*lines, ""])


def _facts(named: Iterable[tuple[str, str]]) -> Iterator[str]:
    facts = list(named)
    width = max((len(name) for name, _ in facts), default=0)
    for name, said in facts:
        yield f"  {name:<{width}}  {said}"


def _numbers(row: Row) -> Iterator[tuple[str, str]]:
    """The row's columns, a value with its interval in one; the runs follow by themselves."""
    for column, value in row.items():
        part_of_another = any(column.endswith(end) and column.removesuffix(end) in row for end in ("_low", "_high"))
        if value and not (part_of_another or _names_run(column) or column in ("key", "dataset", "task")):
            low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
            yield column, f"{value} [{low}, {high}]" if low and high else value


def _of_run(run: Facts) -> Iterator[tuple[str, str]]:
    for branch, one in run["chosen"].items():
        value = "undefined" if one["validation"] is None else f"{100 * one['validation']:.2f}"
        best = ", the better branch there" if branch == run["choice"] and len(run["chosen"]) > 1 else ""
        yield branch, f"after cycle {one['cycle']}, by validation: {run['metric']} {value}{best}"
    if not run["chosen"]:
        yield "chosen", "nothing: the run does not train this task of the dataset"
    weights = {one["file"]: one["sha256"] for one in run["chosen"].values()}
    for file, digest in weights.items():
        yield "weights", f"{file}  sha256 {digest}"
    for one in run.get("snapshots", ()):
        yield "snapshots", f"{one['file']}  sha256 {one['sha256']}"
    yield "parameters", f"{run['params']['file']}, under {run['params']['under']} (in full: --json)"
    yield "commits", ", ".join(f"{what} {commit or 'unknown'}" for what, commit in run["commits"].items())
    yield "predictions", f"{run['predictions']['file']}  sha256 {run['predictions']['sha256']}"


def _of_data(data: Facts) -> Iterator[tuple[str, str]]:
    def counts(of_split: Mapping[str, int]) -> str:
        """Images of each split."""
        return ", ".join(f"{of_split[split]:,} {split}" for split in Split)

    yield "manifest", f"{data['file']}  sha256 {data['sha256']}"
    yield "images", f"{counts(data['images'])}; annotated for the task: {counts(data['annotated'])}"
    yield "split", data["split"].removeprefix("Split: ")
    yield "release", data["release"] or "unknown: not one of the known datasets"
    yield (
        "adapter",
        f"{data['adapter']}, version {data['adapter_version']}; made at commit {data['commit'] or 'unknown'}",
    )
    yield "store size", f"{data['store_size']} x {data['store_size']} pixels"
    sources = list(data["sources"].items())
    for file, digest in sources[:SOURCES]:
        yield "source", f"{file}  sha256 {digest}"
    if (more := len(sources) - SOURCES) > 0:
        yield "", f"and {more:,} more files (all: --json)"
