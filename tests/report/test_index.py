"""The page of all results: every table in full, every figure as a picture, and links that lead somewhere."""

import re

from fxcore import paths
from fxcore.report.index import index
from fxcore.report.render import Table, markdown

TABLES, FIGURES = ("table1_datasets", "table3_pretraining"), ("figure2_cross_task", "panels_localization")


def _page(results):
    for name in TABLES:
        table = Table(f"Table of {name}", "A caption.", [{"a": 1}], ["a"], [("1",)])
        for kind in paths.TABLE_KINDS:
            path = paths.table(results, name, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(markdown(table) if kind == "md" else "")
    for name in FIGURES:
        for kind in paths.FIGURE_KINDS:
            path = paths.figure(results, name, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"What {name} shows.\n" if kind == "md" else "")
    index(results, TABLES, FIGURES)
    return (results / "index.md").read_text()


def test_every_link_of_the_page_leads_to_a_file_beside_it(tmp_path):
    targets = re.findall(r"\]\(([^#)][^)]*)\)", _page(tmp_path))
    assert len(targets) == 2 * 3 + 2 * (1 + 2)
    for target in targets:
        assert (tmp_path / target).is_file(), target
        assert not target.startswith("/")


def test_tables_come_in_full_below_one_heading_and_figures_as_pictures(tmp_path):
    lines = _page(tmp_path).splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# Results",
        r"## Table of table1\_datasets",
        r"## Table of table3\_pretraining",
        "## Figure 2. Cross task",
        "## Panels localization",
    ]
    assert lines.count("A caption.") == lines.count("| 1 |") == 2
    assert [line for line in lines if line.startswith("!")] == [
        "![Figure 2. Cross task](figures/figure2_cross_task.png)",
        "![Panels localization](figures/panels_localization.png)",
    ]


def test_the_page_begins_with_a_list_of_its_headings_in_their_order(tmp_path):
    # A heading's anchor on GitHub and its like: small letters, no full stop, hyphens for spaces, underscores stay.
    assert _page(tmp_path).split("\n\n")[:2] == [
        "# Results",
        "- [Table of table1\\_datasets](#table-of-table1_datasets)\n"
        "- [Table of table3\\_pretraining](#table-of-table3_pretraining)\n"
        "- [Figure 2. Cross task](#figure-2-cross-task)\n"
        "- [Panels localization](#panels-localization)",
    ]


def test_a_figure_has_its_caption_above_it(tmp_path):
    lines = _page(tmp_path).splitlines()
    for name in FIGURES:
        at = lines.index(f"What {name} shows.")
        assert lines[at + 2].startswith("![")
        assert name in lines[at + 2]
