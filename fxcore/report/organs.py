"""Table 4: organs located and segmented, single-task baselines beside Foundation X."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fxcore.errors import InputError
from fxcore.evaluation.headline import headline, printed
from fxcore.evaluation.statistics import standing
from fxcore.passes import Task
from fxcore.report.finetuned import UNPRINTED, ours, shown, visited
from fxcore.report.gaps import Gap, missing, noted
from fxcore.report.published import organs as published
from fxcore.report.render import Table, interval
from fxcore.report.results import Results, percent

WHERE = "table4_organs"
COCO = "map"
"""Average precision over overlaps from 0.50 to 0.95, for the CSV."""
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two runs of a dataset and task, with their metrics there; empty where there is no such run."""

    dataset: str
    task: Task
    foundation_x: str | None
    baseline: str | None
    joint: Mapping[str, Any]
    alone: Mapping[str, Any]

    @classmethod
    def of(cls, results: Results, dataset: str, task: Task) -> Pair:
        """Of the runs shown in the table, the one that goes on from the joint run, and the first other that has one task alone."""
        names = shown(results, WHERE, dataset, task)
        mine = ours(results, names)
        alone = {dataset: (task,)}
        runs = results.slice.runs
        its = next((name for name in names if name != mine and runs[name].train.visits == alone), None)
        joint, other = (results.metrics(name)[dataset][task] if name else {} for name in (mine, its))
        return cls(dataset, task, mine, its, joint, other)

    @property
    def difference(self) -> Mapping[str, Any]:
        """What Foundation X has over the baseline, paired by image."""
        found: Mapping[str, Any] = self.joint.get("differences", {}).get(self.baseline, {})
        return found

    def gaps(self, organ: str, metric: str) -> Iterator[Gap]:
        """Columns of an organ without a number."""
        shown_as = printed(metric)
        for title, run, cell in (
            ("baseline", self.baseline, self.alone),
            ("Foundation X", self.foundation_x, self.joint),
        ):
            if run is None:
                yield Gap(f"{title} {shown_as}", f"no such run with shown_in: {WHERE}", True)
            elif _class(cell, metric, organ).get("value") is None:
                why = cell[standing(cell)][metric]["undefined"].get(organ, "undefined")
                yield Gap(f"{title} {shown_as}", why, False)
        if self.baseline and self.foundation_x and _of(self.difference, organ).get("value") is None:
            yield Gap(f"Δ {shown_as}", "one of the two compared has no number", False)


def table4_organs(results: Results) -> Table:
    """Organs on VinDr-CXR (Table 4 of the paper): a row an organ, localization and segmentation.

    Raises:
        InputError: no run is shown here.
    """
    names = shown(results, WHERE)
    if not names:
        raise InputError(f"runs: none with shown_in: {WHERE}; the table has nothing to show")
    pairs = [
        Pair.of(results, dataset, task)
        for dataset in visited(results, names)
        for task in (Task.LOCALIZATION, Task.SEGMENTATION)
    ]
    cells = [(pair, organ) for pair in pairs for organ in results.dataset(pair.dataset).classes(pair.task)]
    records = [_record(results, pair, organ) for pair, organ in cells]
    lacking = [
        line
        for pair, organ in cells
        for line in missing(f"{pair.dataset} {pair.task}, {organ}", pair.gaps(organ, _metric(results, pair.task)))
    ]
    metrics = [printed(_metric(results, task)) for task in (Task.LOCALIZATION, Task.SEGMENTATION)]
    header = ["dataset", "organ"]
    header += [text for one in metrics for text in (f"baseline {one}", f"Foundation X {one}", f"Δ {one}")]
    header += [text for one in metrics for text in (f"published baseline {one}", f"published Foundation X {one}")]
    header += ["test images (patients)", "note"]
    rows = [
        _row(key, organ, records) for key, organ in dict.fromkeys((one["dataset"], one["organ"]) for one in records)
    ]
    return Table("Table 4. Organs", _caption(results, pairs, names), records, header, rows, lacking)


