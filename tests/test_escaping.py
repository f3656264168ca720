"""Any text in tables and pages is read by other libraries as that text: no link, no tag, no formula, no directive."""

import csv
import io
import re
from html import unescape

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fxcore import escaping
from fxcore.errors import LONGEST, InputError

HOSTILE = (
    '=HYPERLINK("http://x.invalid","y")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[a](javascript:alert(1))",
    "![a](http://x.invalid)",
    "`code` | cell",
    "&lt;b&gt;",
    "# heading",
    ".. include:: /etc/passwd",
    ".. raw:: html",
    ":raw-html:`<b>`",
    "`link <javascript:x>`_",
    "|replace|",
    "[1]_ and name_",
    r"\input{/etc/passwd}",
    "$(touch x) `touch y`; rm -rf z",
    "*[a]*",
    "two\nlines",
)
words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30) | st.sampled_from(HOSTILE)


def tried(test):
    """On any text, and on each of the hostile ones."""
    test = settings(max_examples=50, deadline=None)(given(words)(test))
    for text in HOSTILE:
        test = example(text)(test)
    return test


def plain(text):
    """As a reader sees it: what breaks lines is a blank, and blanks at the ends do not show."""
    return " ".join(re.sub(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]", " ", text).split())


def seen(text):
    return plain(escaping.one_line(plain(text)))


@tried
def test_markdown_is_read_as_the_text(text):
    made = MarkdownIt("commonmark").enable("table").render(f"| a |\n| --- |\n| x {escaping.markdown(text)} |\n")
    cell = re.search(r"<td>(.*)</td>", made)
    assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td)>)", made)
    assert plain(unescape(cell[1])) == plain(f"x {seen(text)}")


@tried
def test_a_caption_is_one_paragraph_of_markdown(text):
    made = MarkdownIt("commonmark").render(escaping.paragraph(f"{text} shows."))
    assert re.fullmatch(r"<p>[^<>]*</p>\n", made)
    assert plain(unescape(made[3:-5])) == seen(f"{text} shows.")


@tried
def test_and_one_paragraph_of_restructured_text(text):
    settings_ = {"report_level": 5, "halt_level": 6, "file_insertion_enabled": True, "raw_enabled": True}
    tree = publish_doctree(escaping.paragraph(f"{text} shows."), settings_overrides=settings_)
    assert {type(node) for node in tree.findall()} <= {nodes.document, nodes.paragraph, nodes.Text, nodes.reference}
    assert plain(tree.astext()) == seen(f"{text} shows.")


@tried
def test_no_letter_of_latex_is_a_command(text):
    made = escaping.latex(text)
    known = r"\\(textbackslash|textasciitilde|textasciicircum)\{\}|\\[&%$#_{}]|^\{[\[*]\}"
    assert not set(re.sub(known, "", made)) & set("\\&%$#_{}~^")
    assert "\n" not in made
    assert made[0] not in "[*"


@tried
def test_a_cell_of_a_spreadsheet_is_text(text):
    sink = io.StringIO()
    csv.writer(sink).writerow([escaping.cell(text), "x"])
    cell = next(csv.reader(io.StringIO(sink.getvalue(), newline="")))[0]
    assert plain(cell.removeprefix("'")) == plain(text.removeprefix("'"))
    assert cell.lstrip(" ")[:1] not in tuple("=+-@\t\r\n") or re.fullmatch(r"[+-]?[\d.]+", cell)


@pytest.mark.parametrize("value", [-1.5, -3, 0.0, None, True, "-1.5", "+3", "–", "1 = 1", "a-b"])
def test_numbers_and_harmless_text_stay_what_they_are(value):
    assert escaping.cell(value) == value


@example("\x1b[2J\u202egnp.exe\r\n")
@example("\udcff")
@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_an_error_is_one_printable_line(text):
    said = str(InputError(f"{text}: is wrong"))
    assert said.replace("\xa0", " ").isprintable()
    assert said.endswith(": is wrong")
    said.encode()


def test_an_error_that_quotes_a_large_cell_is_shortened_in_its_middle():
    said = str(InputError(f"a.csv, row 2: {'x' * 10**6}; remove it"))
    assert len(said) < LONGEST + 10
    assert said.startswith("a.csv, row 2: xx")
    assert said.endswith("xx; remove it")
