"""The base of all specs: frozen, strict, every field is part of the key."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
"""A share: 0 <= share < 1."""


def later(default: Any) -> Any:
    """A field that was added after a release: at its default it is left out of JSON, and so of keys."""
    return Field(default=default, exclude_if=lambda value: value == default)


class Strict(BaseModel):
    """A frozen model without unknown fields and type conversion."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, protected_namespaces=()
    )


class Spec(Strict):
    """What one stage computes; `kind` names the module in `jobs` that computes it.

    `version` is raised by hand when the meaning of that module's code changes.
    """

    kind: str
    version: int = 1
