"""One table, three files: CSV is the truth, Markdown and LaTeX are views of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fxcore.files import atomic, write_text

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_MARKDOWN = {"\\": r"\\", "|": r"\|", "<": "&lt;", ">": "&gt;", "*": r"\*", "_": r"\_", "`": r"\`"}


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a caption that says what was measured on what, and the content twice.

    `records` are for machines, a value a column (CSV); `header` and `rows` are for eyes (Markdown, LaTeX).
    """

    title: str
    caption: str
    records: Sequence[Mapping[str, object]]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def interval(one: Mapping[str, Any], column: str, sign: str = "") -> str:
    """A column's value with its interval, as printed."""
    value, low, high = (one[f"{column}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    interval = f" [{low:{sign}.1f}, {high:{sign}.1f}]" if low is not None and high is not None else ""
    return f"{value:{sign}.1f}{interval}"


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text).replace("\n", " ")


def markdown(table: Table) -> str:
    """A heading, the caption and a pipe table."""

    def line(cells: Sequence[str]) -> str:
        """A row of the table."""
        return f"| {' | '.join(_escaped(cell, _MARKDOWN) for cell in cells)} |"

    rule = f"|{'|'.join(' --- ' for _ in table.header)}|"
    return (
        "\n".join([f"# {table.title}", "", table.caption, "", line(table.header), rule, *map(line, table.rows)]) + "\n"
    )


def latex(table: Table) -> str:
    """A `table` environment in booktabs style."""

    def line(cells: Sequence[str]) -> str:
        """A row of the table."""
        return f"{' & '.join(_escaped(cell, _LATEX) for cell in cells)} \\\\"

    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escaped(table.title, _LATEX)}. {_escaped(table.caption, _LATEX)}}}",
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


def write(table: Table, csv_path: Path, markdown_path: Path, latex_path: Path) -> None:
    """Write all three files, each atomically."""
    with atomic(csv_path) as part, part.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, list(table.records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table.records)
    write_text(markdown_path, markdown(table))
    write_text(latex_path, latex(table))
