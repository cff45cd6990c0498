"""Validates a tree against a model: pydantic finds the errors, which are reported in plain words."""

import json
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from layerscope.jobs.specs.faults import PathTo
from layerscope.orchestrator.experiment.faults import PlacedFault, suggestion
from layerscope.orchestrator.experiment.schema_in_words import (
    alternatives,
    entries_of,
    in_words,
    is_model,
    is_number,
    locate,
    unknown_key,
    words_of,
)
from layerscope.orchestrator.experiment.yaml.yaml_tree import (
    Node,
    fault_at,
    follow,
    got,
    plain,
    with_value,
    without,
)

Wrong = tuple[ErrorDetails, PathTo, Any]
Model = TypeVar("Model", bound=BaseModel)

_NOTHING: Mapping[PathTo, Any] = {}


def validated(
    model: type[Model], tree: Node, faults: list[PlacedFault], *, stand_ins: Mapping[PathTo, Any] = _NOTHING
) -> Model | None:
    """The model of a tree. Errors go to `faults`, and the model is then that of the valid rest.

    With the valid rest, further checks report their faults together; there, missing required keys get the
    values in `stand_ins`. None if nothing valid is left.
    """
    wrong = _wrong(model, tree)
    faults.extend(_fault(model, tree, error, path, annotation) for error, path, annotation in wrong)
    while wrong:
        rest = tree
        for error, path, _ in wrong:
            if error["type"] == "missing" and path in stand_ins and len(follow(rest, path)) == len(path):
                rest = with_value(rest, path, stand_ins[path])
            elif dropped := _what_to_drop(error, path):
                rest = without(rest, dropped)
            else:
                return None
        if rest == tree:
            return None
        tree, wrong = rest, _wrong(model, rest)
    return model.model_validate_json(json.dumps(plain(tree)))


def _wrong(model: type[BaseModel], tree: Node) -> list[Wrong]:
    try:
        model.model_validate_json(json.dumps(plain(tree)))
    except ValidationError as failure:
        located = [(error, locate(model, tree, error["loc"])) for error in failure.errors(include_url=False)]
        found = [(error, *place) for error, place in located if place is not None]
        return [wrong for wrong in found if not _counts_only_sound_items(tree, *wrong)]
    return []


def _counts_only_sound_items(tree: Node, error: ErrorDetails, path: PathTo, annotation: Any) -> bool:
    """Whether pydantic calls a list too short because of items that are faults of their own."""
    items = follow(tree, path)[-1].value
    return error["type"] == "too_short" and bool(len(items) >= error["ctx"]["min_length"])


def _fault(
    model: type[BaseModel], tree: Node, error: ErrorDetails, path: PathTo, annotation: Any
) -> PlacedFault:
    key = error["type"] == "extra_forbidden" or error["loc"][-1:] == ("[key]",)
    if error["type"] in ("union_tag_not_found", "union_tag_invalid"):
        path = (*path, error["ctx"]["discriminator"].strip("'"))
    return fault_at(tree, path, _message(model, tree, error, path, annotation), of_key=key)


def _message(model: type[BaseModel], tree: Node, error: ErrorDetails, path: PathTo, annotation: Any) -> str:
    match error["type"]:
        case "missing":
            return f"is missing; it must be {in_words(annotation)}"
        case "extra_forbidden":
            above, annotation_above = locate(model, tree, error["loc"][:-1]) or ((), model)
            return unknown_key(str(path[-1]), entries_of(annotation_above, follow(tree, above)[-1]))
        case "union_tag_not_found":
            return f"is missing; it must be one of {', '.join(_tags(annotation, path[-1]))}"
        case "union_tag_invalid":
            return _not_one_of(_tags(annotation, path[-1]), follow(tree, path)[-1])
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            pass
    if error["loc"][-1:] == ("[key]",):
        return f"the key must be {in_words(annotation)}"
    node = follow(tree, path)[-1]
    if error["type"] == "too_short":
        return f"must list at least {_values(error['ctx']['min_length'])}, not {len(node.value)}"
    close = suggestion(node.value, words_of(annotation)) if isinstance(node.value, str) else ""
    return f"must be {in_words(annotation)}, not {got(node)}{close}{_hint(path, annotation, node)}"


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _tags(annotation: Any, discriminator: str | int) -> tuple[str, ...]:
    models = [each for each in alternatives(annotation) if is_model(each)]
    return tuple(
        word for model in models for word in words_of(model.model_fields[str(discriminator)].annotation)
    )


def _not_one_of(words: tuple[str, ...], node: Node) -> str:
    rule = f"must be '{words[0]}'" if len(words) == 1 else f"must be one of {', '.join(words)}"
    close = suggestion(node.value, words) if isinstance(node.value, str) else ""
    return f"{rule}, not {got(node)}{close}"


def _hint(path: PathTo, annotation: Any, node: Node) -> str:
    match node.value:
        case tuple(items) if items and path[0] == "recipe":
            return "; put several values under grid"
        case str() if path[0] == "recipe" and isinstance(path[-1], int):
            return "; put several values under grid"
        case str(text) if is_number(annotation) and _reads_as_number(text):
            return "; write it without quotes"
        case str() | int() | float() if path == ("seeds",) or (path[0] == "grid" and len(path) == 2):
            return f"; write [{node.value}]"
    return ""


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _what_to_drop(error: ErrorDetails, path: PathTo) -> PathTo:
    """The wrong value; a list as a whole, so that the indices of what is left stay those of the file."""
    names = tuple(takewhile(lambda step: isinstance(step, str), path))
    return path[:-1] if error["type"] == "missing" and names == path else names
