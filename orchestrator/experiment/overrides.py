"""Overrides in Hydra's syntax: `a.b=1`, `+a.b=1`, `++a.b=1`, `~a.b`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_origin

from layerscope.jobs.specs.faults import dotted
from layerscope.orchestrator.experiment.faults import Place, PlacedFault, suggestion
from layerscope.orchestrator.experiment.schema_in_words import (
    alternatives,
    chosen,
    entries_of,
    in_words,
    is_model,
    item_of,
    unknown_key,
)
from layerscope.orchestrator.experiment.yaml.parsing import parse
from layerscope.orchestrator.experiment.yaml.yaml_tree import Node, child_of, with_child

Action = Literal["set", "add", "put", "delete"]

_ACTION_BY_SIGN: dict[str | None, Action] = {None: "set", "+": "add", "++": "put", "~": "delete"}
_SPELLING = re.compile(r"(\+\+|\+|~)?([^=+~\s][^=\s]*)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Override:
    """One change.

    `set` needs a key that the schema or the file knows, `add` one that is not written yet, `put` takes both.
    A mapping is merged into the mapping that is there, unless that may be of several kinds; anything else
    replaces what is there; null goes back to the default.
    """

    action: Action
    path: tuple[str, ...]
    value: Node
    place: Place


def parse_overrides(texts: Iterable[str], faults: list[PlacedFault]) -> list[Override]:
    """Overrides of the command line, values read as YAML; what cannot be read goes to `faults`."""
    overrides = []
    for text in texts:
        place = Place(f"override '{text}'")
        try:
            overrides.append(_parsed(text, place, faults))
        except ValueError as error:
            faults.append(PlacedFault(place, "", str(error)))
    return overrides


def profile_overrides(profile: Node) -> list[Override]:
    """The overrides of a profile: its keys may be dotted, its values may be nested."""
    return [
        Override("put", tuple(key.split(".")), value, value.key_place) for key, value in profile.value.items()
    ]


def applied(tree: Node, overrides: Iterable[Override], model: Any, faults: list[PlacedFault]) -> Node:
    """The tree after all changes in their order; those that fit nowhere in the model go to `faults`."""
    for override in overrides:
        try:
            tree = _changed(tree, model, override.path, override)
        except ValueError as error:
            faults.append(PlacedFault(override.place, ".".join(override.path), str(error)))
    return tree


def _parsed(text: str, place: Place, faults: list[PlacedFault]) -> Override:
    match = _SPELLING.fullmatch(text)
    if match is None or "" in match[2].split("."):
        raise ValueError("is not written as key.sub=value, +key=value or ~key")
    sign, path, written = match[1], tuple(match[2].split(".")), match[3]
    if (sign == "~") != (written is None):
        raise ValueError(
            "~key deletes and takes no value" if sign == "~" else f"has no value: write {text}=VALUE"
        )
    found: list[PlacedFault] = []
    value = _value(written or "", place, found)
    faults.extend(replace(fault, path=dotted((*path, fault.path)).removesuffix(".")) for fault in found)
    return Override(_ACTION_BY_SIGN[sign], path, value, place)


def _value(written: str, place: Place, faults: list[PlacedFault]) -> Node:
    try:
        node = parse(written, lambda mark: place, faults)
    except ValueError as error:
        raise ValueError(str(error).removeprefix(f"{place}: ")) from None
    return node or Node("", place)


def _changed(node: Node, annotation: Any, steps: tuple[str, ...], override: Override) -> Node:
    step, *rest = steps
    where = ".".join(override.path[: len(override.path) - len(steps)])
    key: str | int
    match node.value:
        case dict():
            _check_written(node, step, override.action if not rest else "put", where)
            key, below, required = step, *_entry(node, annotation, step, override, where)
        case tuple():
            key, below, required = _index(node, step, override, where), item_of(annotation, node), True
        case _:
            raise ValueError(f"{where} is {in_words(annotation)} and has no keys")
    child = child_of(node, key)
    if rest:
        child = _changed(child or Node({}, override.place), below, tuple(rest), override)
    elif override.action == "delete" or (override.value.value is None and not required):
        child = None
    else:
        child = _merged(child, below, override)
    return node if child is None and child_of(node, key) is None else with_child(node, key, child)


def _merged(current: Node | None, annotation: Any, override: Override) -> Node:
    new = override.value
    if current is None or len(alternatives(annotation)) != 1:
        return new
    if not (isinstance(new.value, dict) and isinstance(current.value, dict)):
        return new
    for key, value in new.value.items():
        part = replace(override, action="put", path=(*override.path, key), value=value)
        current = _changed(current, annotation, (key,), part)
    return current


def _check_written(node: Node, key: str, action: str, where: str) -> None:
    if action == "delete" and key not in node.value:
        written = f"{where or 'the file'} has {', '.join(node.value)}" if node.value else f"{where} is empty"
        raise ValueError(f"there is no '{key}' to delete{suggestion(key, node.value)}: {written}")
    if action == "add" and key in node.value:
        raise ValueError(f"'{key}' is already set: remove the + to change it")


def _entry(node: Node, annotation: Any, key: str, override: Override, where: str) -> tuple[Any, bool]:
    if not is_model(option := chosen(annotation, node)) and get_origin(option) is dict:
        if key not in node.value and override.action == "set":
            known = f"it has {', '.join(node.value)}" if node.value else "it is empty"
            close = suggestion(key, node.value)
            raise ValueError(f"there is no '{key}' under {where}{close}: {known}; +{where}.{key}... adds it")
        return item_of(annotation, node), False
    entries = entries_of(annotation, node)
    if key not in entries:
        raise ValueError(unknown_key(key, entries))
    return entries[key].annotation, entries[key].required


def _index(node: Node, step: str, override: Override, where: str) -> int:
    last = len(node.value) - 1
    may_append = override.action in ("add", "put")
    if step.isdecimal() and int(step) <= last + may_append:
        return int(step)
    items = f"has items 0 to {last}" if last > 0 else "has one item, 0" if last == 0 else "is an empty list"
    raise ValueError(f"{where} {items}; there is no '{step}'")
