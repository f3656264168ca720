"""A validation error in one line: key, value, what is allowed, and the likely spelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError


def nearest(name: object, known: Iterable[object]) -> str:
    """The likely spelling of an unknown name, or all there are."""
    names = [str(one) for one in known]
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"


def _fields_at(root: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Names of the fields beside the last key of a location, for suggestions."""
    block: Any = root
    for key in location[:-1]:
        field = block.model_fields.get(key) if isinstance(block, type) and issubclass(block, BaseModel) else None
        candidates = _blocks(field.annotation if field else block)
        if not candidates:
            return []
        block = candidates[0]
    return list(block.model_fields)


def _blocks(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [block for part in getattr(annotation, "__args__", ()) for block in _blocks(part)]


def complaint(error: ValidationError, root: type[BaseModel]) -> str:
    """The first problem in one line: key, value, what is allowed."""
    # A misspelt key is also a missing one; the misspelling says more.
    problems = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    first = problems[0]
    location = tuple(part for part in first["loc"] if not str(part).startswith("["))  # [key], or the kind of a union
    key = ".".join(map(str, location))
    message = str(first.get("ctx", {}).get("error", first["msg"]))
    if first["type"] == "extra_forbidden":
        line = f"{key} is not a parameter; {nearest(location[-1], _fields_at(root, location))}"
    elif first["type"] == "missing":
        line = f"{key} is missing; give a value"
    elif first["type"] == "value_error":
        line = f"{key}: {message}" if key else message
    else:
        line = f"{key} is {first['input']!r}; {message[0].lower()}{message[1:]}"
    more = len(problems) - 1
    return line + (f" (and {more} more)" if more else "")
