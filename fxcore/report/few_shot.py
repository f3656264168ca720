"""Table 6: segmentation learnt from few images, from one initialisation and another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fxcore.errors import InputError
from fxcore.evaluation.headline import printed
from fxcore.report.finetuned import (
    HOW,
    NOT_SUPPLIED,
    PUBLISHED,
    UNPAIRED,
    UNPRINTED,
    Initialisation,
    absent,
    best,
    columns,
    described,
    in_paper,
    initialisation,
    ours,
    text,
    visited,
)
from fxcore.report.gaps import Gap, missing, noted
from fxcore.report.published import few_shot as published
from fxcore.report.render import Table, interval
from fxcore.report.results import Results, percent

ASKED = ("Ark", "POPAR")
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A dataset and task with the runs that were trained again on few of its images: their metrics as `evaluate_few_shot` wrote."""

    dataset: str
    task: str
    runs: Mapping[str, Mapping[str, Any]]

    def value(self, run: str, samples: int) -> float | None:
        """The mean over draws."""
        found: float | None = self.of(run, samples).get("value")
        return found

    def of(self, run: str, samples: int) -> Mapping[str, Any]:
        """What was found of a run with a number of images; empty where it was not trained on so many."""
        found: Mapping[str, Any] = self.runs[run]["samples"].get(str(samples), {})
        return found

    def pair(self, results: Results, samples: int) -> tuple[str | None, str | None]:
        """Foundation X, and the best of the others with that number of images."""
        return ours(results, self.runs), best(results, self.runs, lambda run: self.value(run, samples))


def targets(results: Results) -> list[Target]:
    """What was trained on few images, runs in the order of columns."""
    made, runs = results.few_shot(), results.slice.runs
    order = sorted(results.slice.few_shot.runs, key=lambda name: initialisation(results, runs[name]).origin)
    found = {name: made[name] for name in order}
    cells = dict.fromkeys((one["dataset"], one["task"]) for one in found.values())
    return [
        Target(*cell, {name: one for name, one in found.items() if (one["dataset"], one["task"]) == cell})
        for cell in cells
    ]


def table6_few_shot(results: Results) -> Table:
    """Few training images (Table 6 of the paper): a row a number of images, a column an initialisation.

    Raises:
        InputError: no run is trained on few images.
    """
    few = results.slice.few_shot
    if not few.runs:
        raise InputError("few_shot.runs is empty; the table has nothing to show")
    tried = columns(results, few.runs, ASKED)
    cells = [(target, samples) for target in targets(results) for samples in few.samples]
    made = [list(_cells(results, target, samples, tried)) for target, samples in cells]
    records = [record for row in made for record, _ in row]
    lacking = [
        line for row in made for one, gaps in row for line in missing(f"{one['key']}, {one['samples']} images", gaps)
    ]
    header = ["dataset", "metric", "training images", *(one.label for one in tried), "Δ", "against"]
    header += [*(f"published {name}" for name in PUBLISHED), "test images (patients)", "note"]
    keys = visited(results, few.runs)
    draws = f"{few.draws} draws" if few.draws > 1 else "one draw, so that its spread is unknown,"
    caption = (
        f"{results.kind(keys)} Test split of {results.named(keys)}, percent; one seed: means over {draws} of images, heads and order,"
        f" each with at least {few.updates} updates; in brackets {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals"
        " over test patients, with the draws as they are; ± is the standard deviation of the draws. Δ is Foundation X minus the"
        " best of the others with as many images, paired by image; the best is the one with the highest mean on these test images,"
        f" which favours it a little. “{NOT_SUPPLIED}”: the weights are not ours to give; {HOW} says how to add them. Published"
        " numbers are of the paper's data and splits (Islam et al. 2025): one run each, as far as is visible. There Ark is higher"
        f" with 6 than with 12 images, so noise between runs is of the order of the gains. {results.split(keys)}"
    )
    rows = [_row(row) for row in made]
    return Table("Table 6. Few training images", caption, records, header, rows, lacking)


def _cells(
    results: Results, target: Target, samples: int, tried: Sequence[Initialisation]
) -> Iterator[tuple[Record, list[Gap]]]:
    runs = {initialisation(results, results.slice.runs[name]): name for name in target.runs}
    mine, other = target.pair(results, samples)
    for column in tried:
        run = runs.get(column)
        against = other if run is not None and run == mine else None
        found = target.of(run, samples) if run else {}
        gaps = list(_gaps(column, run, found, against))
        yield _record(results, target, samples, column, run, against) | {"note": noted(gaps)}, gaps


def _gaps(column: Initialisation, run: str | None, found: Mapping[str, Any], against: str | None) -> Iterator[Gap]:
    if run is None:
        yield absent(column)
    elif found.get("value") is None:
        yield Gap(column.label, "undefined in test", False)
    elif found.get("sd") is None:
        yield Gap(f"± of {column.label}", "one draw", True)
    if against and found.get("differences", {}).get(against, {}).get("value") is None:
        yield Gap("Δ", f"no paired difference from {against}", False)


def _record(
    results: Results, target: Target, samples: int, column: Initialisation, run: str | None, against: str | None
) -> Record:
    found = target.of(run, samples) if run else {}
    one = next(iter(target.runs.values()))
    in_print = published().get((target.dataset, samples))
    name = in_paper(column)
    spread = found.get("sd")
    return {
        "dataset": results.slice.titles[target.dataset],
        "key": target.dataset,
        "task": target.task,
        "metric": one["metric"],
        "samples": samples,
        **described(column),
        "run": run,
        "draws": len(found["draws"]) if found else None,
        **percent("value", found),
        "sd": None if spread is None else round(100 * spread, 2),
        "against_run": against,
        **percent("difference", found.get("differences", {}).get(against, {})),
        "published": in_print.of(name) if in_print and name else None,
        "test_images": one["images"],
        "test_patients": one["patients"],
    }


def _row(cells: Sequence[tuple[Record, list[Gap]]]) -> tuple[str, ...]:
    records = [record for record, _ in cells]
    first = records[0]
    mine = next((one for one in records if one["against_run"]), None)
    against = next((one for one in records if mine and one["run"] == mine["against_run"]), None)
    in_print = published().get((first["key"], first["samples"]))
    gaps = [gap for _, of_record in cells for gap in of_record]
    gaps += [*([] if mine else [UNPAIRED]), *([] if in_print else [UNPRINTED])]
    remark = f"published: {in_print.note}" if in_print and in_print.note else ""
    return (
        first["dataset"],
        printed(first["metric"]),
        str(first["samples"]),
        *(_text(one) for one in records),
        interval(mine, "difference", "+") if mine else "no pair",
        against["initialisation"] if against else "none",
        *(f"{in_print.of(name):.2f}" if in_print else "not in the paper" for name in PUBLISHED),
        f"{first['test_images']:,} ({first['test_patients']:,})",
        noted(gaps, remark),
    )


def _text(one: Record) -> str:
    return text(one) + ("" if one["sd"] is None else f" ± {one['sd']:.1f}")
