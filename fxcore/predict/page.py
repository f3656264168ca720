"""The page that shows all predictions of a folder: one file, no network, sorted by a click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from fxcore.files import write_text
from fxcore.predict.options import THRESHOLD
from fxcore.predict.overlay import NOTE, percent

_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ count }} predicted</title>
<style>
body { margin: 2rem; background: #15181c; color: #e8eaed; font: 15px/1.5 system-ui, sans-serif; }
a { color: #7cc4f5; }
.note { color: #ffb74d; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #3a4048; text-align: left; white-space: nowrap; }
td.number { text-align: right; }
th button { padding: 0; border: 0; background: none; color: inherit; font: inherit; cursor: pointer; }
th button:focus-visible { outline: 2px solid #7cc4f5; }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
figure { margin: 2.5rem 0 0; }
figcaption { overflow-wrap: anywhere; }
img { display: block; max-width: 100%; height: auto; }
</style>
</head>
<body>
<h1>{{ count }}</h1>
<p class="note">{{ note }}{% if synthetic %}. Trained on synthetic pictures: says nothing of patients{% endif %}.</p>
<p>Weights: {{ weights | join(", ") }}. Boxes that score {{ least }} or more are counted and drawn. For each dataset, the most
probable finding; click a heading to sort.</p>
<div class="scroll">
<table>
<thead>
<tr>
{% for title in titles %}
<th><button type="button">{{ title }}</button></th>
{% endfor %}
</tr>
</thead>
<tbody>
{% for card in cards %}
<tr>
<td data-value="{{ card.image }}"><a href="#{{ card.anchor }}">{{ card.image }}</a></td>
<td data-value="{{ card.boxes }}" class="number">{{ card.boxes }}</td>
{% for value, text in card.highest %}
<td data-value="{{ value }}">{{ text }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% for card in cards %}
<figure id="{{ card.anchor }}">
<figcaption>{{ card.image }}</figcaption>
<a href="{{ card.link }}"><img src="{{ card.link }}" alt="{{ card.image }} with predictions" loading="lazy"></a>
</figure>
{% endfor %}
<script>
"use strict";
const headings = [...document.querySelectorAll("th")];
const body = document.querySelector("tbody");
const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
  const first = column === 0 ? "ascending" : "descending";
  const other = column === 0 ? "descending" : "ascending";
  const order = heading.getAttribute("aria-sort") === first ? other : first;
  headings.forEach((one) => one.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const value = (row) => row.cells[column].dataset.value;
  body.append(...[...body.rows].sort((a, b) => sign * compare(value(a), value(b))));
}));
</script>
</body>
</html>
"""


def images(number: int) -> str:
    """So many images, in words."""
    return f"{number} {'image' if number == 1 else 'images'}"


def write(folder: Path, predictions: Sequence[Mapping[str, Any]], threshold: float = THRESHOLD) -> Path:
    """Write `index.html` into the folder of results and return its path.

    A prediction is what `fxcore predict` writes to JSON; its `overlay` names the picture in the folder. Boxes are counted from a
    score of `threshold` on.
    """
    titles = {key: of["title"] for found in predictions for key, of in found["datasets"].items()}
    page = Environment(autoescape=True, trim_blocks=True, undefined=StrictUndefined).from_string(_TEMPLATE)
    path = folder / "index.html"
    text = page.render(
        count=images(len(predictions)),
        note=NOTE,
        synthetic=any(found["synthetic"] for found in predictions),
        weights=sorted({found["weights"]["file"] for found in predictions}),
        least=percent(threshold),
        titles=["Image", "Boxes", *titles.values()],
        cards=[_card(number, found, list(titles), threshold) for number, found in enumerate(predictions, start=1)],
    )
    write_text(path, text)
    return path


def _card(number: int, found: Mapping[str, Any], keys: Sequence[str], threshold: float) -> dict[str, Any]:
    boxes = (box for of in found["datasets"].values() for box in of.get("localization", ()))
    return {
        "anchor": f"image-{number}",
        "image": found["image"],
        "link": quote(found["overlay"]),
        "boxes": sum(box["score"] >= threshold for box in boxes),
        "highest": [_highest(found["datasets"].get(key, {})) for key in keys],
    }


def _highest(of: Mapping[str, Any]) -> tuple[float, str]:
    """The greatest probability of a dataset and how it is written; below all others where there is none."""
    classes: Mapping[str, float] = of.get("classification", {})
    if not classes:
        return -1.0, "–"
    name = min(classes, key=lambda one: (-classes[one], one))
    return classes[name], f"{name} {percent(classes[name])}"
