"""What lies below a results root of the CXR-LT study, as its tables and figure read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fxcore import paths
from fxcore.files import read_json
from fxcore.report.results import Stores
from fxcore.slices.cxrlt_report import CxrltReportSlice

Cell = Mapping[str, Any]
"""What a metrics file says of one head on one set, for a task and an aggregation; empty where it says nothing."""
DEV, TEST, GOLD = SETS = ("dev", "test", "gold")
"""Sets that heads are evaluated on: validation and test of the labelled dataset, and the hand-labelled images."""
NONE, AVERAGE = AGGREGATIONS = ("none", "average")
TASK1, TASK2 = ("task1", "task2")
"""All classes, and those of the hand-labelled images."""

CHALLENGE = "cxr_lt_2024"
"""Adapter of the challenge's data."""
KINDS = {"linear": "linear", "ml_decoder": "ML-Decoder"}
"""Of heads, as tables print them."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A head or an ensemble by its name in the parameters, on one set, for one task, with one aggregation."""

    name: str
    set: str
    task: str
    aggregation: str
    cell: Cell
    frequency: Mapping[str, str]
    """Group of each class: head, medium or tail."""


class CxrltResults(Stores):
    """Artifacts of the CXR-LT study."""

    def __init__(self, root: Path, slice_: CxrltReportSlice) -> None:
        super().__init__(root, slice_.store_size, slice_.titles)
        self.slice = slice_

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the experiment: without hand-labelled images there is no second."""
        return (TASK1, TASK2) if self.slice.gold else (TASK1,)

    @property
    def official(self) -> bool:
        """Whether heads learn from the challenge's data, or phantoms of them: only beside such numbers the published ones stand."""
        return self.dataset(self.slice.labels).adapter == CHALLENGE

    def corpus(self) -> dict[str, Any]:
        """Images that self-supervision sees, by source, and how many of them an evaluation set has, too."""
        return read_json(paths.corpus(self.root, "json"))

    def metrics(self, name: str) -> dict[str, Any]:
        """Metrics of a head or an ensemble."""
        return read_json(paths.head_metrics(self.root, name))

    def scored(self, name: str, set_: str, task: str) -> dict[str, Scored]:
        """By aggregation what was found of a head, which has both, or of an ensemble, which only has the average."""
        found = self.metrics(name)
        cells = found["results"].get(set_, {}).get(task, {})
        of = (AVERAGE,) if name in self.slice.ensembles else AGGREGATIONS
        return {one: Scored(name, set_, task, one, cells.get(one, {}), found["frequency"]) for one in of}

    def title(self, name: str) -> str:
        """Of a head, which is unlike those of other heads but for settings of training, or of an ensemble."""
        if name in self.slice.ensembles:
            return self.slice.ensembles[name].title
        head = self.slice.heads[name]
        return f"{head.title}@{head.resolution}, {KINDS[head.kind]}"
