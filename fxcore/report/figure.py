"""The figures by name, and writing them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl

from fxcore import escaping
from fxcore.files import atomic, write_text
from fxcore.report.cross_task import cross_task
from fxcore.report.drawn import Drawn
from fxcore.report.few_shot_curve import few_shot
from fxcore.report.finetuning import figure3_finetuning
from fxcore.report.leakage_map import leakage
from fxcore.report.method import figure1_method
from fxcore.report.panels import KINDS, panels
from fxcore.report.results import FigureResults
from fxcore.report.style import STYLE

FIGURES: dict[str, Callable[[FigureResults], Drawn]] = {
    "figure1_method": figure1_method,
    "figure2_cross_task": cross_task,
    "figure3_finetuning": figure3_finetuning,
    "few_shot": few_shot,
    "leakage": leakage,
    **{name: partial(panels, kind) for name, kind in KINDS.items()},
}
"""In the order of the index."""


def write(drawn: Drawn, png: Path, pdf: Path, caption: Path) -> None:
    """Write both formats, without dates, so that equal figures are equal files, and the caption as Markdown."""
    figure = drawn.figure
    with mpl.rc_context(STYLE), atomic(png) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
    made = io.BytesIO()  # where its file cannot be written, matplotlib says something else
    with mpl.rc_context(STYLE):
        figure.savefig(made, format="pdf", metadata={"CreationDate": None, "Producer": None, "Creator": None})
    with atomic(pdf) as part:
        part.write_bytes(made.getbuffer())
    write_text(caption, f"{escaping.paragraph(drawn.caption)}\n")
