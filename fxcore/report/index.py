"""One page that shows every table and figure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fxcore import paths
from fxcore.files import write_text


def index(results: Path, tables: Iterable[str], figures: Iterable[str]) -> None:
    """Write `index.md` below the results root: contents, tables in full, figures with captions, links to their other formats."""
    parts: list[str] = []
    for name in tables:
        text = paths.table(results, name, "md").read_text(encoding="utf-8")
        parts += [f"#{text.rstrip()}", "", _links(results, name, paths.table, ("csv", "md", "tex")), ""]
    for name in figures:
        title = _title(name)
        picture = paths.figure(results, name, "png").relative_to(results)
        parts += [
            f"## {title}",
            "",
            paths.figure(results, name, "md").read_text(encoding="utf-8").rstrip(),
            "",
            f"![{title}]({picture})",
            "",
            _links(results, name, paths.figure, ("png", "pdf")),
            "",
        ]
    write_text(paths.index(results), "\n".join(["# Results", "", *_contents(parts), "", *parts]))


def _contents(parts: Iterable[str]) -> list[str]:
    """An item for each heading of the page."""
    titles = [line[3:] for part in parts for line in part.splitlines() if line.startswith("## ")]
    return [f"- [{title}](#{_anchor(title)})" for title in titles]


def _anchor(title: str) -> str:
    """Where a heading is on a rendered page, by the rule of GitHub, GitLab and VS Code: no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _links(results: Path, name: str, at: paths.Artifact, kinds: Iterable[str]) -> str:
    return " · ".join(f"[{kind}]({at(results, name, kind).relative_to(results)})" for kind in kinds)


def _title(name: str) -> str:
    """`figure2_cross_task` as a heading: Figure 2. Cross task."""
    numbered = re.fullmatch(r"figure(\d+)_(.*)", name)
    words = (numbered[2] if numbered else name).replace("_", " ").capitalize()
    return f"Figure {numbered[1]}. {words}" if numbered else words
