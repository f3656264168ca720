"""Table 3: single-task baselines beside the joint model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from fxcore.evaluation.headline import headline, printed
from fxcore.evaluation.statistics import UNTRAINED
from fxcore.passes import Task
from fxcore.report.gaps import Gap, metric_gap, missing, noted, paired_gap, undefined
from fxcore.report.published import Pretraining, pretraining
from fxcore.report.render import Table, interval
from fxcore.report.results import Results, percent

Record = dict[str, Any]


def table3_pretraining(results: Results) -> Table:
    """Single-task baselines beside the joint model, for each dataset and task (Table 3 of the paper)."""
    _, run = results.joint
    cells = [Cell.of(results, key, task) for key, tasks in run.order for task in tasks]
    records = [cell.record(results) for cell in cells]
    lacking = [line for cell in cells for line in missing(f"{cell.key} {cell.task}", cell.gaps())]
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
        f" {results.split(dataset for dataset, _ in run.order)}"
    )
    return Table("Table 3. Pretraining", caption, records, header, [_row(one) for one in records], lacking)


@dataclass(frozen=True, slots=True)
class Cell:
    """One dataset and task: test metrics of the joint run and of the baseline, where there is one, and what the paper printed."""

    key: str
    task: Task
    metric: str
    joint: Mapping[str, Any]
    baseline: str | None
    alone: Mapping[str, Any]
    published: Pretraining | None

    @classmethod
    def of(cls, results: Results, key: str, task: Task) -> Self:
        """What the metrics files have."""
        baseline = results.baseline(key, task)
        alone = results.metrics(baseline)[key][task] if baseline else {}
        metric, joint = headline(task, results.slice.evaluate.iou), results.metrics(results.joint[0])[key][task]
        return cls(key, task, metric, joint, baseline, alone, pretraining().get((key, str(task))))

    def gaps(self) -> Iterator[Gap]:
        """Columns without a number."""
        for branch in ("teacher", "student", UNTRAINED):
            yield from metric_gap(branch, self.joint, branch, self.metric)
        yield from metric_gap("choice", self.joint, self.joint["choice"], self.metric)
        if self.baseline:
            yield from metric_gap("baseline", self.alone, self.alone["choice"], self.metric)
        without = "the parameters have no single-task run of this dataset and task"
        yield from () if self.baseline else (Gap("baseline", without, True),)
        yield from paired_gap("Δ", self.joint.get("differences", {}).get(self.baseline), without)
        yield from paired_gap("gain", self.joint.get("gain"), "the untrained network was not scored")
        yield from () if self.published else (Gap("published", "not in the paper", True),)

    def record(self, results: Results) -> Record:
        """A row of the CSV."""
        name, joint, metric = results.joint[0], self.joint, self.metric
        chosen, published = joint[joint["choice"]], self.published
        partly = chosen[metric]["undefined"] if chosen[metric]["value"] is not None else {}
        printed_note = f"published: {published.note}" if published and published.note else ""
        return {
            "dataset": results.slice.titles[self.key],
            "key": self.key,
            "task": str(self.task),
            "metric": metric,
            **_of_branch("untrained", joint, UNTRAINED, metric),
            **_of_branch("baseline", self.alone, "choice", metric),
            **_of_branch("teacher", joint, "teacher", metric),
            **_of_branch("student", joint, "student", metric),
            **_of_branch("choice", joint, "choice", metric),
            **percent("difference", joint.get("differences", {}).get(self.baseline, {})),
            **percent("gain", joint.get("gain", {})),
            "published_baseline": published and published.baseline,
            "published_foundation_x": published and published.foundation_x,
            "test_images": chosen["images"],
            "test_patients": chosen["patients"],
            "images_seen_baseline": results.seen(self.baseline)[self.key][self.task] if self.baseline else None,
            "images_seen_joint": results.seen(name)[self.key][self.task],
            "run": name,
            "baseline_run": self.baseline,
            "note": noted(self.gaps(), undefined(partly), printed_note),
        }


def _of_branch(column: str, cell: Mapping[str, Any], branch: str, metric: str) -> dict[str, float | None]:
    return percent(column, cell.get(cell.get("choice", "") if branch == "choice" else branch, {}).get(metric, {}))


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
