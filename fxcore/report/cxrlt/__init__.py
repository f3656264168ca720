"""The tables and the figure of the CXR-LT study by name."""

from __future__ import annotations

from collections.abc import Callable

from fxcore.report.cxrlt.board import cxrlt_test
from fxcore.report.cxrlt.data import cxrlt_data
from fxcore.report.cxrlt.ensemble import cxrlt_ensemble
from fxcore.report.cxrlt.prevalence import cxrlt_prevalence
from fxcore.report.cxrlt.results import CxrltResults
from fxcore.report.cxrlt.settings import cxrlt_settings
from fxcore.report.cxrlt.tasks import cxrlt_task1, cxrlt_task2
from fxcore.report.drawn import Drawn
from fxcore.report.render import Table

TABLES: dict[str, Callable[[CxrltResults], Table]] = {
    builder.__name__: builder
    for builder in (cxrlt_data, cxrlt_settings, cxrlt_task1, cxrlt_task2, cxrlt_ensemble, cxrlt_test)
}
"""In the order of the index."""
FIGURES: dict[str, Callable[[CxrltResults], Drawn]] = {"cxrlt_prevalence": cxrlt_prevalence}
"""In the order of the index."""
