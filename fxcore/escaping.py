"""Text of strangers on its way into tables and pages: titles, names of classes and files are words there, and nothing else.

Backslashes are what Markdown and reStructuredText have in common: a caption that is escaped for one is for the other.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

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
_MARKUP = re.compile(r"[\\|<>*_`&]|\](?=[(\[])")
"""What begins or ends something wherever it stands; a bracket only where it ends the words of a link."""
_LEADS = re.compile(r"[!-/:-@\[^{}~]")
"""What may begin a heading, a list, a quotation or a directive where a paragraph begins."""
_FORMULA = re.compile(r" *[=+\-@\t\r\n＝＋－＠]")
"""What a spreadsheet takes for the beginning of a formula."""
_NUMBER = re.compile(r"[+-]?[\d.]+")
_URL = re.compile(r"(?<![a-z])[a-z]{2,9}://[^\s'\"<>]+", re.IGNORECASE)
_BREAKS = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]+")


def redacted(url: str) -> str:
    """A URL that anybody may read: without login, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def without_secrets(text: str) -> str:
    """Text whose URLs anybody may read."""

    def shown(found: re.Match[str]) -> str:
        """A URL, and the stops of the sentence that it ends."""
        url = found[0].rstrip(";,.:)]")
        return redacted(url) + found[0][len(url) :]

    return _URL.sub(shown, text)


def one_line(text: str) -> str:
    """Text without breaks, control and formatting characters, which are written as Python writes them."""
    return "".join(one if one.isprintable() or one == "\xa0" else one.encode("unicode_escape").decode() for one in text)


def _flat(text: str) -> str:
    return one_line(_BREAKS.sub(" ", text))


def markdown(text: str) -> str:
    """Text within a line of Markdown or reStructuredText that shows it as it is."""
    return _MARKUP.sub(r"\\\g<0>", _flat(text))


def paragraph(text: str) -> str:
    """Text as a paragraph of its own there."""
    made = markdown(text).strip()
    return f"\\{made}" if _LEADS.match(made) else made


def latex(text: str) -> str:
    """Text as LaTeX that prints it as it is; a first bracket or star would belong to the command before it."""
    made = "".join(_LATEX.get(letter, letter) for letter in _flat(text))
    return f"{{{made[0]}}}{made[1:]}" if made[:1] in ("[", "*") else made


def cell(value: object) -> object:
    """A cell of a CSV: one line; text that a spreadsheet would compute is led by an apostrophe, numbers stay what they are."""
    if not isinstance(value, str):
        return value
    text = _BREAKS.sub(" ", value)
    return f"'{text}" if _FORMULA.match(value) and not _NUMBER.fullmatch(text) else text
