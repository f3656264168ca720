"""YAML as DVC reads it (version 1.2 core schema), so that `1e-4`, `on` and `010` mean the same in every tool.

PyYAML alone follows YAML 1.1: `1e-4` would be a string, `on` a boolean, `010` eight. A key given twice is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from fxcore.errors import InputError

_LONGEST = 40
"""Letters of a whole number."""
DEEPEST, LARGEST = 50, 10**5
"""Of what a file says, in levels and in values, those that aliases stand for counted as often as they are named."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2, no silent duplicates, and no more than somebody could have meant."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML declares it

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """A node that is not too deep, and does not stand for too much."""
        alias, mark = self.check_event(yaml.AliasEvent), self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"is more than {DEEPEST} levels deep; is it meant?", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        assert node is not None
        if alias and node not in self.sizes:
            raise yaml.MarkedYAMLError(problem="an alias is of what it is in; write it out", problem_mark=mark)
        if not alias:
            inner = node.value if isinstance(node, yaml.CollectionNode) else ()
            self.sizes[node] = 1 + sum(
                self.sizes[part] for one in inner for part in (one if isinstance(one, tuple) else (one,))
            )
        if self.sizes[node] > LARGEST:
            raise yaml.MarkedYAMLError(
                problem=f"stands for more than {LARGEST:,} values; is it meant?", problem_mark=mark
            )
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What a node says; a tag that does not fit it is a mistake at its place."""
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(
                problem=f"{node.value!r:.80} is no {kind}", problem_mark=node.start_mark
            ) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys are each given once."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is no word; give a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice; keep one", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    if len(text) > _LONGEST:
        raise ValueError(text)
    return int(text, 0) if text.lower().startswith(("0x", "0o")) else int(text.replace("_", ""))


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def load(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds.

    Raises:
        InputError: the file is missing, is not YAML, gives a key twice, or holds something else than a mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give an existing parameter file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except (ValueError, yaml.reader.ReaderError) as error:  # of a character; the second has many lines
        raise InputError(
            f"{path}: has a character that no text has ({str(error).splitlines()[0]}); remove it"
        ) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise InputError(f"{path}, line {line}: {error.problem}") from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: expected a mapping of parameters, found {'nothing' if content is None else type(content).__name__}"
        )
    return content
