"""Table 6: segmentation learnt from few images, from one initialisation and another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fxcore.errors import InputError
from fxcore.report.finetuned import (
    HOW,
    NOT_SUPPLIED,
    Cell,
    Initialisation,
    Record,
    cells,
    columns,
    compared_row,
    described,
    header,
    in_paper,
    initialisation,
    lacking,
    text,
    visited,
)
from fxcore.report.gaps import Gap
from fxcore.report.published import few_shot as published
from fxcore.report.render import Table
from fxcore.report.results import Results, percent

ASKED = ("Ark", "POPAR")


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
    rows = [
        cells(results, Few(results, target, samples), tried) for target in targets(results) for samples in few.samples
    ]
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
    return Table(
        "Table 6. Few training images",
        caption,
        [record for row in rows for record, _ in row],
        header(tried, "training images"),
        [_row(row) for row in rows],
        lacking(rows, lambda one: f"{one['key']}, {one['samples']} images"),
    )


@dataclass(frozen=True, slots=True)
class Few:
    """Trainings on one number of a target's images."""

    results: Results
    target: Target
    samples: int

    @property
    def runs(self) -> Mapping[str, Any]:
        """Runs that were trained on so few."""
        return self.target.runs

    def value(self, run: str) -> float | None:
        """The mean over draws."""
        return self.target.value(run, self.samples)

    def differences(self, run: str) -> Mapping[str, Mapping[str, Any]]:
        """What a run has over others, paired by image."""
        found: Mapping[str, Mapping[str, Any]] = self.target.of(run, self.samples).get("differences", {})
        return found

    def gaps(self, column: Initialisation, run: str) -> Iterator[Gap]:
        """Why a run's cell has no mean, or no spread."""
        found = self.target.of(run, self.samples)
        if found.get("value") is None:
            yield Gap(column.label, "undefined in test", False)
        elif found.get("sd") is None:
            yield Gap(f"± of {column.label}", "one draw", True)

    def record(self, column: Initialisation, run: str | None, against: str | None) -> Record:
        """A row of the CSV, with the spread of the draws."""
        found = self.target.of(run, self.samples) if run else {}
        one = next(iter(self.runs.values()))
        in_print = published().get((self.target.dataset, self.samples))
        name = in_paper(column)
        spread = found.get("sd")
        return {
            "dataset": self.results.slice.titles[self.target.dataset],
            "key": self.target.dataset,
            "task": self.target.task,
            "metric": one["metric"],
            "samples": self.samples,
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


def _row(row: list[Cell]) -> tuple[str, ...]:
    first, _ = row[0]
    in_print = published().get((first["key"], first["samples"]))
    remark = f"published: {in_print.note}" if in_print and in_print.note else ""
    return compared_row(row, in_print, str(first["samples"]), text=_text, remark=remark)


def _text(one: Record) -> str:
    return text(one) + ("" if one["sd"] is None else f" ± {one['sd']:.1f}")
