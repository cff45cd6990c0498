"""Content keys: the same work, and only the same work, has the same key on every machine."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from layerscope.jobs.specs.spec import Spec

KEY_LENGTH = 16


def stage_key(spec: Spec, parents: Mapping[str, str]) -> str:
    """Key of a stage: SHA-256 of its kind, its spec with all defaults, and its parents' keys by role."""
    # What pydantic writes as JSON needs no further check; plans have tens of thousands of stages.
    identity = {"kind": spec.kind, "spec": spec.model_dump(mode="json"), "parents": dict(parents)}
    return _digest(_CANONICAL.encode(identity))


def fingerprint(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return _digest(canonical_json(value))


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; refuses what it could not write the same everywhere.

    Raises:
        ValueError: a number that is not finite, a key that is not a string, or a type that JSON lacks.
    """
    _check(value, "value")
    return _CANONICAL.encode(value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_WRITTEN_ALIKE = frozenset((str, int, bool, type(None)))
"""Types that every machine writes alike, whatever the value."""


def _check(value: Any, path: str) -> None:
    match value:
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise ValueError(f"{path} has the key {key!r}: keys are strings")
                if type(item) not in _WRITTEN_ALIKE:
                    _check(item, f"{path}.{key}")
        case list() | tuple():
            for index, item in enumerate(value):
                if type(item) not in _WRITTEN_ALIKE:
                    _check(item, f"{path}[{index}]")
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{path} is {value}: a key is made of finite numbers only")
        case None | bool() | int() | str():
            return
        case _:
            raise ValueError(f"{path} is a {type(value).__name__}: a key is made of JSON values only")
