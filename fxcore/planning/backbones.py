"""Whether timm has the networks that the parameters name, told from its source: importing it takes seconds, and torch."""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fxcore.errors import InputError
from fxcore.params.experiment import Params

_REGISTERED = re.compile(rb"^@register_model\s+def (\w+)\(", re.MULTILINE)
_RENAMED = re.compile(rb"^register_model_deprecations\(__name__, \{(.*?)\}\)", re.MULTILINE | re.DOTALL)


@cache
def known() -> frozenset[str]:
    """The names of timm's networks, without the tags of their weights, and names that it had for them."""
    found: set[bytes] = set()
    spec = find_spec("timm")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in Path(folder, "models").glob("*.py"):
            text = path.read_bytes()
            found.update(_REGISTERED.findall(text))
            for table in _RENAMED.findall(text):
                found.update(re.findall(rb"^\s*['\"]([^'\"]+)['\"]:", table, re.MULTILINE))
    return frozenset(name.decode() for name in found)


def check(params: Params) -> None:
    """See that every run's network can be built, before the first dataset is read.

    Raises:
        InputError: timm has no network of a name.
    """
    for run, one in params.trained.items():
        name = params.network(run).backbone.name
        if not {name, name.partition(".")[0]} & known():
            own = f"{params.place(run)}.train.override." if "backbone" in one.train.override.model else ""
            close = difflib.get_close_matches(name, sorted(known()), n=1)
            hint = f"did you mean {close[0]}?" if close else "timm.list_models() names all"
            raise InputError(f"{own}model.backbone.name: timm has no {name}; {hint}")
