"""A project in a folder whose name no shell likes, with titles that are commands, formulas and tags: it runs, and they stay words."""

import csv
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from fxcore.planning.contents import ALL_FIGURES, ALL_TABLES
from tests.conftest import PROJECT, TINY, changed
from tests.hostile.test_shown import Seen
from tests.workflow.test_dvc import Project

SAFE = {
    "threads",
    "resources.gpu",
    "params.strict",
    "params.few_shot",
    "params.tables",
    "params.figures",
    "params.runs",
    "params.heads",
}
"""What commands have without quotes, beside wildcards: numbers, options of ours, and names, which are small letters and digits."""


def commands():
    """Every placeholder of every command of the rules, with its rule file."""
    for path in sorted(PROJECT.glob("workflow/rules/*.smk")):
        for block in re.findall(r'shell:\n((?:\s+["\'].*["\']\n?)+)', path.read_text()):
            for field in re.findall(r"\{([^{}]+)\}", block):
                yield path.name, field


def test_commands_quote_whatever_may_be_strange():
    found = list(commands())
    assert len({name for name, _ in found}) == len(list(PROJECT.glob("workflow/rules/*.smk")))
    bare = {field for _, field in found if not field.endswith(":q")}
    assert {field for field in bare if not field.startswith("wildcards.")} <= SAFE | {"params.family"}


def test_what_is_not_quoted_has_nothing_to_quote(tmp_path, monkeypatch):
    """Wildcards are constrained to names of the parameters, and these, like tables and figures, are words."""
    from fxcore.planning.plan import Plan

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(TINY.read_text())
    plan = Plan.load("params.yaml")
    names = [*plan.params.datasets, *plan.params.trained, *plan.data.families, *ALL_TABLES, *ALL_FIGURES]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in [*names, *plan.study.measured.split()[1:]])
    wildcards = {field.removeprefix("wildcards.") for _, field in commands() if field.startswith("wildcards.")}
    assert wildcards - set(plan.constraints) == {"table", "figure"}  # of which the command takes only those it knows
    for pattern in plan.constraints.values():
        for text in ("$(touch x)", "a b", "a;b", "../a", "a\nb", "'", ""):
            assert not re.fullmatch(pattern, text)


def _words(command):
    return f'=HYPERLINK("http://x.invalid") <script>alert(1)</script> $(touch injected{command}) `touch injected` $\\frac{{ | [a](b) é'


@pytest.mark.long
def test_the_whole_way_through_where_everything_is_strange(tmp_path):
    """Spaces, both quotes, a line break, letters of other alphabets, and what shells, spreadsheets and pages obey."""
    home = tmp_path / 'it\'s a "phäntom"\n$(touch injected1) `touch injected2`; touch injected3 & 骨'
    project = Project(home)
    content = changed(
        yaml.safe_load(TINY.read_text()),
        {
            "results_root": 'resu\'lts $(touch injected4) "ü"; touch injected5',
            "runs__foundation_x__title": _words(6),
            "runs__example_a_localization__title": f"@{_words(7)}",
            "finetune__transfer__title": f"-{_words(8)}",
            "report__titles__example_a": f".. include:: /etc/passwd {_words(9)}",
            "cxrlt__backbones__vit__title": f"+{_words(10)}",
            "cxrlt__ensembles__both__title": _words(11),
        },
    )
    file = home / "par 'ams' $(touch injected12) é.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    before = _files(home)
    said = project.snakemake("--config", f"params={file.name}")
    results = home / content["results_root"]
    assert f"{content['results_root']}/report.html shows every table and figure" in said
    assert "Nothing to be done" in project.snakemake("-n", "--config", f"params={file.name}")

    pictures = home / "pictures"
    pictures.mkdir()
    for at, path in enumerate(sorted((results / "phantoms/example_a").rglob("*.png"))[:2]):
        shutil.copy(path, pictures / f"{at} <img src=x onerror=alert(1)> $(touch injected13)\n'é\".png")
    weights = results / "weights/foundation_x.safetensors"
    project.run(
        sys.executable, "-m", "fxcore", "predict", "pictures", "--weights", str(weights), "--out", "said 'of' them"
    )
    page = Seen((home / "said 'of' them/index.html").read_text())
    assert {tag for tag, _ in page.tags}.isdisjoint({"b", "link", "iframe"})
    assert [tag for tag, _ in page.tags].count("img") == 2

    strange = [path for path in tmp_path.rglob("*") if path.name.startswith("injected")]
    assert strange == []
    assert [path.name for path in tmp_path.iterdir()] == [home.name]
    made = {
        name for name in _files(home) - before if not name.startswith((".snakemake/", "said 'of' them/", "pictures/"))
    }
    assert all(name.startswith(f"{content['results_root']}/") or "__pycache__" in name for name in made)
    _check_tables(results)
    assert project.run("dvc", "status", "--json").stdout


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".git/" not in str(path)}


def _check_tables(results: Path) -> None:
    """All that is made for readers has the titles as words."""
    titled = 0
    for path in sorted((results / "tables").glob("*.csv")):
        with path.open(newline="") as source:
            cells = [cell for row in csv.reader(source) for cell in row]
        titled += sum("HYPERLINK" in cell for cell in cells)
        assert not [
            one for one in cells if one[:1] in tuple("=+-@\t\r") and not re.fullmatch(r"[+-][\d.]+(e-?\d+)?", one)
        ]
    assert titled > 10
    for path in sorted((results / "tables").glob("*.html")):
        assert {"script", "a", "img"}.isdisjoint(tag for tag, _ in Seen(path.read_text()).tags), path
    for path in [
        *(results / "tables").glob("*.md"),
        *(results / "figures").glob("*.md"),
        results / "weights/foundation_x.md",
    ]:
        made = Seen(MarkdownIt("commonmark").enable("table").render(path.read_text()))
        assert {"script", "a", "img", "em"}.isdisjoint(tag for tag, _ in made.tags), path
    for path in sorted((results / "tables").glob("*.tex")):
        assert not re.search(r"(?<!\\)\$|\\frac", path.read_text()), path
    report = (results / "report.html").read_text()
    assert "HYPERLINK" in report
    assert "<script>alert(1)" not in report
