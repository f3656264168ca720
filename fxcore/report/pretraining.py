"""Table 3: single-task baselines beside the joint model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxcore.evaluation.headline import headline, printed
from fxcore.evaluation.statistics import UNTRAINED
from fxcore.passes import Task
from fxcore.report.published import pretraining
from fxcore.report.render import Table, interval
from fxcore.report.results import Results, percent

Record = dict[str, Any]


def table3_pretraining(results: Results) -> Table:
    """Single-task baselines beside the joint model, for each dataset and task (Table 3 of the paper)."""
    _, run = results.joint
    records = [_record(results, key, task) for key, tasks in run.order for task in tasks]
    header = ["dataset", "task", "metric", "baseline", f"{run.title} (teacher)", "Δ", "gain over untrained", "student"]
    header += ["choice", "published baseline", "published Foundation X", "test images (patients)"]
    header += ["images seen (baseline, joint)", "note"]
    caption = (
        f"{results.kind(dataset for dataset, _ in run.order)} Test split, percent, with"
        f" {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals over patients; one seed. The state of each"
        " branch was chosen on validation, for each dataset and task; “choice” is the branch that did best there."
        " AUC of CheXpert and MIMIC-CXR is the mean of five classes, as in the paper; Dice counts an empty mask predicted"
        " empty as 1. A baseline is a single-task run. Δ is teacher minus baseline, paired by image."
        " The gain is that of the teacher over the network"
        " before training, paired by image. Published numbers are of the paper's data and splits (one run, no intervals;"
        " Islam et al. 2025), not of these images. Intervals over few patients say little."
    )
    return Table("Table 3. Pretraining", caption, records, header, [_row(one) for one in records])


def _record(results: Results, key: str, task: Task) -> Record:
    name, _ = results.joint
    baseline = results.baseline(key, task)
    joint = results.metrics(name)[key][task]
    alone = results.metrics(baseline)[key][task] if baseline else {}
    metric = headline(task, results.slice.evaluate.iou)
    chosen = joint[joint["choice"]]
    published = pretraining().get((key, str(task)))
    notes = [
        _undefined(chosen[metric]["undefined"]),
        f"published: {published.note}" if published and published.note else "",
    ]
    return {
        "dataset": results.slice.titles[key],
        "key": key,
        "task": str(task),
        "metric": metric,
        **_of_branch("untrained", joint, UNTRAINED, metric),
        **_of_branch("baseline", alone, "choice", metric),
        **_of_branch("teacher", joint, "teacher", metric),
        **_of_branch("student", joint, "student", metric),
        **_of_branch("choice", joint, "choice", metric),
        **percent("difference", joint.get("differences", {}).get(baseline, {})),
        **percent("gain", joint["gain"]),
        "published_baseline": published and published.baseline,
        "published_foundation_x": published and published.foundation_x,
        "test_images": chosen["images"],
        "test_patients": chosen["patients"],
        "images_seen_baseline": results.seen(baseline)[key][task] if baseline else None,
        "images_seen_joint": results.seen(name)[key][task],
        "note": "; ".join(filter(None, notes)),
    }


def _of_branch(column: str, cell: Mapping[str, Any], branch: str, metric: str) -> dict[str, float | None]:
    return percent(column, cell.get(cell.get("choice", "") if branch == "choice" else branch, {}).get(metric, {}))


def _undefined(reasons: Mapping[str, str]) -> str:
    """Which classes are missing from a mean, and why; `reasons` by class."""
    of_reason: dict[str, list[str]] = {}
    for label, reason in reasons.items():
        of_reason.setdefault(reason, []).append(label)
    return "; ".join(f"{reason} in test: {', '.join(labels)}" for reason, labels in of_reason.items())


def _row(one: Record) -> tuple[str, ...]:
    seen = (one["images_seen_baseline"], one["images_seen_joint"])
    published = (one["published_baseline"], one["published_foundation_x"])
    return (
        one["dataset"],
        one["task"],
        printed(one["metric"]),
        interval(one, "baseline"),
        interval(one, "teacher"),
        interval(one, "difference", "+"),
        interval(one, "gain", "+"),
        interval(one, "student"),
        interval(one, "choice"),
        *("–" if number is None else f"{number:.2f}" for number in published),
        f"{one['test_images']:,} ({one['test_patients']:,})",
        ", ".join("–" if number is None else f"{number:,}" for number in seen),
        one["note"],
    )
