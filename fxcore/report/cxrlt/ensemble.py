"""Heads at several resolutions, and the mean of their probabilities, on the development set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fxcore.errors import InputError
from fxcore.report.cxrlt.results import AVERAGE, DEV, KINDS, CxrltResults, Scored
from fxcore.report.cxrlt.rows import (
    AUGMENTED,
    NO_HEAD,
    TASKS,
    Record,
    augmentation,
    classes,
    counted,
    counts,
    gaps,
    in_slides,
    intervals,
    model,
    published,
    remark,
    traced,
    unprinted,
    where,
    without,
)
from fxcore.report.gaps import Gap, missing, noted
from fxcore.report.published.cxrlt import Model, development, in_percent
from fxcore.report.render import Table, interval
from fxcore.report.results import percent

Line = tuple[str, str]
"""An ensemble, and one of its heads or itself."""


def cxrlt_ensemble(results: CxrltResults) -> Table:
    """Each head of an ensemble, then the ensemble; the slides' row for the same resolutions beside it.

    Raises:
        InputError: the parameters have no ensemble.
    """
    if not results.slice.ensembles:
        raise InputError("cxrlt.ensembles is empty; the table has nothing to show")
    lines = [(name, one) for name, ensemble in results.slice.ensembles.items() for one in (*ensemble.heads, name)]
    records = [_record(results, line) for line in lines]
    rows = [_row(results, line, record) for line, record in zip(lines, records, strict=True)]
    shown = {_slides(results, line[1]) for line in lines}
    others = [theirs for theirs in development() if theirs.label_augmentation and theirs not in shown]
    records += [_theirs(results, records[0], theirs) for theirs in others]
    rows += [_their_row(results, theirs) for theirs in others]
    header = ["ensemble", "name", "architecture", "resolution", "head", "label augmentation"]
    header += [f"{TASKS[task]}, mAP" for task in results.tasks]
    header += [f"published {TASKS[task]}, mAP" for task in results.tasks]
    header += ["published label augmentation", "images (studies, patients)", "note"]
    scored = dict.fromkeys(one for _, one in lines)
    lacking = [line for name in scored for one in _scored(results, name) for line in missing(where(one), _gaps(one))]
    return Table("CXR-LT 2024, ensemble of resolutions", _caption(results), records, header, rows, lacking)


def _caption(results: CxrltResults) -> str:
    labels = results.slice.labels
    tasks = "; ".join(f"{TASKS[task].lower()}: {classes(results, task)}" for task in results.tasks)
    return (
        f"{results.kind([labels])} Development set of {results.named([labels])} (its validation split), labels read from reports;"
        f" {tasks}. {intervals(results)} Every image has the mean probability of its study's images, and an ensemble the mean of its"
        " heads', all with equal weight. Published numbers are of the slides (Yang 2024; one run, no intervals), on the official"
        " development set, with a label augmentation that they do not describe. Rows of the slides for which there is none here"
        f" follow ours. {results.split([labels])}"
    )


def _scored(results: CxrltResults, name: str) -> list[Scored]:
    return [results.scored(name, DEV, task)[AVERAGE] for task in results.tasks]


def _slides(results: CxrltResults, name: str) -> Model | None:
    """The slides' row for a head's or an ensemble's networks and resolutions."""
    ensemble = results.slice.ensembles.get(name)
    parts = [
        replace(model(results, one, AVERAGE), label_augmentation=True)
        for one in (ensemble.heads if ensemble else (name,))
    ]
    parts.sort(key=lambda one: int(one.resolution))
    joined = {replace(one, resolution="+".join(part.resolution for part in parts)) for one in parts}
    return next(iter(joined & set(development())), None) if len(joined) == 1 else None


def _record(results: CxrltResults, line: Line) -> Record:
    name, one = line
    head, slides, scored = results.slice.heads.get(one), _slides(results, one), _scored(results, one)
    found = development()[slides] if slides else None
    record: Record = {
        "ensemble": name,
        "title": results.title(one),
        "resolution": head and head.resolution,
        "kind": head and head.kind,
        "labels": (" ".join(head.labels) or None) if head else None,
        "set": DEV,
        "aggregation": AVERAGE,
        **traced(one),
    }
    for of in scored:
        record |= percent(f"{of.task}_map", of.cell.get("map", {}))
    record |= {f"published_{task}_map": published(found, task) for task in results.tasks}
    empty = [*(gap for of in scored for gap in _gaps(of)), *unprinted(found)]
    return record | counts(scored[0].cell) | {"note": noted(empty, *_remarks(scored), remark(found))}


def _row(results: CxrltResults, line: Line, record: Record) -> tuple[str, ...]:
    name, one = line
    head, slides, scored = results.slice.heads.get(one), _slides(results, one), _scored(results, one)
    found = development()[slides] if slides else None
    of = ("of its heads", "of its heads", "ensemble", "of its heads")
    if head:
        network = results.slice.backbones[head.backbone].title
        of = (network, str(head.resolution), KINDS[head.kind], augmentation(results, head))
    return (
        results.title(name),
        one,
        *of,
        *(interval(record, f"{task}_map") for task in results.tasks),
        *(in_slides(found, task) for task in results.tasks),
        AUGMENTED if found else "–",
        counted(record),
        noted((gap for scores in scored for gap in _gaps(scores)), *_remarks(scored), remark(found)),
    )


def _gaps(one: Scored) -> Iterator[Gap]:
    return gaps(one, {"map": f"{TASKS[one.task]}, mAP"})


def _remarks(scored: Iterable[Scored]) -> Iterator[str]:
    """Which classes have no number, by task, where others have one."""
    for one in scored:
        if one.cell.get("map", {}).get("value") is not None and (classes_without := without(one, ("map",))):
            yield f"{TASKS[one.task].lower()}: {classes_without}"


def _theirs(results: CxrltResults, ours: Record, theirs: Model) -> Record:
    """A record of the slides alone, with the columns of one of ours."""
    found = development()[theirs]
    return dict.fromkeys(ours) | {
        "title": _title(theirs),
        "kind": theirs.head,
        "labels": AUGMENTED,
        "set": DEV,
        "aggregation": theirs.aggregation,
        **{f"published_{task}_map": published(found, task) for task in results.tasks},
        "note": noted([Gap("number of ours", NO_HEAD, True)], remark(found)),
    }


def _their_row(results: CxrltResults, theirs: Model) -> tuple[str, ...]:
    found = development()[theirs]
    return (
        "the slides",
        "–",
        theirs.architecture,
        theirs.resolution,
        "ensemble" if theirs.several else KINDS[theirs.head],
        AUGMENTED,
        *[NO_HEAD] * len(results.tasks),
        *(in_percent(found.tasks[task]) for task in results.tasks),
        AUGMENTED,
        "–",
        remark(found),
    )


def _title(theirs: Model) -> str:
    return "Ensemble" if theirs.several else f"{theirs.architecture}@{theirs.resolution}"
