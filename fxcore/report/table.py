"""The tables of the paper, from manifests, the pass list, metrics and histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fxcore.passes import Mode, Pass, Split, Task
from fxcore.report.ablation import ablation
from fxcore.report.claims import claims
from fxcore.report.few_shot import table6_few_shot
from fxcore.report.leakage import leakage
from fxcore.report.organs import table4_organs
from fxcore.report.pretraining import table3_pretraining
from fxcore.report.render import Table
from fxcore.report.results import Results
from fxcore.report.splits import splits
from fxcore.report.transfer import table5_transfer

TRAINS = {
    (Task.CLASSIFICATION, Mode.LOCK): "classification head",
    (Task.CLASSIFICATION, Mode.RELEASE): "backbone, classification head",
    (Task.LOCALIZATION, Mode.LOCK): "localization decoder",
    (Task.LOCALIZATION, Mode.RELEASE): "backbone, localization encoder, localization decoder",
    (Task.SEGMENTATION, Mode.LOCK): "segmentation head",
    (Task.SEGMENTATION, Mode.RELEASE): "backbone, segmentation decoder, segmentation head",
}
"""The lock-release table in words."""


def table1_datasets(results: Results) -> Table:
    """Datasets and heads (Table 1 of the paper): what is annotated for each task, in each split."""
    records: list[dict[str, object]] = []
    numbers = dict.fromkeys(Task, 0)
    for key in results.visited:
        title = results.titles[key]
        counts, dataset = results.counts(key), results.dataset(key)
        for task in dataset.tasks:
            numbers[task] += 1
            records.append(
                {
                    "dataset": title,
                    "key": key,
                    "data": "phantom" if results.manifest(key)["synthetic"] else "real",
                    "head": f"{task[0].upper()}{numbers[task]}",
                    "task": str(task),
                    "classes": len(dataset.classes(task)),
                    "policy": counts["policy"],
                    "withheld": sum(counts["withheld"].values()),
                    **{str(split): counts["annotated"][task][split] for split in Split},
                    **{f"patients_{split}": counts["annotated_patients"][task][split] for split in Split},
                    **{f"prevalence_{split}": _prevalence(counts, task, split) for split in Split},
                }
            )
    header = (
        "dataset",
        "data",
        "head",
        "task",
        "classes",
        "splits",
        *(f"{split} images" for split in Split),
        "in no split",
        "patients (train, val, test)",
        "prevalence, % (train, val, test)",
    )
    rows = [
        (
            *(str(one[name]) for name in ("dataset", "data", "head", "task", "classes", "policy")),
            *(f"{one[split]:,}" for split in Split),
            f"{one['withheld']:,}",
            ", ".join(f"{one[f'patients_{split}']:,}" for split in Split),
            ", ".join(f"{one[f'prevalence_{split}']:.1f}" for split in Split),
        )
        for one in records
    ]
    caption = (
        f"{results.kind(results.visited)} Images annotated for each task, and the patients they are of;"
        " an image without an annotation is unknown to that task, not negative. Prevalence is the part of these images that have a"
        " class, the mean of all classes."
        f" {results.split(results.visited)}"
    )
    return Table("Table 1. Datasets and heads", caption, records, header, rows)


def _prevalence(counts: Mapping[str, Any], task: Task, split: Split) -> float:
    """Part of the annotated images that have a class, in percent; the mean of the task's classes."""
    positives = [of[split] for of in counts["positives"][task].values()]
    share: float = sum(positives) / len(positives) / counts["annotated"][task][split]
    return round(100 * share, 2)


def table2_schedule(results: Results) -> Table:
    """One cycle of the joint run, pass by pass (the paper's lock-release table), from the pass list that trains."""
    name, run = results.joint
    how, train = results.slice.pretrain, run.train
    records = [{**_pass_record(results, one, how.batch_size), "run": name} for one in results.cycle]
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
        f"{run.title}: one of {train.cycles} cycles. Everything not named under “trains” is frozen. A pass takes whole batches"
        f" of {how.batch_size} images; an incomplete last one is dropped."
        f" After each pass the teacher moves towards the student{'' if train.momentum is None else f' (momentum {train.momentum})'}."
    )
    return Table("Table 2. Lock-release schedule", caption, records, header, rows)


def _pass_record(results: Results, one: Pass, batch_size: int) -> dict[str, object]:
    images = results.counts(one.dataset)["annotated"][one.task][Split.TRAIN]
    updates = one.updates(images, batch_size)
    return {
        "pass": one.index + 1,
        "dataset": results.slice.titles[one.dataset],
        "key": one.dataset,
        "task": str(one.task),
        "mode": str(one.mode),
        "fraction": float(one.fraction),
        "trains": TRAINS[one.task, one.mode],
        "updates": updates,
        "images": updates * min(batch_size, images),
    }


TABLES: dict[str, Callable[[Results], Table]] = {
    builder.__name__: builder
    for builder in (
        table1_datasets,
        table2_schedule,
        table3_pretraining,
        table4_organs,
        table5_transfer,
        table6_few_shot,
        ablation,
        splits,
        leakage,
        claims,
    )
}
"""By name, in the order of the paper."""
