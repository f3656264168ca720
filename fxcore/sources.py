"""Which of our source files a module's behaviour depends on: its import closure inside the package.

Rules take these files as inputs; Snakemake compares them by checksum, so that an edit re-runs exactly the jobs that
import the edited file and a mere touch re-runs nothing.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


@cache
def _file(module: str) -> Path | None:
    path = _PACKAGE.parent / Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _imports(path: Path) -> frozenset[str]:
    """Modules of this package that a file imports anywhere in it, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(name for name in found if name.partition(".")[0] == _PACKAGE.name)


@cache
def closure(module: str) -> tuple[str, ...]:
    """Files, relative to the project, of `module` and of all it imports from the package, with the CSV tables of packages, sorted.

    Raises:
        ModuleNotFoundError: no file of the package is called `module`.
    """
    if _file(module) is None:
        raise ModuleNotFoundError(f"{module} is not a module of {_PACKAGE.name}")
    waiting, seen = [module], dict[str, Path]()
    while waiting:
        name = waiting.pop()
        if name in seen or (path := _file(name)) is None:
            continue
        seen[name] = path
        waiting.extend(_imports(path))
        waiting.append(name.rpartition(".")[0] or _PACKAGE.name)
    tables = {table for path in seen.values() if path.name == "__init__.py" for table in path.parent.glob("*.csv")}
    return tuple(sorted(str(path.relative_to(_PACKAGE.parent)) for path in {*seen.values(), *tables}))


def modules(name: str) -> tuple[str, ...]:
    """The module of that name; with `.*` at its end, every module of the package."""
    if not name.endswith(".*"):
        return (name,)
    package = name.removesuffix(".*")
    folder = _PACKAGE.parent / Path(*package.split("."))
    return tuple(f"{package}.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__")


def listing(*names: str) -> str:
    """Source files of some modules and of all that they import from the package, a line `<sha256>  <file>` each, sorted by file."""
    files = sorted({file for name in names for module in modules(name) for file in closure(module)})
    sums = (hashlib.sha256((_PACKAGE.parent / file).read_bytes()).hexdigest() for file in files)
    return "".join(f"{of}  {file}\n" for of, file in zip(sums, files, strict=True))


def digest(*names: str) -> str:
    """A checksum of the listing of some modules: of names and contents of their source files."""
    return hashlib.sha256(listing(*names).encode()).hexdigest()
