"""Titles that are formulas, tags, links or directives: words in every table, on every page, in every figure."""

import csv
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from fxcore import paths
from fxcore.escaping import paragraph
from fxcore.files import write_text
from fxcore.models import artifact
from fxcore.params.model import Model
from fxcore.passes import Task
from fxcore.planning.plan import Plan
from fxcore.report import figure, render
from fxcore.report.drawn import Drawn
from fxcore.report.few_shot_curve import few_shot
from fxcore.report.index import index
from fxcore.report.render import Table
from fxcore.slices import make
from fxcore.slices.report import TableSlice
from tests.conftest import changed
from tests.report.conftest import handmade  # noqa: F401 - a fixture
from tests.report.study import STUDY
from tests.report.test_few_shot import FEW, FOUND
from tests.test_escaping import HOSTILE, plain

TITLES = [text for text in HOSTILE if text.isprintable()]


TABLE = {"table", "thead", "tbody", "tr", "th", "td"}


class Seen(HTMLParser):
    """The words of a page, and its tags and attributes."""

    def __init__(self, page):
        super().__init__()
        self.words, self.tags = [], []
        self.feed(page)

    def handle_data(self, data):
        self.words.append(data)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))


@pytest.mark.parametrize("title", HOSTILE)
def test_a_title_is_words_in_all_four_files_of_a_table_and_on_the_page_of_all(tmp_path, title):
    table = Table(
        title, f"{title}: a caption.", [{"dataset": title, "value": -1.5}], ("dataset", title), [(title, "-1.5")]
    )
    files = {kind: paths.table(tmp_path, "table1_datasets", kind) for kind in paths.TABLE_KINDS}
    render.write(table, *files.values())
    caption = paths.figure(tmp_path, "few_shot", "md")
    write_text(caption, f"{paragraph(f'{title}: what it shows.')}\n")
    index(tmp_path, ["table1_datasets"], ["few_shot"])

    with files["csv"].open(newline="") as source:
        (row,) = csv.DictReader(source)
    assert row["value"] == "-1.5"
    assert plain(row["dataset"].removeprefix("'")) == plain(title)
    assert row["dataset"][0] not in "=+-@\t\r"

    page = Seen(files["html"].read_text())
    assert {tag for tag, _ in page.tags} <= {"html", "head", "meta", "title", "style", "body", "h1", "p"} | TABLE
    assert list(map(plain, page.words)).count(plain(title)) == 4  # title, heading, column, cell

    shown = (tmp_path / "index.md").read_text()
    made = Seen(MarkdownIt("commonmark").enable("table").render(shown))
    assert {tag for tag, _ in made.tags} <= {"h1", "h2", "ul", "li", "a", "p", "img"} | TABLE
    links = {value for _, attrs in made.tags for name, value in attrs if name in ("href", "src")}
    assert all(one.startswith(("#", "tables/table1_datasets.", "figures/few_shot.")) for one in links)
    assert (
        plain("".join(made.words)).count(plain(title)) >= 5
    )  # contents, heading, caption, column, cell, and the figure's caption


def test_a_title_with_two_dollars_is_no_formula_of_a_figure(tiny, handmade):  # noqa: F811
    runs = changed(STUDY, {"runs__clavicle_random__title": r"$\frac{$ $(touch x)$"})
    drawn = few_shot(handmade(tiny(**runs | {"few_shot": FEW}), few_shot=FOUND))
    drawn.figure.draw_without_rendering()
    assert r"$\frac{$ $(touch x)$" in [text.get_text() for text in drawn.figure.axes[0].get_legend().get_texts()]


def test_snakemakes_report_shows_captions_as_they_are(tiny, tmp_path):
    from fxcore.machine import Machine

    plan = Plan(tiny(results_root=str(tmp_path)), Machine())
    made = Drawn(Figure(), ".. include:: /etc/passwd")
    figure.write(made, *(paths.figure(tmp_path, "few_shot", kind) for kind in paths.FIGURE_KINDS))
    assert plan.captions["few_shot"] == "\\.. include:: /etc/passwd\n"


@pytest.mark.parametrize("text", ["two\nlines", "tab\t", "\x1b[2J", "right to \u202e left", "", "  ", "\x00"])
@pytest.mark.parametrize(
    "key",
    [
        "runs__foundation_x__title",
        "report__titles__example_a",
        "datasets__example_a__classification__classes",
        "cxrlt__ensembles__both__title",
    ],
)
def test_a_title_that_is_no_line_of_text_is_refused_by_its_key(tiny, text, key):
    with pytest.raises(ValueError, match="is no line of text; give words, without breaks and control characters"):
        tiny(**{key: [text] if key.endswith("classes") else text})


@pytest.mark.parametrize("title", TITLES)
def test_other_titles_are_taken(tiny, title):
    assert tiny(runs__foundation_x__title=title).runs["foundation_x"].title == title


@pytest.mark.parametrize("title", TITLES)
def test_the_card_of_weights_is_a_page_of_words(title):
    network = Model.model_validate({"image_size": 64, "backbone": {"name": "resnet18"}})
    data = artifact.Data(title=title, classes={Task.CLASSIFICATION: (title,)}, licence=title)
    card = artifact.Card(title=title, origin={title: title}, licence=title, model=network, data={"a": data})
    made = Seen(MarkdownIt("commonmark").enable("table").render(artifact.page(card, "a.safetensors", "0" * 64)))
    assert {tag for tag, _ in made.tags} <= {"h1", "h2", "ul", "li", "p", "code"} | TABLE
    assert [tag for tag, _ in made.tags].count("code") == 2
    assert plain("".join(made.words)).count(plain(title)) >= 6


def test_a_title_cannot_end_the_script_that_snakemakes_report_keeps_parameters_in(tiny):
    title = "</script><script>alert(1)</script>"
    slice_ = make.table_slice(tiny(runs__foundation_x__title=title))
    assert "<" not in slice_.canonical()
    assert make.parse(TableSlice, slice_.canonical()).runs["foundation_x"].title == title