def _caption(results: Results, pairs: Sequence[Pair], names: Sequence[str]) -> str:
    keys, runs = visited(results, names), results.slice.runs
    alone = dict.fromkeys(f"{runs[one.baseline].title} ({one.task})" for one in pairs if one.baseline)
    return (
        f"{results.kind(keys)} Test split of {results.named(keys)}, percent, with"
        f" {100 * results.slice.evaluate.confidence:.0f} % bootstrap intervals over patients; one seed; the teacher, without one the"
        " student, of the cycle that validation chose. Baselines are single-task runs from weights of their own:"
        f" {', '.join(alone) or 'none'}. Foundation X goes on from the joint run. Δ is Foundation X minus baseline, paired by image."
        " Each run has one head for all organs of a task; the paper trains a head for each organ. The CSV has COCO's average"
        f" precision ({COCO}) too. Published numbers are of the paper's data (one run, no intervals; Islam et al. 2025); which"
        f" overlap its localization metric asks for is not said. {results.split(keys)}"
    )


def _metric(results: Results, task: Task) -> str:
    return headline(task, results.slice.evaluate.iou)


def _of(found: Mapping[str, Any], organ: str) -> Mapping[str, Any]:
    of_class: Mapping[str, Any] = found.get("classes", {}).get(organ, {})
    return of_class


def _class(cell: Mapping[str, Any], metric: str, organ: str) -> Mapping[str, Any]:
    """An organ's number of the branch that stands for a run."""
    return _of(cell.get(standing(cell), {}).get(metric, {}), organ)


def _record(results: Results, pair: Pair, organ: str) -> Record:
    metric = _metric(results, pair.task)
    printed_there = published().get((pair.dataset, str(pair.task), organ))
    counts: Mapping[str, Any] = next((cell[standing(cell)] for cell in (pair.joint, pair.alone) if cell), {})
    remark = f"published: {printed_there.note}" if printed_there and printed_there.note else ""
    return {
        "dataset": results.slice.titles[pair.dataset],
        "key": pair.dataset,
        "organ": organ,
        "task": str(pair.task),
        "metric": metric,
        "run": pair.foundation_x,
        "baseline_run": pair.baseline,
        **percent("baseline", _class(pair.alone, metric, organ)),
        **percent("foundation_x", _class(pair.joint, metric, organ)),
        **percent("difference", _of(pair.difference, organ)),
        **percent(f"baseline_{COCO}", _class(pair.alone, COCO, organ)),
        **percent(f"foundation_x_{COCO}", _class(pair.joint, COCO, organ)),
        "published_baseline": printed_there and printed_there.baseline,
        "published_foundation_x": printed_there and printed_there.foundation_x,
        "test_images": counts.get("images"),
        "test_patients": counts.get("patients"),
        "note": noted([*pair.gaps(organ, metric), *([] if printed_there else [UNPRINTED])], remark),
    }


def _row(dataset: str, organ: str, records: Sequence[Record]) -> tuple[str, ...]:
    of_task = {one["task"]: one for one in records if (one["dataset"], one["organ"]) == (dataset, organ)}
    tasks = [of_task.get(task) for task in (Task.LOCALIZATION, Task.SEGMENTATION)]
    known = [one for one in tasks if one]
    counts = next(
        (f"{one['test_images']:,} ({one['test_patients']:,})" for one in known if one["test_images"]), "no run"
    )
    return (
        dataset,
        organ,
        *(text for one in tasks for text in _measured(one)),
        *(text for one in tasks for text in _printed(one)),
        counts,
        "; ".join(dict.fromkeys(one["note"] for one in known if one["note"])),
    )


def _measured(one: Record | None) -> tuple[str, str, str]:
    if one is None:
        return ("no such class",) * 3
    lacks = {"baseline": one["baseline_run"], "foundation_x": one["run"]}
    cells = [
        interval(one, name) if run and one[name] is not None else "undefined" if run else "no run"
        for name, run in lacks.items()
    ]
    return (*cells, interval(one, "difference", "+"))  # type: ignore[return-value]


def _printed(one: Record | None) -> tuple[str, ...]:
    numbers = (one["published_baseline"], one["published_foundation_x"]) if one else (None, None)
    return tuple("not in the paper" if number is None else f"{number:.2f}" for number in numbers)
