"""What is found wrong after reading, as with an encoder's layers, told where the experiment asks for it."""

import re

from layerscope.orchestrator.experiment.faults import Fault, Place
from layerscope.orchestrator.experiment.yaml.yaml_tree import Node, PathTo, fault_at, follow

_ABOVE: tuple[PathTo, ...] = (("grid",), ("search", "space"), ("recipe",), ())
"""Where a factor may be written, that which decides first."""
_NAMED = re.compile(r"([a-z_]+(?:\.[\w-]+)*): (.+)")


def at_places(message: str, tree: Node) -> str:
    """The lines of a message, each that begins with a factor or a dotted path at the line of the file, or at
    the override, that says it; at the file alone where only a default does. Other lines stay as they are.
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
