"""Every command that the README and the other pages show is one that works."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import fxcore
from fxcore import yamlfile
from fxcore.cli import parser
from tests.conftest import PROJECT

BIN = Path(sys.executable).parent
PAGES = [
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").glob("**/*.md")),
]
TINY = tuple(Path("docs") / name for name in ("getting-started.md", "how-to/debug-a-job.md"))
"""Pages whose my.yaml is a copy of the tiny preset; on others it is the reader's own, and its commands cannot run here."""
OWN = "mine.yaml"
"""Also the reader's own."""


def commands(page: Path) -> list[str]:
    """What stands in the blocks marked as bash, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


COMMANDS = sorted({(page.relative_to(PROJECT), command) for page in PAGES for command in commands(page)})


def test_the_readme_is_short():
    assert (PROJECT / "README.md").read_text().count("\n") < 120


def test_there_are_commands_to_test():
    assert (Path("README.md"), "make reproduce") in COMMANDS
    assert (Path("README.md"), "make test") in COMMANDS


@pytest.mark.parametrize(
    ("page", "command"),
    [one for one in COMMANDS if OWN not in one[1] and ("my.yaml" not in one[1] or one[0] in TINY)],
    ids=str,
)
def test_a_command_of_the_docs(page, command):
    words = shlex.split(command.replace("my.yaml", "tests/presets/tiny.yaml"), comments=True)
    while words and "=" in words[0] and not words[0].startswith("-"):
        words.pop(0)  # a variable set for the command
    program = words[0]
    if program == "make":
        run = ["make", "-n", *words[1:]]
    elif words[1:] == ["--unlock"]:
        return  # other tests may be running Snakemake
    elif program == "snakemake":
        # SLURM's executor is not installed here; the rest of its profile is read.
        other = ["--executor", "local", "--cores", "1"] if "workflow/profiles/slurm" in words else []
        run = [str(BIN / "snakemake"), "-n", *other, *words[1:]]
    elif program == "python" or words[1] in ("explain", "predict"):
        # Here may be no results to read; tests/test_guide.py runs it.
        parser().parse_args(words[words.index("fxcore") + 1 :])
        return
    elif program == "fxcore":
        run = [sys.executable, "-m", "fxcore", *words[1:]]
    elif program == "dvc":
        run = [str(BIN / "dvc"), *words[1:], "--help"]  # here may be no results to ask about
    else:
        assert program in {".", "git", "cp", "cd", "export", "sed", "head"}, f"{page}: {command}"
        return
    ran = subprocess.run(run, cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_citation_and_changelog_are_of_this_version():
    assert yamlfile.load(PROJECT / "CITATION.cff")["version"] == fxcore.__version__
    newest = re.search(r"^## (\S+),? ", (PROJECT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest is not None
    assert newest[1].rstrip(",") == fxcore.__version__
