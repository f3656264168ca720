"""Heads on the development set: every class (task 1), and those that were labelled by hand for the challenge (task 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fxcore.errors import InputError
from fxcore.report.cxrlt.results import AVERAGE, DEV, KINDS, NONE, TASK1, TASK2, CxrltResults, Scored
from fxcore.report.cxrlt.rows import (
    AGGREGATED,
    AUGMENTED,
    NO_HEAD,
    PRINTED,
    TASKS,
    Record,
    classes,
    counted,
    counts,
    described,
    gaps,
    head_cells,
    in_slides,
    intervals,
    metrics,
    model,
    published,
    remark,
    unprinted,
    where,
    without,
)
from fxcore.report.gaps import Gap, missing, noted
from fxcore.report.published.cxrlt import Development, Model, development, in_percent
from fxcore.report.render import Table, interval
from fxcore.report.results import percent

METRICS = ("map", "mauc", "mf1", "ece")
GROUPS = {"head": "frequent (head)", "medium": "medium", "tail": "rare (tail)"}
"""Classes by how many training images have them."""
REFERENCE = "reference"
"""In place of a difference from itself."""


def cxrlt_task1(results: CxrltResults) -> Table:
    """Every class of the development set: a row a head and aggregation, the slides' number beside it.

    Raises:
        InputError: the parameters have no heads.
    """
    return _table(results, TASK1)


def cxrlt_task2(results: CxrltResults) -> Table:
    """The classes of task 2 on the development set: a row a head and aggregation, the slides' number beside it.

    Raises:
        InputError: the parameters have no heads, or no hand-labelled dataset, so that there is no task 2.
    """
    if results.slice.gold is None:
        raise InputError("cxrlt.gold is null: there is no task 2; name the dataset that is labelled by hand")
    return _table(results, TASK2)


def _table(results: CxrltResults, task: str) -> Table:
    if not results.slice.heads:
        raise InputError("cxrlt.heads is empty; the table has nothing to show")
    found = [one for name in results.slice.heads for one in results.scored(name, DEV, task).values()]
    models = [model(results, one.name, one.aggregation) for one in found]
    records = [_record(results, one, development().get(known)) for one, known in zip(found, models, strict=True)]
    rows = [
        _row(results, one, record, development().get(known))
        for one, record, known in zip(found, records, models, strict=True)
    ]
    others = [theirs for theirs in development() if not theirs.several and theirs not in models]
    records += [_theirs(records[0], theirs, task) for theirs in others]
    header = ["name", "architecture", "resolution", "head", "epochs", "aggregation", "label augmentation"]
    header += ["mAP", "Δ average", "mAUC", "mF1", "ECE", *(f"mAP, {group} classes" for group in GROUPS.values())]
    header += ["published mAP", "images (studies, patients)", "note"]
    rows += [_their_row(theirs, task) for theirs in others]
    lacking = [line for one in found for line in missing(where(one), _gaps(one))]
    return Table(f"CXR-LT 2024, {TASKS[task].lower()}", _caption(results, task), records, header, rows, lacking)


def _caption(results: CxrltResults, task: str) -> str:
    labels = results.slice.labels
    return (
        f"{results.kind([labels])} Development set of {results.named([labels])} (its validation split), {classes(results, task)};"
        f" labels are read from reports. {intervals(results)} Metrics are means over the classes that have a number. mF1 takes a"
        " probability of 0.5 or more as positive; ECE is the standard one (probability against frequency), lower is better, and"
        " not the challenge's. A class is frequent, medium or rare by its share of the training images; in brackets, how many"
        " of them have a number. “Average”: each image has the mean probability of its study's images; Δ is what this adds to mAP,"
        " paired by image. “CLS concat”: the head joins the [CLS] tokens of two images of a study. Published numbers are of the"
        " slides (Yang 2024; one run, no intervals), on the official development set, which was the public leaderboard; whether"
        " their heads were stopped early there is not said. Rows of the slides for which there is no head here follow ours."
        f" {results.split([labels])}"
    )


def _record(results: CxrltResults, one: Scored, theirs: Development | None) -> Record:
    groups = one.cell.get("groups", {})
    record = described(results, one.name, one.aggregation) | {"task": one.task, "set": one.set}
    record |= metrics(one.cell, METRICS) | percent("gain", one.cell.get("gain", {}))
    for group in GROUPS:
        record |= percent(f"map_{group}", groups.get(group, {}))
        record[f"classes_{group}"] = groups.get(group, {}).get("classes")
    record |= {"published_map": published(theirs, one.task), **counts(one.cell)}
    return record | {"note": _note(one, theirs, [*_gaps(one), *_evident(one, theirs)])}


def _row(results: CxrltResults, one: Scored, record: Record, theirs: Development | None) -> tuple[str, ...]:
    return (
        *head_cells(results, one.name, one.aggregation),
        interval(record, "map"),
        REFERENCE if one.aggregation == NONE else interval(record, "gain", "+"),
        *(interval(record, name) for name in METRICS[1:]),
        *(_group(record, group) for group in GROUPS),
        in_slides(theirs, one.task),
        counted(record),
        _note(one, theirs, _gaps(one)),
    )


def _group(record: Record, group: str) -> str:
    text = interval(record, f"map_{group}")
    return text if record[f"map_{group}"] is None else f"{text} ({record[f'classes_{group}']})"


def _gaps(one: Scored) -> Iterator[Gap]:
    """Cells that are empty on the page."""
    yield from gaps(one, {name: PRINTED[name] for name in METRICS})
    if one.aggregation == AVERAGE and one.cell.get("gain", {}).get("value") is None:
        yield Gap("Δ average", "one of the two compared has no number", False)
    for group, name in GROUPS.items():
        if one.cell and one.cell["groups"].get(group, {}).get("value") is None:
            there = any(one.frequency.get(label) == group for label in one.cell["map"]["classes"])
            why = "none of them has a number" if there else "there are no such classes"
            yield Gap(f"mAP, {name} classes", why, not there)


def _evident(one: Scored, theirs: Development | None) -> Iterator[Gap]:
    """Cells in which the page has words, and the CSV nothing."""
    if one.aggregation == NONE:
        yield Gap("Δ average", "this is what the average is held against", True)
    yield from unprinted(theirs)


def _note(one: Scored, theirs: Development | None, of: Iterable[Gap]) -> str:
    known = one.cell.get("map", {}).get("value") is not None
    return noted(of, without(one) if known else "", remark(theirs))


def _theirs(ours: Record, theirs: Model, task: str) -> Record:
    """A record of the slides alone, with the columns of one of ours."""
    found = development()[theirs]
    return dict.fromkeys(ours) | {
        "architecture": theirs.architecture,
        "resolution": int(theirs.resolution),
        "kind": theirs.head,
        "epochs": theirs.epochs,
        "aggregation": theirs.aggregation,
        "labels": AUGMENTED if theirs.label_augmentation else None,
        "task": task,
        "set": DEV,
        "published_map": published(found, task),
        "note": noted([Gap("number of ours", NO_HEAD, True)], remark(found)),
    }


def _their_row(theirs: Model, task: str) -> tuple[str, ...]:
    found = development()[theirs]
    return (
        "the slides",
        theirs.architecture,
        theirs.resolution,
        KINDS[theirs.head],
        str(theirs.epochs),
        AGGREGATED[theirs.aggregation],
        AUGMENTED if theirs.label_augmentation else "none",
        *[NO_HEAD] * (2 + len(METRICS[1:]) + len(GROUPS)),
        in_percent(found.tasks[task]),
        "–",
        remark(found),
    )
