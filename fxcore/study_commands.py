"""What each sub-command of the CXR-LT study does; libraries are imported by the one that needs them."""

from __future__ import annotations

from typing import Any

from fxcore import paths
from fxcore.arguments import Arguments, granted, launched, sliced
from fxcore.slices import make
from fxcore.slices.cxrlt import CorpusSlice, EvaluateHeadSlice, HeadSlice, SslSlice
from fxcore.slices.cxrlt_report import CxrltReportSlice


def corpus(arguments: Arguments) -> None:
    """List the pictures that pretraining without labels sees."""
    from fxcore.cxrlt.corpus import corpus as run
    from fxcore.data.store import open_stores

    slice_ = sliced(arguments, CorpusSlice, make.corpus_slice)
    stores = open_stores(arguments.results, slice_.datasets, slice_.store_size)
    run(slice_, stores, *(paths.corpus(arguments.results, kind) for kind in ("parquet", "json")))


def ssl(arguments: Arguments) -> None:
    """Pretrain a backbone without labels, at one resolution."""
    from fxcore import tablefile
    from fxcore.cxrlt.ssl import ssl as run
    from fxcore.data.store import open_stores

    backbone = arguments.backbone
    slice_ = sliced(arguments, SslSlice, lambda params: make.ssl_slice(params, backbone, arguments.resolution))
    results = arguments.results
    here = granted(arguments)
    if launched(arguments, here):
        return
    rows = tablefile.read(paths.corpus(results, "parquet"))
    stores = open_stores(results, rows["source"].unique(), slice_.store_size)
    output = paths.ssl(results, backbone, arguments.resolution)
    work = paths.cxrlt_work(results, backbone, f"{arguments.resolution}.safetensors")
    run(slice_, rows, stores, here, arguments.gpus, slice_.origin(results), output, work)


def keep_backbone(arguments: Arguments) -> None:
    """Keep a stage of a backbone."""
    from fxcore.cxrlt.keep_backbone import keep_backbone as run

    run(*(at(arguments.results, arguments.backbone, arguments.resolution) for at in (paths.ssl, paths.backbone)))


def head(arguments: Arguments) -> None:
    """Train a head on a frozen backbone, and predict what it is measured on."""
    from fxcore.cxrlt.head import head as run
    from fxcore.data.store import open_stores

    slice_ = sliced(arguments, HeadSlice, lambda params: make.head_slice(params, arguments.head))
    results, of = arguments.results, slice_.head
    run(
        slice_,
        paths.backbone(results, of.backbone, of.resolution),
        open_stores(results, slice_.datasets, slice_.store_size),
        granted(arguments),
        arguments.gpus,
        paths.head(results, slice_.name),
        paths.head_predictions(results, slice_.name),
        paths.cxrlt_work(results, "heads", f"{slice_.name}.safetensors"),
    )


def evaluate_head(arguments: Arguments) -> None:
    """Compute the metrics of a head or an ensemble from predictions."""
    from fxcore.cxrlt.evaluate_head import evaluate_head as run
    from fxcore.data.store import open_stores

    slice_ = sliced(arguments, EvaluateHeadSlice, lambda params: make.evaluate_head_slice(params, arguments.head))
    stores = open_stores(arguments.results, slice_.datasets, slice_.store_size)
    predictions = {name: paths.head_predictions(arguments.results, name) for name in slice_.heads}
    run(slice_, predictions, stores, paths.head_metrics(arguments.results, slice_.name))


def made(arguments: Arguments, name: str) -> Any:
    """A table or figure of the CXR-LT study."""
    from fxcore.report import cxrlt
    from fxcore.report.cxrlt.results import CxrltResults
    from fxcore.report.results import captioned

    slice_ = sliced(arguments, CxrltReportSlice, make.report_slice)
    shown: Any = {**cxrlt.TABLES, **cxrlt.FIGURES}[name](CxrltResults(arguments.results, slice_))
    return captioned(shown, slice_.left_out)
