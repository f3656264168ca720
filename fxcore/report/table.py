"""The tables of the paper, from manifests, the pass list, metrics and histories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fxcore.evaluation.headline import headline
from fxcore.passes import Mode, Pass, Split, Task
from fxcore.report.render import Table
from fxcore.report.results import Results
from fxcore.slices.train import run_passes

TRAINS = {
    (Task.CLASSIFICATION, Mode.LOCK): "classification head",
    (Task.CLASSIFICATION, Mode.RELEASE): "backbone, classification head",
    (Task.LOCALIZATION, Mode.LOCK): "localization decoder",
    (Task.LOCALIZATION, Mode.RELEASE): "backbone, localization encoder, localization decoder",
    (Task.SEGMENTATION, Mode.LOCK): "segmentation head",
    (Task.SEGMENTATION, Mode.RELEASE): "backbone, segmentation decoder, segmentation head",
}
"""The lock-release table in words."""
METRICS = {"auc": "AUC", "dice": "Dice"}


def table1_datasets(results: Results) -> Table:
    """Datasets and heads (Table 1 of the paper): what is annotated for each task, in each split."""
    records: list[dict[str, object]] = []
    numbers = dict.fromkeys(Task, 0)
    for key, dataset in results.slice.datasets.items():
        manifest = results.manifest(key)
        for task in dataset.tasks:
            numbers[task] += 1
            records.append(
                {
                    "dataset": dataset.title,
                    "key": key,
                    "data": "phantom" if manifest["synthetic"] else "real",
                    "head": f"{task[0].upper()}{numbers[task]}",
                    "task": str(task),
                    "classes": len(dataset.classes(task)),
                    **{str(split): manifest["annotated"][task][split] for split in Split},
                    **{f"patients_{split}": manifest["patients"][split] for split in Split},
                }
            )
    header = (
        "dataset",
        "data",
        "head",
        "task",
        "classes",
        *(f"{split} images" for split in Split),
        "patients (train, val, test)",
    )
    rows = [
        (
            *(str(one[name]) for name in ("dataset", "data", "head", "task", "classes")),
            *(f"{one[split]:,}" for split in Split),
            ", ".join(f"{one[f'patients_{split}']:,}" for split in Split),
        )
        for one in records
    ]
    caption = (
        f"{results.kind(results.slice.datasets)} Images annotated for each task;"
        " an image without an annotation is unknown to that task, not negative."
    )
    return Table("Table 1. Datasets and heads", caption, records, header, rows)


def table2_schedule(results: Results) -> Table:
    """One cycle of the joint run, pass by pass (the paper's lock-release table), from the pass list that trains."""
    name, run = results.joint
    how = results.slice.pretrain[name]
    records = [_pass_record(results, one, how.batch_size) for one in run_passes(run.order, how, 1)]
    header = ("pass", "dataset", "task", "mode", "data", "trains", "updates", "images")
    rows = [
        (
            *(str(one[name]) for name in ("pass", "dataset", "task", "mode")),
            f"{100 * float(str(one['fraction'])):.0f} %",
            str(one["trains"]),
            f"{one['updates']:,}",
            f"{one['images']:,}",
        )
        for one in records
    ]
    caption = (
        f"{run.title}: one of {run.cycles} cycles. Everything not named under “trains” is frozen."
        f" After each pass the teacher moves towards the student{'' if how.momentum is None else f' (momentum {how.momentum})'}."
    )
    return Table("Table 2. Lock-release schedule", caption, records, header, rows)


def _pass_record(results: Results, one: Pass, batch_size: int) -> dict[str, object]:
    images = results.manifest(one.dataset)["annotated"][one.task][Split.TRAIN]
    updates = one.updates(images, batch_size)
    return {
        "pass": one.index + 1,
        "dataset": results.slice.datasets[one.dataset].title,
        "key": one.dataset,
        "task": str(one.task),
        "mode": str(one.mode),
        "fraction": float(one.fraction),
        "trains": TRAINS[one.task, one.mode],
        "updates": updates,
        "images": updates * min(batch_size, images),
    }


def table3_pretraining(results: Results) -> Table:
    """Single-task baselines beside the joint model, for each dataset and task (Table 3 of the paper)."""
    name, run = results.joint
    joint, seen = results.metrics(name), results.images_seen(name)
    records: list[dict[str, object]] = []
    for key, tasks in run.order:
        for task in tasks:
            metric = headline(task, results.slice.evaluate.iou)
            baseline = results.baseline(key, task)
            columns = {
                "baseline": (results.metrics(baseline)[key][task] if baseline else None, "choice"),
                **{column: (joint[key][task], column) for column in ("teacher", "student", "choice")},
            }
            records.append(
                {
                    "dataset": results.slice.datasets[key].title,
                    "key": key,
                    "task": str(task),
                    "metric": metric,
                    **{
                        field: value
                        for column, (cell, branch) in columns.items()
                        for field, value in _numbers(column, cell, branch, metric).items()
                    },
                    "test_images": joint[key][task][joint[key][task]["choice"]]["images"],
                    "images_seen_baseline": results.images_seen(baseline)[key, str(task)] if baseline else None,
                    "images_seen_joint": seen[key, str(task)],
                    "note": _note(joint[key][task], metric),
                }
            )
    header = (
        "dataset",
        "task",
        "metric",
        "baseline",
        f"{run.title} (teacher)",
        "Δ",
        "student",
        "choice",
        "images seen (baseline, joint)",
        "note",
    )
    rows = [_table3_row(one) for one in records]
    caption = (
        f"{results.kind(dataset for dataset, _ in run.order)} Test split, percent, with"
        f" {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals over patients; one seed. The state of each"
        " branch was chosen on validation, for each dataset and task; “choice” is the branch that did best there."
        " Δ is teacher minus baseline. A baseline is a single-task run."
    )
    return Table("Table 3. Pretraining", caption, records, header, rows)


def _numbers(column: str, cell: dict[str, Any] | None, branch: str, metric: str) -> dict[str, float | None]:
    """A column's value and interval in percent; None where there is none."""
    of_branch = (cell or {}).get((cell or {}).get("choice", "") if branch == "choice" else branch)
    found = of_branch[metric] if of_branch else {}
    percent = {
        field: None if found.get(field) is None else round(100 * found[field], 2) for field in ("value", "low", "high")
    }
    return {column: percent["value"], f"{column}_low": percent["low"], f"{column}_high": percent["high"]}


def _note(cell: dict[str, Any], metric: str) -> str:
    found = cell[cell["choice"]][metric]
    if not found["undefined"]:
        return ""
    return f"no positives, or no negatives, in test: {', '.join(found['undefined'])}"


def _cell(one: dict[str, object], column: str) -> str:
    value, low, high = (one[f"{column}{suffix}"] for suffix in ("", "_low", "_high"))
    if value is None:
        return "–"
    return f"{value:.1f}" + (f" [{low:.1f}, {high:.1f}]" if low is not None and high is not None else "")


def _table3_row(one: dict[str, object]) -> tuple[str, ...]:
    teacher, baseline = one["teacher"], one["baseline"]
    delta = f"{teacher - baseline:+.1f}" if isinstance(teacher, float) and isinstance(baseline, float) else "–"
    seen = ", ".join(
        "–" if one[f"images_seen_{who}"] is None else f"{one[f'images_seen_{who}']:,}" for who in ("baseline", "joint")
    )
    metric = str(one["metric"])
    name = METRICS.get(metric, metric.replace("map", "mAP"))
    middle = (_cell(one, "baseline"), _cell(one, "teacher"), delta, _cell(one, "student"), _cell(one, "choice"))
    return (str(one["dataset"]), str(one["task"]), name, *middle, seen, str(one["note"]))


TABLES: dict[str, Callable[[Results], Table]] = {
    builder.__name__: builder for builder in (table1_datasets, table2_schedule, table3_pretraining)
}
"""By name, in the order of the paper."""
