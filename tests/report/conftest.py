"""Results of a run by hand: what tables and figures read, without any job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fxcore import paths
from fxcore.files import write_json
from fxcore.params.experiment import Params
from fxcore.params.registry import registry
from fxcore.passes import Split
from fxcore.report.results import Results
from fxcore.slices.make import store_slice, table_slice
from fxcore.slices.report import TableSlice


@pytest.fixture
def handmade(tmp_path):
    """Results below a folder: `handmade(params, metrics={run: test}, choices={run: choice}, seen={run: seen},
    few_shot={run: metrics}, manifests={key: more}, counts={key: more})`; `counts` are those of a dataset's splits."""

    def make(
        params: Params,
        metrics: dict[str, Any] | None = None,
        choices: dict[str, Any] | None = None,
        seen: dict[str, Any] | None = None,
        synthetic: bool = True,
        few_shot: dict[str, Any] | None = None,
        manifests: dict[str, dict[str, Any]] | None = None,
        counts: dict[str, dict[str, Any]] | None = None,
        of: Callable[[Params], TableSlice] = table_slice,
    ) -> Results:
        root: Path = tmp_path / "results"
        for key in params.datasets:
            made = json.loads(store_slice(params, key).canonical())
            folder = paths.store(root, key, params.store_size)
            write_json(
                folder / "manifest.json", {"synthetic": synthetic, "params": made, **(manifests or {}).get(key, {})}
            )
            known = registry().get(params.datasets[key].adapter)
            listed = list(Split) if known is None else list(known.expected.splits)
            write_json(
                paths.split(root, key, "json"),
                {"policy": "leak_free", "listed": listed, "withheld": {}, **(counts or {}).get(key, {})},
            )
        for run, of_run in (metrics or {}).items():
            write_json(paths.metrics(root, run), {"test": of_run, "seen": (seen or {}).get(run, {})})
        for run, choice in (choices or {}).items():
            write_json(paths.choice(root, run), choice)
        if few_shot:
            write_json(paths.few_shot_metrics(root), {"runs": few_shot})
        return Results(root, of(params))

    return make
