"""The tables of the paper, from manifests, the pass list, metrics and histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
                    **{f"patients_{split}": manifest["annotated_patients"][task][split] for split in Split},
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
        f"{results.kind(results.slice.datasets)} Images annotated for each task, and the patients they are of;"
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
        f"{run.title}: one of {run.cycles} cycles. Everything not named under “trains” is frozen. A pass takes whole batches"
        f" of {how.batch_size} images; an incomplete last one is dropped."
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
    _, run = results.joint
    records = [_table3_record(results, key, task) for key, tasks in run.order for task in tasks]
    header = ["dataset", "task", "metric", "baseline", f"{run.title} (teacher)", "Δ", "student", "choice"]
    header += ["test images (patients)", "images seen (baseline, joint)", "note"]
    caption = (
        f"{results.kind(dataset for dataset, _ in run.order)} Test split, percent, with"
        f" {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals over patients; one seed. The state of each"
        " branch was chosen on validation, for each dataset and task; “choice” is the branch that did best there."
        " Δ is teacher minus baseline. A baseline is a single-task run. Intervals over few patients say little."
    )
    return Table("Table 3. Pretraining", caption, records, header, [_table3_row(one) for one in records])


def _table3_record(results: Results, key: str, task: Task) -> dict[str, object]:
    name, _ = results.joint
    baseline = results.baseline(key, task)
    joint = results.metrics(name)[key][task]
    alone = results.metrics(baseline)[key][task] if baseline else {}
    metric = headline(task, results.slice.evaluate.iou)
    chosen = joint[joint["choice"]]
    return {
        "dataset": results.slice.datasets[key].title,
        "key": key,
        "task": str(task),
        "metric": metric,
        **_numbers("baseline", alone, "choice", metric),
        **_numbers("teacher", joint, "teacher", metric),
        **_numbers("student", joint, "student", metric),
        **_numbers("choice", joint, "choice", metric),
        "test_images": chosen["images"],
        "test_patients": chosen["patients"],
        "images_seen_baseline": results.images_seen(baseline)[key, str(task)] if baseline else None,
        "images_seen_joint": results.images_seen(name)[key, str(task)],
        "note": _note(chosen[metric]["undefined"]),
    }


def _numbers(column: str, cell: Mapping[str, Any], branch: str, metric: str) -> dict[str, float | None]:
    """A column's value and interval in percent; None where there is none."""
    found = cell.get(cell.get("choice", "") if branch == "choice" else branch, {}).get(metric, {})
    numbers = {"": found.get("value"), "_low": found.get("low"), "_high": found.get("high")}
    return {f"{column}{end}": None if number is None else round(100 * number, 2) for end, number in numbers.items()}


def _note(undefined: Sequence[str]) -> str:
    """Why classes are missing from a mean."""
    return f"no positives, or no negatives, in test: {', '.join(undefined)}" if undefined else ""


def _cell(one: dict[str, object], column: str) -> str:
    value, low, high = (one[f"{column}{suffix}"] for suffix in ("", "_low", "_high"))
    if value is None:
        return "–"
    return f"{value:.1f}" + (f" [{low:.1f}, {high:.1f}]" if low is not None and high is not None else "")


def _table3_row(one: dict[str, object]) -> tuple[str, ...]:
    teacher, baseline, metric = one["teacher"], one["baseline"], str(one["metric"])
    delta = f"{teacher - baseline:+.1f}" if isinstance(teacher, float) and isinstance(baseline, float) else "–"
    seen = (one["images_seen_baseline"], one["images_seen_joint"])
    return (
        str(one["dataset"]),
        str(one["task"]),
        METRICS.get(metric, metric.replace("map", "mAP")),
        _cell(one, "baseline"),
        _cell(one, "teacher"),
        delta,
        _cell(one, "student"),
        _cell(one, "choice"),
        f"{one['test_images']:,} ({one['test_patients']:,})",
        ", ".join("–" if number is None else f"{number:,}" for number in seen),
        str(one["note"]),
    )


TABLES: dict[str, Callable[[Results], Table]] = {
    builder.__name__: builder for builder in (table1_datasets, table2_schedule, table3_pretraining)
}
"""By name, in the order of the paper."""
