"""What all parameter blocks share: strict, frozen, and equal JSON for equal values."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fxcore.escaping import one_line

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
LARGEST = 20_000
"""Size of anything in a network; a file of weights that claims more is not believed."""
Size = Annotated[int, Field(ge=1, le=LARGEST)]
Layers = Annotated[int, Field(ge=1, le=1000)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sorted = AfterValidator(lambda mapping: dict(sorted(mapping.items())))
"""Of a mapping whose order means nothing."""


def _words(text: str) -> str:
    if one_line(text) != text or not text.strip():
        raise ValueError(f"{text!r} is no line of text; give words, without breaks and control characters")
    return text


def inside(name: str) -> str:
    """A path below a folder, without going up or being hidden.

    Raises:
        ValueError: it is none.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\\" in name or path.parts[0].startswith("."):
        raise ValueError(f"{name} is no path below the dataset's folder")
    return str(path)


Inside = Annotated[str, AfterValidator(inside)]
Words = Annotated[str, AfterValidator(_words)]
"""Text that tables and figures print; they escape what it has of their own signs."""
Classes = Annotated[tuple[Words, ...], Field(min_length=1)]


class Block(BaseModel):
    """A block of parameters: frozen, and every unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def canonical(self) -> str:
        """The block as JSON that is equal for equal values, however the file spells them.

        Fields come in the order of their definition. Mappings keep their order where it means something (datasets, runs,
        visits) and are sorted where it does not. No `<` is in it: Snakemake puts it into a script of its report, which a title could end.
        """
        text = json.dumps(self.model_dump(mode="json"), separators=(",", ":"), ensure_ascii=False)
        return text.replace("<", "\\u003c")


def merged(base: dict[Any, Any], changes: dict[Any, Any]) -> dict[Any, Any]:
    """`base` with `changes` laid over it, mapping by mapping."""
    made = dict(base)
    for key, value in changes.items():
        inner = made.get(key)
        made[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return made
