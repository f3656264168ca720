"""What our runs say to a claim of the paper: an effect with its interval, the published one, and what is lacking to compare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from fxcore.passes import Task
from fxcore.report import organs as table4
from fxcore.report import transfer as table5
from fxcore.report.few_shot import targets
from fxcore.report.finetuned import best, initialisation, named, ours, shown
from fxcore.report.published import Claim, few_shot, finetuning, organs, pretraining, transfer
from fxcore.report.results import Results, percent

NO_RUN = "no such run"
RIVALS = ("Ark", "POPAR")


class Interval(NamedTuple):
    """In percent; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """What metrics files have, which count from 0 to 1."""
        return cls(*percent("", found).values())


NOTHING = Interval()


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference in percentage points, or a share of cells in percent; `words` say it where a number alone would not.

    `lacks` says why the claim cannot be tested by it, `datasets` are those it is of, `runs` ours and those it is held against.
    """

    interval: Interval = NOTHING
    datasets: tuple[str, ...] = ()
    runs: tuple[str | None, str | None] = (None, None)
    words: str = ""
    note: str = ""
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Printed:
    """The published effect in words, its sign (0 where none is printed), and a note on the print."""

    words: str
    sign: int
    note: str = ""


def printed(claim: Claim) -> Printed:
    """The published effect of a claim, computed from the published values where there are any."""
    cell = (claim.dataset, claim.task)
    match claim.test:
        case "pretraining":
            one = pretraining()[cell]
            note = f"printed {one.printed_difference}; {one.note}" if one.note else ""
            return _points(one.foundation_x, one.baseline, note)
        case "organs":
            organ = organs()[*cell, claim.item]
            return _points(organ.foundation_x, organ.baseline, organ.note)
        case "transfer" | "few_shot":
            three = (
                transfer()[claim.dataset] if claim.test == "transfer" else few_shot()[claim.dataset, int(claim.item)]
            )
            return _points(three.foundation_x, max(three.ark, three.popar), three.note)
        case "finetuning":
            mine, its = (finetuning()[name] for name in claim.item.split())
            return _points(mine, its, "read off a plot")
    return Printed(claim.published, 1)


def _points(mine: float, its: float, note: str) -> Printed:
    return Printed(f"{mine - its:+.2f}", 1 if mine > its else -1, note)


def _paired(
    results: Results, mine: str | None, its: str | None, claim: Claim, organ: str | None = None, lacks: str = ""
) -> Effect:
    """What a run has over another on the claim's dataset and task, paired by image."""
    if claim.dataset not in results.slice.titles:
        return Effect(lacks=NO_RUN)
    if mine is None or its is None:
        return Effect(datasets=(claim.dataset,), runs=(mine, its), lacks=lacks or NO_RUN)
    cell = results.metrics(mine)[claim.dataset][claim.task]
    found = cell.get("differences", {}).get(its, {})
    found = found if organ is None else found.get("classes", {}).get(organ, {})
    return Effect(Interval.of(found), (claim.dataset,), (mine, its), lacks=lacks)


def _pretraining(results: Results, claim: Claim) -> Effect:
    joint, run = results.joint
    trained = claim.task in run.train.visits.get(claim.dataset, ())
    return _paired(results, joint if trained else None, results.baseline(claim.dataset, claim.task), claim)


def _organs(results: Results, claim: Claim) -> Effect:
    if claim.dataset not in results.slice.titles:
        return Effect(lacks=NO_RUN)
    pair = table4.Pair.of(results, claim.dataset, Task(claim.task))
    return _paired(results, pair.foundation_x, pair.baseline, claim, claim.item)


def _rivals(results: Results, names: list[str]) -> tuple[list[str], str]:
    """Runs from the initialisations that the paper compares with, and which of these are lacking."""
    labels = {name: initialisation(results, results.slice.runs[name]) for name in names}
    found = {rival: [name for name, one in labels.items() if named(rival)(one)] for rival in RIVALS}
    missing = [rival for rival, of in found.items() if not of]
    lacks = f"{NO_RUN}: {', '.join(missing)}" if missing else ""
    return [name for of in found.values() for name in of], lacks


def _transfer(results: Results, claim: Claim) -> Effect:
    task = Task(claim.task)
    names = shown(results, table5.WHERE, claim.dataset, task)
    rivals, lacks = _rivals(results, names)
    its = best(results, rivals, table5.Target(results, claim.dataset, task).value)
    return _against(results, _paired(results, ours(results, names), its, claim, lacks=lacks))


def _few_shot(results: Results, claim: Claim) -> Effect:
    if claim.dataset not in results.slice.titles:
        return Effect(lacks=NO_RUN)
    tried = targets(results) if results.slice.few_shot.runs else []
    target = next((one for one in tried if (one.dataset, one.task) == (claim.dataset, claim.task)), None)
    if target is None or int(claim.item) not in results.slice.few_shot.samples:
        return Effect(datasets=(claim.dataset,), lacks=NO_RUN)
    rivals, lacks = _rivals(results, list(target.runs))
    mine, its = ours(results, target.runs), best(results, rivals, lambda run: target.value(run, int(claim.item)))
    if mine is None or its is None:
        return Effect(datasets=(claim.dataset,), runs=(mine, its), lacks=lacks or NO_RUN)
    found = Interval.of(target.of(mine, int(claim.item)).get("differences", {}).get(its, {}))
    return _against(results, Effect(found, (claim.dataset,), (mine, its), lacks=lacks))


def _against(results: Results, found: Effect) -> Effect:
    """The same with a note that names the run it is held against."""
    its = found.runs[1]
    return found if its is None else replace(found, note=f"against {results.slice.runs[its].title}")


def _finetuning(results: Results, claim: Claim) -> Effect:
    runs, joint = results.slice.runs, results.joint[0]
    names = shown(results, "figure3_finetuning", claim.dataset, Task(claim.task))
    heads = (name for name in names if runs[name].origin == joint and runs[name].train.tune == "head")
    alone = (name for name in names if runs[name].origin != joint)
    found = {"full": ours(results, names), "head": next(heads, None), "baseline": next(alone, None)}
    mine, its = claim.item.split()
    return _paired(results, found[mine], found[its], claim)


EFFECTS: dict[str, Callable[[Results, Claim], Effect]] = {
    "pretraining": _pretraining,
    "organs": _organs,
    "transfer": _transfer,
    "few_shot": _few_shot,
    "finetuning": _finetuning,
}
"""By kind of test."""
