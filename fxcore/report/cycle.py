"""One cycle of training as a strip: a lane a task, a block a pass, in the order of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from fxcore.passes import Mode, Pass, Task
from fxcore.report.canvas import GREY, INKS, LETTER, SMALL, UNITS, Canvas

LEFT = 14.0
"""Where the strip begins, right of the names of its lanes."""
LANE = 3.6
WIDEST = 7.0
"""Of a release pass, where there are few."""
NARROWEST = 2.2
"""Of a block that has its head's name inside."""
ABOVE, BELOW = 3.5, 4.0
"""For the title and for the legend."""
HATCH = "//////"


def height(passes: Sequence[Pass], titles: Mapping[str, str]) -> float:
    """Units that the strip takes."""
    return BELOW + LANE * len(_lanes(passes)) + _named(passes, titles)[1] + ABOVE


def strip(
    canvas: Canvas, passes: Sequence[Pass], titles: Mapping[str, str], heads: Mapping[tuple[str, Task], str]
) -> None:
    """Draw the passes of one cycle from the bottom of the page up; widths are the part of its dataset that a pass sees."""
    lanes, scale = _lanes(passes), _scale(passes)
    turned, room = _named(passes, titles)
    top = BELOW + LANE * len(lanes)
    for task, bottom in lanes.items():
        canvas.words(LEFT - 1, bottom + LANE / 2, task, ha="right", color=INKS[task])
    left = LEFT
    for number, (dataset, of_dataset) in enumerate(groupby(passes, key=lambda one: one.dataset)):
        mine = list(of_dataset)
        width = scale * float(sum(one.fraction for one in mine))
        if number % 2 == 0:
            canvas.block(left, BELOW, width, LANE * len(lanes), color="0.93", linewidth=0)
        turn: dict[str, Any] = {"rotation": 90, "va": "bottom"} if turned else {"va": "bottom"}
        canvas.words(left + width / 2, top + 0.6, titles[dataset], **turn)
        for one in mine:
            wide = scale * float(one.fraction)
            _block(canvas, one, left, lanes[one.task], wide, heads[one.dataset, one.task])
            left += wide
    canvas.words(LEFT, top + room + ABOVE / 2, _title(passes), ha="left", fontsize=SMALL + 1)
    _legend(canvas, passes)


def _block(canvas: Canvas, one: Pass, left: float, bottom: float, wide: float, head: str) -> None:
    ink, gap = INKS[one.task], 0.12
    place = left + gap, bottom + 0.35, wide - 2 * gap, LANE - 0.7
    canvas.block(*place, facecolor="white", linewidth=0)
    if one.mode is Mode.LOCK:
        canvas.block(*place, facecolor="white", edgecolor=ink, hatch=HATCH, linewidth=0.6)
        return
    canvas.block(*place, facecolor=(ink, 0.35), edgecolor=ink, linewidth=0.6)
    if wide >= NARROWEST:
        canvas.words(left + wide / 2, bottom + LANE / 2, head, fontsize=5)


def _legend(canvas: Canvas, passes: Sequence[Pass]) -> None:
    parts = {one.fraction for one in passes if one.mode is Mode.LOCK}
    entries: list[tuple[str, dict[str, Any]]] = [
        ("release: everything on the path of a head learns", {"facecolor": (GREY, 0.35)})
    ]
    if parts:
        of = " or ".join(f"{100 * float(part):g} %" for part in sorted(parts))
        entries.append(
            (
                f"lock: what belongs to the head alone learns, on {of} of its images",
                {"facecolor": "white", "hatch": HATCH},
            )
        )
    left = LEFT
    for words, style in entries:
        canvas.block(left, 1.0, 3, 1.8, edgecolor=GREY, linewidth=0.6, **style)
        canvas.words(left + 3.8, 1.9, words, ha="left")
        left += 3.8 + LETTER * len(words) + 2


def _title(passes: Sequence[Pass]) -> str:
    return f"One cycle: {len(passes)} passes, from left to right"


def _lanes(passes: Sequence[Pass]) -> dict[Task, float]:
    """Tasks from top to bottom, each with the lower edge of its lane."""
    tasks = [task for task in Task if task in {one.task for one in passes}]
    return {task: BELOW + LANE * (len(tasks) - 1 - at) for at, task in enumerate(tasks)}


def _scale(passes: Sequence[Pass]) -> float:
    """Units of a pass over all of a dataset."""
    return min(WIDEST, (UNITS - 1 - LEFT) / float(sum(one.fraction for one in passes)))


def _named(passes: Sequence[Pass], titles: Mapping[str, str]) -> tuple[bool, float]:
    """Whether names of datasets stand upright above the strip, and the room they take."""
    scale = _scale(passes)
    fits = [
        LETTER * len(titles[dataset]) < scale * float(sum(one.fraction for one in mine))
        for dataset, mine in groupby(passes, key=lambda one: one.dataset)
    ]
    return (False, 2.0) if all(fits) else (True, LETTER * max(len(titles[one.dataset]) for one in passes) + 1)
