"""What tables and figures know."""

from __future__ import annotations

from fxcore.params.blocks import Block
from fxcore.params.report import Evaluate, Report
from fxcore.params.runs import Run
from fxcore.params.training import Pretrain


class TableSlice(Block):
    """For `table`: what captions, rows and columns say; `titles` of all datasets, `pretrain` of each run."""

    store_size: int
    titles: dict[str, str]
    runs: dict[str, Run]
    pretrain: dict[str, Pretrain]
    evaluate: Evaluate


class FigureSlice(TableSlice):
    """For `figure`: also how pictures are drawn."""

    report: Report
