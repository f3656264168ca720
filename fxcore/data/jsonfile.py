"""JSON of releases and of users: what a file says, and which of its numbers are some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeGuard

from fxcore.errors import InputError

_FAR = 10**9
"""No picture has a pixel there."""


def load(path: Path) -> Any:
    """What a JSON file says.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); download it again") from error


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a number that a picture could have; JSON has some of any size, and Python's reads NaN and Infinity."""
    return type(value) in (int, float) and -_FAR < value < _FAR
