"""The parsed tree: plain values with their places."""

from dataclasses import dataclass, replace
from typing import Any

from layerscope.jobs.specs.faults import PathTo, dotted
from layerscope.orchestrator.experiment.faults import Place, PlacedFault


@dataclass(frozen=True)
class Node:
    """A scalar, a dict of nodes or a tuple of nodes, with the place of the value and of its key."""

    value: Any
    place: Place
    key_place: Place | None = None


def plain(node: Node) -> Any:
    """The values alone: scalars, dicts and lists."""
    match node.value:
        case dict(entries):
            return {key: plain(child) for key, child in entries.items()}
        case tuple(items):
            return [plain(item) for item in items]
        case scalar:
            return scalar


def follow(root: Node, path: PathTo) -> list[Node]:
    """The nodes along a path, the root first, as far as they exist."""
    nodes = [root]
    for step in path:
        child = child_of(nodes[-1], step)
        if child is None:
            break
        nodes.append(child)
    return nodes


def child_of(node: Node, step: str | int) -> Node | None:
    """The node under a key or at an index, if any."""
    match node.value, step:
        case dict(entries), str(key):
            child: Node | None = entries.get(key)
        case tuple(items), int(index) if 0 <= index < len(items):
            child = items[index]
        case _:
            child = None
    return child


def with_child(node: Node, step: str | int, child: Node | None) -> Node:
    """The node with another child at an existing or new key, at an index, or without it."""
    if isinstance(node.value, dict):
        entries = {**node.value, step: child}
        if child is None:
            del entries[step]
        return replace(node, value=entries)
    assert isinstance(step, int)
    items = node.value
    return replace(node, value=items[:step] + (() if child is None else (child,)) + items[step + 1 :])


def without(root: Node, path: PathTo) -> Node:
    """The tree without the node at a path."""
    step, *rest = path
    child = child_of(root, step)
    if child is None:
        return root
    return with_child(root, step, without(child, tuple(rest)) if rest else None)


def with_value(root: Node, path: PathTo, value: Any) -> Node:
    """The tree with a plain value at a path whose last step may be new; its place is that of the parent."""
    step, *rest = path
    if not rest:
        return with_child(root, step, _wrapped(value, root.place))
    child = child_of(root, step)
    assert child is not None
    return with_child(root, step, with_value(child, tuple(rest), value))


def fault_at(root: Node, path: PathTo, message: str, *, of_key: bool = False) -> PlacedFault:
    """A fault at the last node that exists along the path.

    Paths in a separate file (a task) are relative to that file's root.
    """
    nodes = follow(root, path)
    place = (nodes[-1].key_place if of_key else None) or nodes[-1].place
    start = 0
    if place.line is not None and place.source != root.place.source:
        start = [node.place.source for node in nodes].index(place.source)
    return PlacedFault(place, dotted(path[start:]), message)


def got(node: Node) -> str:
    """What a value is, in words."""
    match node.value:
        case None:
            return "an empty value (null)"
        case bool(truth):
            return str(truth).lower()
        case str(text):
            return f"the text {text if len(text) <= 60 else text[:57] + '...'!r}"
        case dict(entries):
            return "a mapping" if entries else "an empty mapping"
        case tuple(items):
            return "a list" if items else "an empty list"
        case number:
            return str(number)


def _wrapped(value: Any, place: Place) -> Node:
    match value:
        case dict(entries):
            return Node({key: _wrapped(child, place) for key, child in entries.items()}, place)
        case list(items):
            return Node(tuple(_wrapped(item, place) for item in items), place)
        case scalar:
            return Node(scalar, place)
