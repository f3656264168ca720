"""What the way of splitting does to a number: the same data under two policies, and test images of patients seen in training apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fxcore.evaluation.headline import printed
from fxcore.evaluation.statistics import standing
from fxcore.params.runs import Run
from fxcore.passes import Split
from fxcore.report.gaps import Gap, metric_gap, missing, noted
from fxcore.report.render import Table, interval
from fxcore.report.results import Results, percent

PARTS = {"all": "", "seen": "of groups seen in training", "unseen": "of other groups"}
"""Of the test images; the columns' words."""
Record = dict[str, Any]
Cell = tuple[Record, list[Gap]]


def splits(results: Results) -> Table:
    """Each run that is there for its split, beside the run of the same data that it is held against."""
    runs = results.slice.runs
    shown = dict.fromkeys(name for key, run in runs.items() if run.role == "split" for name in (key, run.of) if name)
    cells = [cell for name in shown for cell in _cells(results, name, runs[name])]
    records = [record for record, _ in cells]
    lacking = [line for one, gaps in cells for line in missing(f"{one['run']}, {one['key']} {one['task']}", gaps)]
    header = ("run", "dataset", "task", "splits", "train images", "test images", "of groups seen in training", "metric")
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
        (*header, *(words or "all test images" for words in PARTS.values()), "note"),
        [_row(*cell) for cell in cells],
        lacking,
    )


def _cells(results: Results, name: str, run: Run) -> Iterator[Cell]:
    for key, tasks in run.train.visits.items():
        counts = results.counts(key)
        for task in tasks:
            cell = results.metrics(name)[key][task]
            branch = cell[standing(cell)]
            parts = {"all": branch[cell["metric"]], **cell.get("parts", {})}
            seen = parts.get("seen", {}).get("images", 0)
            gaps = list(_gaps(cell, parts, seen))
            record = {
                "run": name,
                "dataset": results.titles[key],
                "key": key,
                "task": str(task),
                "policy": counts["policy"],
                "train": counts["annotated"][task][Split.TRAIN],
                "test": branch["images"],
                "seen_images": seen,
                "metric": cell["metric"],
                **{name: value for part in PARTS for name, value in percent(part, parts.get(part, {})).items()},
                "note": noted(gaps),
            }
            yield record, gaps


def _gaps(cell: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], seen: int) -> Iterator[Gap]:
    """Parts of the test images without a number; that a part has no image, or all of them, is meant."""
    branch, columns = standing(cell), _columns(cell["metric"])
    yield from metric_gap(columns["all"], cell, branch, cell["metric"])
    for part, images in {"seen": seen, "unseen": cell[branch]["images"] - seen}.items():
        if parts.get(part, {}).get("value") is None:
            why = "undefined in test" if seen and images else "all are" if images else "no such image"
            yield Gap(columns[part], why, not (seen and images))


def _columns(metric: str) -> dict[str, str]:
    """What the number of each part is called where it is not there."""
    return {part: f"{printed(metric)} {words}".strip() for part, words in PARTS.items()}


def _row(one: Record, gaps: Sequence[Gap]) -> tuple[str, ...]:
    empty = {gap.column: gap.why if gap.meant else "undefined" for gap in gaps}
    return (
        *(one[name] for name in ("run", "dataset", "task", "policy")),
        f"{one['train']:,}",
        f"{one['test']:,}",
        f"{one['seen_images']:,} ({100 * one['seen_images'] / one['test']:.0f} %)",
        printed(one["metric"]),
        *(empty.get(column) or interval(one, part) for part, column in _columns(one["metric"]).items()),
        one["note"],
    )
