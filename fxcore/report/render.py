"""One table, four files: CSV is the truth; Markdown, LaTeX and HTML are views of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from fxcore import escaping
from fxcore.errors import InputError
from fxcore.files import atomic, write_text

_STYLE = """<style>
body { font: 13px sans-serif; margin: 1em; background: white; color: black }
p { max-width: 60em }
table { border-collapse: collapse }
th, td { padding: 0.2em 0.6em; border-bottom: 1px solid #ccc; text-align: left; vertical-align: top }
</style>"""


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a caption that says what was measured on what, and the content twice.

    `records` are for machines, a value a column (CSV); `header` and `rows` are for eyes (Markdown, LaTeX, HTML). A record of
    one dataset and task has their names under `key` and `task`, and the names of the runs behind it under `run` and columns that
    end in `_run`: `fxcore explain` goes by these.
    """

    title: str
    caption: str
    records: Sequence[Mapping[str, object]]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    missing: Sequence[str] = ()
    """Numbers that the parameters ask for and that could not be had, a line each: which cell, and why. A cell that is empty by
    design is none of them; its record says why under `note`, as theirs do."""


def complete(table: Table) -> None:
    """Check that every number that the parameters ask for is there.

    Raises:
        InputError: how many are not, the first of them, and why.
    """
    if table.missing:
        cells = "1 cell has" if len(table.missing) == 1 else f"{len(table.missing)} cells have"
        raise InputError(
            f"{table.title}: {cells} no number{'' if len(table.missing) == 1 else '; the first'}: {table.missing[0]}"
        )


def interval(one: Mapping[str, Any], column: str, sign: str = "") -> str:
    """A column's value with its interval, as printed."""
    value, low, high = (one[f"{column}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    interval = f" [{low:{sign}.1f}, {high:{sign}.1f}]" if low is not None and high is not None else ""
    return f"{value:{sign}.1f}{interval}"


def markdown(table: Table) -> str:
    """A heading, the caption and a pipe table."""

    def line(cells: Sequence[str]) -> str:
        """A row of the table."""
        return f"| {' | '.join(escaping.markdown(cell) for cell in cells)} |"

    heading = f"# {escaping.markdown(table.title)}"
    rule = f"|{'|'.join(' --- ' for _ in table.header)}|"
    return (
        "\n".join(
            [heading, "", escaping.paragraph(table.caption), "", line(table.header), rule, *map(line, table.rows)]
        )
        + "\n"
    )


def latex(table: Table) -> str:
    """A `table` environment in booktabs style."""

    def line(cells: Sequence[str]) -> str:
        """A row of the table."""
        return f"{' & '.join(escaping.latex(cell) for cell in cells)} \\\\"

    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{escaping.latex(table.title)}. {escaping.latex(table.caption)}}}",
            rf"\begin{{tabular}}{{{'l' * len(table.header)}}}",
            r"\toprule",
            line(table.header),
            r"\midrule",
            *map(line, table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def html(table: Table) -> str:
    """A page that needs no other file; Snakemake's report shows it where it would only offer a CSV for download."""

    def line(cells: Sequence[str], tag: str) -> str:
        """A row of the table."""
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return "\n".join(
        [
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(table.title)}</title>{_STYLE}</head>',
            f"<body><h1>{escape(table.title)}</h1>\n<p>{escape(table.caption)}</p>\n<table>",
            line(table.header, "th"),
            *(line(row, "td") for row in table.rows),
            "</table></body></html>\n",
        ]
    )


def write(table: Table, csv_path: Path, markdown_path: Path, latex_path: Path, html_path: Path) -> None:
    """Write all four files, each atomically."""
    with atomic(csv_path) as part, part.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, list(table.records[0] if table.records else table.header), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: escaping.cell(value) for name, value in one.items()} for one in table.records)
    write_text(markdown_path, markdown(table))
    write_text(latex_path, latex(table))
    write_text(html_path, html(table))
