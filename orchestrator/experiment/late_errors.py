"""Errors found after reading (for example in an encoder's layers), reported at the line that causes them."""

import re

from layerscope.orchestrator.experiment.faults import Fault, Place
from layerscope.orchestrator.experiment.yaml.yaml_tree import Node, PathTo, fault_at, follow

_ABOVE: tuple[PathTo, ...] = (("grid",), ("search", "space"), ("recipe",), ())
"""Places where a factor may be written, in order of precedence."""
_NAMED = re.compile(r"([a-z_]+(?:\.[\w-]+)*): (.+)")


def at_places(message: str, tree: Node) -> str:
    """The lines of a message: a line that starts with a factor or a dotted path gets the line of the file, or
    the override, that sets it; only the file for a default. Other lines are unchanged.
    """
    return "\n".join(_at_place(line, tree) for line in message.split("\n"))


def _at_place(line: str, tree: Node) -> str:
    named = _NAMED.fullmatch(line)
    if named is None:
        return line
    steps, message = named[1].split("."), named[2]
    path: PathTo = tuple(int(step) if step.isdigit() else step for step in steps)
    for above in _ABOVE:
        nodes = follow(tree, (*above, *path))
        if len(nodes) == len(above) + len(path) + 1:
            return str(fault_at(tree, (*above, *path), message))
    if len(follow(tree, path)) > 1:
        return str(fault_at(tree, path, message))
    return str(Fault(Place(tree.place.source), "", line))
