"""What tables and figures know."""

from __future__ import annotations

from collections.abc import Collection

from fxcore.params.blocks import Block
from fxcore.params.model import Model
from fxcore.params.report import Evaluate, Report
from fxcore.params.runs import FewShot, Run
from fxcore.params.training import Pretrain


class TableSlice(Block):
    """For `table`: what captions, rows and columns say; `titles` of all datasets, `pretrain` of the joint run.

    Linux takes no argument of a command that is longer than 128 KiB: what 50 runs share must not stand here 50 times.
    """

    store_size: int
    titles: dict[str, str]
    runs: dict[str, Run]
    pretrain: Pretrain
    few_shot: FewShot
    evaluate: Evaluate
    allow_leakage: dict[str, str]
    left_out: tuple[str, ...]
    """Titles of datasets that are not there."""

    def leaky(self, shown: Collection[str]) -> list[str]:
        """A sentence for each run of `shown` that may test what it trains on; a `split` is there to show that, in a table which says so."""
        allowed = {
            run: why for run, why in self.allow_leakage.items() if run in shown and self.runs[run].role != "split"
        }
        return [
            f"{self.runs[run].title} ({run}) may test groups that it trains on: {why}." for run, why in allowed.items()
        ]


class FigureSlice(TableSlice):
    """For `figure`: also the joint run's network, and how pictures are drawn."""

    model: Model
    report: Report
