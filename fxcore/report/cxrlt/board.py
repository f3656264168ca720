"""Heads and ensembles on test images, and below them, apart, what others reached on the official ones."""

from __future__ import annotations

from collections.abc import Iterable

from fxcore.errors import InputError
from fxcore.report.cxrlt.results import GOLD, TASK1, TASK2, TEST, CxrltResults, Scored
from fxcore.report.cxrlt.rows import (
    AGGREGATED,
    PRINTED,
    TASKS,
    Record,
    aggregation,
    classes,
    counted,
    counts,
    gaps,
    intervals,
    metrics,
    traced,
    where,
    without,
)
from fxcore.report.gaps import missing, noted
from fxcore.report.published.cxrlt import BOARD, Tested, in_percent, tested
from fxcore.report.render import Table, interval

METRICS = ("map", "mauc", "mf1", "ece_board")
"""Ours, in the order of `BOARD`."""
OURS, THEIRS = "ours", "published"
UNRANKED = "not ranked"
_SET = {TASK1: TEST, TASK2: GOLD}


def cxrlt_test(results: CxrltResults) -> Table:
    """Test images of task 1 and hand-labelled ones of task 2: our rows, then published ones with their ranks.

    Raises:
        InputError: the parameters have neither heads nor ensembles.
    """
    names = (*results.slice.heads, *results.slice.ensembles)
    if not names:
        raise InputError("cxrlt.heads is empty; the table has nothing to show")
    records: list[Record] = []
    rows: list[tuple[str, ...]] = []
    lacking: list[str] = []
    for task in results.tasks:
        scored = [one for name in names for one in results.scored(name, _SET[task], task).values()]
        ours = [_record(results, one) for one in scored]
        theirs = [one for one in tested() if one.task == task]
        records += [*ours, *(_their_record(ours[0], one) for one in theirs)]
        rows += [
            *(_row(results, one, record) for one, record in zip(scored, ours, strict=True)),
            *map(_their_row, theirs),
        ]
        lacking += [line for one in scored for line in missing(where(one), gaps(one, _columns()))]
    header = ["task", "whose", "title", "aggregation", *_columns().values(), "ranks (mAP, mAUC, mF1, mECE)"]
    header += ["images (studies, patients)", "note"]
    return Table("CXR-LT 2024, test sets", _caption(results), records, header, rows, lacking)


def _caption(results: CxrltResults) -> str:
    labels, gold = results.slice.labels, results.slice.gold
    by_hand = (
        f" Task 2: {results.named([gold])}, {classes(results, TASK2)}, labelled by hand; of the heads for every class these are"
        " taken by name."
        if gold
        else ""
    )
    return (
        f"{results.kind([labels, *([gold] if gold else [])])} Task 1: test split of {results.named([labels])}, every class, labels read"
        f" from reports.{by_hand} {intervals(results)} Metrics are means over the classes that have a number; mF1 takes a"
        " probability of 0.5 or more as positive. “Average”: each image has the mean probability of its study's images, those of"
        " other sets among them where it is labelled by hand. Rows"
        " marked published are of other systems and of the official test sets, one run each, without intervals: the board of task"
        " 2 as the slides show it (Yang 2024), and numbers that others have reported. The challenge does not say how it measures"
        f" mECE; “{PRINTED['ece_board']}” is the form that fits its numbers best (probability against whether the label thresholded"
        " at 0.5 is right), in which calibrated scores of rare classes do badly; the standard ECE is in the tables of task 1 and 2."
        f" {results.split([labels])}"
    )


def _columns() -> dict[str, str]:
    return {name: PRINTED[name] for name in METRICS}


def _record(results: CxrltResults, one: Scored) -> Record:
    return {
        "task": one.task,
        "set": one.set,
        "whose": OURS,
        "title": results.title(one.name),
        "aggregation": one.aggregation,
        **traced(one.name),
        **metrics(one.cell, METRICS),
        **{f"published_{metric}{end}": None for metric in BOARD for end in ("", "_rank")},
        **counts(one.cell),
        "note": _note(one),
    }


def _row(results: CxrltResults, one: Scored, record: Record) -> tuple[str, ...]:
    head = results.slice.heads.get(one.name)
    return (
        TASKS[one.task],
        OURS,
        f"{record['title']} ({one.name})" if head else record["title"],
        AGGREGATED[aggregation(head, one.aggregation) if head else one.aggregation],
        *(interval(record, name) for name in METRICS),
        UNRANKED,
        counted(record),
        record["note"],
    )


def _note(one: Scored) -> str:
    known = one.cell.get("map", {}).get("value") is not None
    return noted(gaps(one, _columns()), without(one) if known else "")


def _their_record(ours: Record, one: Tested) -> Record:
    """A record of theirs with the columns of one of ours."""
    return dict.fromkeys(ours) | {
        "task": one.task,
        "set": ours["set"],
        "whose": THEIRS,
        "title": one.system,
        **{f"published_{metric}": float(in_percent(value)) for metric, value in one.values.items()},
        **{f"published_{metric}_rank": rank for metric, rank in one.ranks.items()},
        "note": _their_note(one),
    }


def _their_row(one: Tested) -> tuple[str, ...]:
    return (
        TASKS[one.task],
        THEIRS,
        one.system,
        "not said",
        *(in_percent(one.values[metric]) if metric in one.values else "not said" for metric in BOARD),
        ", ".join(str(one.ranks[metric]) for metric in BOARD) if one.ranks else "not on the board",
        "–",
        _their_note(one),
    )


def _their_note(one: Tested) -> str:
    lacks = [metric for metric in BOARD if metric not in one.values]
    return "; ".join(filter(None, [f"not published: {', '.join(_names(lacks))}" if lacks else "", one.note]))


def _names(metrics_: Iterable[str]) -> list[str]:
    return ["mECE" if metric == "mece" else PRINTED[metric] for metric in metrics_]
