"""Files of strangers: bytes that are changed as disks, mistakes and enemies change them, and the only two ways to take them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fxcore.errors import InputError

_TIMES = int(os.environ.get("FXCORE_FUZZ", "1"))
"""FXCORE_FUZZ=50 tries fifty times as many examples, to look for more than a test of every day can."""
_SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], database=None
)
few = settings(_SETTINGS, max_examples=12 * _TIMES)
some = settings(_SETTINGS, max_examples=40 * _TIMES)

NUMBERS = (
    *(
        "",
        "-1",
        "0",
        "1e999",
        "-1e999",
        "nan",
        "NaN",
        "-0",
        "1" * 30,
        "9" * 5000,
        "0x10",
        "١",
        "²",
        "1_0",
        " 1 ",
        "1,5",
    ),
    *("4294967296", "9223372036854775808", "1e-320", "inf", "None", "null", "true"),
)
"""What is no number, or not the one that is meant."""
WORDS = (
    *(
        "",
        " ",
        "\0",
        "\x1b[31m",
        "two\nlines",
        "\r",
        '"',
        "'",
        "=1+1",
        "../../etc/passwd",
        "/etc/passwd",
        "a" * 300,
        "\u202e",
    ),
    *(
        "[" * 2000,
        "{}",
        "[]",
        "é" * 40,
        "\ud7ff",
        "a/../b",
        "..",
        ".",
        "~",
        "$(touch x)",
        "-",
        "https://me:pw@x.invalid/?t=1",
    ),
)
"""What is no name, class or path."""


def refused(read: Callable[[], Any], *names: object) -> str:
    """What is said where reading refuses, in one printable line that has the `names`; "" where it takes what is there."""
    try:
        read()
    except InputError as error:
        said = str(error)
        assert said.replace("\xa0", " ").isprintable()
        assert all(str(name) in said for name in names), said
        return said
    return ""


@st.composite
def bent(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file after up to four changes: bits turned, pieces cut out, doubled, overwritten or moved, the end gone."""
    made = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(made) - 1)))
        length = draw(st.sampled_from([1, 2, 4, 16, 256, 4096]))
        match draw(st.sampled_from(["bit", "cut", "end", "double", "zeros", "ones", "random", "text"])):
            case "bit" if made:
                made[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del made[at : at + length]
            case "end":
                del made[at:]
            case "double":
                made[at:at] = made[at : at + length]
            case "zeros":
                made[at : at + length] = bytes(min(length, len(made) - at))
            case "ones":
                made[at : at + length] = b"\xff" * min(length, len(made) - at)
            case "random":
                made[at : at + 4] = draw(st.binary(min_size=4, max_size=4))
            case "text":
                made[at : at + 1] = draw(st.sampled_from([*NUMBERS, *WORDS])).encode("utf-8", "replace")
    return bytes(made)


def written(path: Path, content: bytes) -> Path:
    """The file with this content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
