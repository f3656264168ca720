"""What the way of splitting does to a number: the same data under two policies, and test images of patients seen in training apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fxcore.evaluation.headline import printed
from fxcore.params.runs import Run
from fxcore.passes import Split
from fxcore.report.render import Table, interval
from fxcore.report.results import Results, percent

PARTS = {"all": "", "seen": "of groups seen in training", "unseen": "of other groups"}
"""Of the test images; the columns' words."""
Record = dict[str, Any]


def splits(results: Results) -> Table:
    """Each run that is there for its split, beside the run of the same data that it is held against."""
    runs = results.slice.runs
    shown = dict.fromkeys(name for key, run in runs.items() if run.role == "split" for name in (key, run.of) if name)
    records = [one for name in shown for one in _records(results, name, runs[name])]
    header = ("run", "dataset", "task", "splits", "train images", "test images", "of groups seen in training", "metric")
    rows = [
        (
            *(str(one[name]) for name in ("run", "dataset", "task", "policy")),
            f"{one['train']:,}",
            f"{one['test']:,}",
            f"{one['seen_images']:,} ({100 * one['seen_images'] / one['test']:.0f} %)",
            one["metric"],
            *(_text(one, part) for part in PARTS),
        )
        for one in records
    ]
    keys = list(dict.fromkeys(one["key"] for one in records))
    reasons = "; ".join(
        f"{runs[name].title} ({why})" for name, why in results.slice.allow_leakage.items() if name in shown
    )
    caption = (
        f"{results.kind(keys)} The same pictures and labels split by two policies; the same training otherwise. A group is a patient,"
        " or patients who share a picture. Test images differ between policies, so that rows are not paired; the last two columns of"
        " a row are of one network. Percent, with"
        f" {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals over patients; the teacher, without one the student;"
        f" one seed. {results.split(keys)}{f' Leakage is allowed of {reasons}.' if reasons else ''}"
    )
    return Table(
        "What a split does",
        caption,
        records,
        (*header, *(words or "all test images" for words in PARTS.values())),
        rows,
    )


def _records(results: Results, name: str, run: Run) -> Iterator[Record]:
    for key, tasks in run.train.visits.items():
        counts = results.counts(key)
        for task in tasks:
            cell = results.metrics(name)[key][task]
            branch = cell["teacher" if "teacher" in cell else "student"]
            parts = {"all": branch[cell["metric"]], **cell.get("parts", {})}
            yield {
                "run": name,
                "dataset": results.titles[key],
                "key": key,
                "task": str(task),
                "policy": counts["policy"],
                "train": counts["annotated"][task][Split.TRAIN],
                "test": branch["images"],
                "seen_images": parts.get("seen", {}).get("images", 0),
                "metric": printed(cell["metric"]),
                **{name: value for part in PARTS for name, value in percent(part, parts.get(part, {})).items()},
            }


def _text(one: Mapping[str, Any], part: str) -> str:
    if one[part] is not None:
        return interval(one, part)
    return (
        "no such image"
        if part == "seen" and not one["seen_images"]
        else "all are"
        if not one["seen_images"]
        else "undefined"
    )
