"""Source files that a job depends on."""

import os
import subprocess
import sys

import pytest

from fxcore import sources
from tests.conftest import PROJECT


def test_a_closure_holds_what_a_module_imports_and_nothing_else():
    pretrain = sources.closure("fxcore.training.pretrain")
    assert {"fxcore/training/loop.py", "fxcore/models/localization/matcher.py", "fxcore/data/store.py"} <= set(pretrain)
    assert not [
        path for path in pretrain if "evaluation" in path or "report" in path or "phantom" in path or "cli" in path
    ]
    table = sources.closure("fxcore.report.table")
    assert not [path for path in table if path.startswith(("fxcore/models/", "fxcore/training/"))]
    assert not [path for path in sources.closure("fxcore.data.normalize") if "adapters/" in path]


def test_a_table_depends_on_the_published_numbers_and_training_does_not():
    published = "fxcore/report/published/pretraining.csv"
    assert published in sources.closure("fxcore.report.table")
    assert published not in sources.closure("fxcore.training.pretrain")
    visits = sources.closure("fxcore.data.visits")
    assert not [path for path in visits if path.startswith(("fxcore/models/", "fxcore/training/", "fxcore/phantom/"))]


def test_a_closure_is_what_python_really_imports():
    code = (
        "import sys, fxcore.training.pretrain\n"
        "print('\\n'.join(sorted(m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] == 'fxcore')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    imported = {str(os.path.relpath(line, PROJECT)) for line in ran.stdout.split()}
    assert set(sources.closure("fxcore.training.pretrain")) == imported


def test_a_file_in_many_closures_is_parsed_once(monkeypatch):
    parsed, parse = [], sources.ast.parse
    monkeypatch.setattr(sources.ast, "parse", lambda text: parsed.append(text) or parse(text))
    for known in (sources.closure, sources._imports):
        known.cache_clear()
    files = {file for name in ("data.store", "data.split") for file in sources.closure(f"fxcore.{name}")}
    assert len(parsed) == len({file for file in files if file.endswith(".py")})


def test_a_module_that_is_not_ours_is_said():
    with pytest.raises(ModuleNotFoundError, match=r"fxcore\.nothing is not a module of fxcore"):
        sources.closure("fxcore.nothing")
