"""What rows of several tables share: how a head is described, its metrics, cells without a number, and the slides' row for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fxcore.report.cxrlt.results import AVERAGE, DEV, GOLD, KINDS, NONE, TASK1, TASK2, TEST, Cell, CxrltResults, Scored
from fxcore.report.gaps import Gap
from fxcore.report.published.cxrlt import Development, Model, in_percent
from fxcore.report.results import percent
from fxcore.slices.cxrlt_report import HeadRow

Record = dict[str, Any]
PRINTED = {"map": "mAP", "mauc": "mAUC", "mf1": "mF1", "ece": "ECE", "ece_board": "ECE as on the board"}
"""Metrics by their name in metrics files."""
SET_NAMES = {DEV: "development set", TEST: "test set", GOLD: "hand-labelled images"}
TASKS = {TASK1: "Task 1", TASK2: "Task 2"}
AGGREGATED = {NONE: "none", AVERAGE: "average", "concat": "CLS concat", "concat, average": "CLS concat, average"}
UNPRINTED = "not in the slides"
NO_HEAD = "no such head"
AUGMENTED = "yes"
"""Where the slides have label augmentation, without a word on which."""
_SIZES = {"ViT-B": (16, 768, 12, 12), "ViT-L": (16, 1024, 24, 16)}
"""Patch, width, depth, heads of the slides' networks; ViT-B's are the usual ones, the slides give none."""


def aggregation(head: HeadRow, of: str) -> str:
    """How images of a study come together, as a key of `AGGREGATED`."""
    if head.views == 1:
        return of
    return "concat" if of == NONE else "concat, average"


def model(results: CxrltResults, name: str, of: str) -> Model:
    """What the slides would call a head; a network of other sizes or on other data is none of theirs, and has no name there."""
    head = results.slice.heads[name]
    vit = results.slice.backbones[head.backbone].vit
    sizes = tuple(vit.get(name) for name in ("patch", "width", "depth", "heads")) if results.official else ()
    known = next((name for name, theirs in _SIZES.items() if theirs == sizes), "")
    return Model(known, str(head.resolution), head.kind, head.epochs, aggregation(head, of), bool(head.labels))


def described(results: CxrltResults, name: str, of: str) -> Record:
    """Columns that say which head, and with which aggregation."""
    head = results.slice.heads[name]
    return {
        "title": results.title(name),
        "architecture": results.slice.backbones[head.backbone].title,
        "backbone": head.backbone,
        "resolution": head.resolution,
        "kind": head.kind,
        "views": head.views,
        "epochs": head.epochs,
        "stop": head.stop,
        "labels": " ".join(head.labels) or None,
        "aggregation": of,
        **traced(name),
    }


def traced(name: str | None) -> Record:
    """Columns that say where numbers come from."""
    return {"head": name, "metrics": name and f"cxrlt/{name}.json"}


def head_cells(results: CxrltResults, name: str, of: str) -> tuple[str, ...]:
    """The same for eyes: name, architecture, resolution, head, epochs, aggregation, label augmentation."""
    head = results.slice.heads[name]
    return (
        name,
        results.slice.backbones[head.backbone].title,
        str(head.resolution),
        KINDS[head.kind],
        f"{head.epochs}, stopped after {head.stop}" if head.stop else str(head.epochs),
        AGGREGATED[aggregation(head, of)],
        augmentation(results, head),
    )


def augmentation(results: CxrltResults, head: HeadRow) -> str:
    """Titles of the further datasets that a head learns from."""
    return results.named(head.labels) or "none"


def metrics(cell: Cell, names: Iterable[str]) -> dict[str, float | None]:
    """Metrics with their intervals in percent."""
    return {column: number for name in names for column, number in percent(name, cell.get(name, {})).items()}


def counts(cell: Cell) -> dict[str, int | None]:
    """What the numbers are of."""
    return {name: cell.get(name) for name in ("images", "studies", "patients")}


def counted(one: Record) -> str:
    """A record's images with studies and patients, as a page has them."""
    if one["images"] is None:
        return "–"
    return f"{one['images']:,} ({one['studies']:,}, {one['patients']:,})"


def gaps(one: Scored, columns: Mapping[str, str]) -> Iterator[Gap]:
    """Columns without a number; `columns` is what each metric is called."""
    for metric, column in columns.items():
        if metric not in one.cell:
            yield Gap(column, f"no predictions for the {SET_NAMES[one.set]}", False)
        elif one.cell[metric]["value"] is None:
            yield Gap(column, without(one, (metric,)) or f"undefined on the {SET_NAMES[one.set]}", False)


def without(one: Scored, names: Iterable[str] = ("map", "mauc")) -> str:
    """Classes for which metrics have no number, and why: how many of how many, and which."""
    found = [one.cell.get(name, {}) for name in names]
    total = len({label for of in found for label in (*of.get("classes", {}), *of.get("undefined", {}))})
    reasons: dict[str, list[str]] = {}
    for label, reason in {label: why for of in found for label, why in of.get("undefined", {}).items()}.items():
        reasons.setdefault(reason, []).append(label)
    return "; ".join(
        f"{len(labels)} of {total} classes {'has' if len(labels) == 1 else 'have'} {reason} in the {SET_NAMES[one.set]}"
        f" ({', '.join(labels)})"
        for reason, labels in reasons.items()
    )


def where(one: Scored) -> str:
    """Which row, for `Table.missing`."""
    return f"{one.name}, {TASKS[one.task].lower()}, {one.set}, {one.aggregation}"


def in_slides(found: Development | None, task: str) -> str:
    """The slides' mAP, as a cell of its own."""
    return in_percent(found.tasks[task]) if found else UNPRINTED


def published(found: Development | None, task: str) -> float | None:
    """The same for machines."""
    return float(in_percent(found.tasks[task])) if found else None


def unprinted(found: Development | None) -> list[Gap]:
    """Why there is no published number."""
    return [] if found else [Gap("published mAP", UNPRINTED, True)]


def remark(found: Development | None) -> str:
    """What there is to know about the slides' row."""
    return f"published: {found.note}" if found and found.note else ""


def classes(results: CxrltResults, task: str) -> str:
    """Which classes a task has, for captions."""
    gold = results.slice.gold
    return f"the classes that {results.named([gold])} has" if task == TASK2 and gold else "every class"


def intervals(results: CxrltResults) -> str:
    """How numbers are to be read, for captions."""
    return (
        f"Percent, with {100 * results.slice.confidence:.0f} % bootstrap intervals over patients; one seed; the rate of each head"
        " was chosen on training images held out. What self-supervision has seen of these images is in the table of data."
    )
