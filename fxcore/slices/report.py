"""What tables and figures know."""

from __future__ import annotations

from fxcore.params.blocks import Block
from fxcore.params.datasets import Dataset
from fxcore.params.report import Evaluate, Report, Run
from fxcore.params.training import Pretrain


class TableSlice(Block):
    """For `table`: what captions, rows and columns say; `pretrain` of each run."""

    seed: int
    store_size: int
    datasets: dict[str, Dataset]
    runs: dict[str, Run]
    pretrain: dict[str, Pretrain]
    evaluate: Evaluate


class FigureSlice(TableSlice):
    """For `figure`: also how pictures are drawn."""

    report: Report
