"""What all parameter blocks share: strict, frozen, and equal JSON for equal values."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sorted = AfterValidator(lambda mapping: dict(sorted(mapping.items())))
"""Of a mapping whose order means nothing."""
Classes = Annotated[tuple[str, ...], Field(min_length=1)]


class Block(BaseModel):
    """A block of parameters: frozen, and every unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def canonical(self) -> str:
        """The block as JSON that is equal for equal values, however the file spells them.

        Fields come in the order of their definition. Mappings keep their order where it means something (datasets, runs,
        visits) and are sorted where it does not.
        """
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"), ensure_ascii=False)


def merged(base: dict[Any, Any], changes: dict[Any, Any]) -> dict[Any, Any]:
    """`base` with `changes` laid over it, mapping by mapping."""
    made = dict(base)
    for key, value in changes.items():
        inner = made.get(key)
        made[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return made
