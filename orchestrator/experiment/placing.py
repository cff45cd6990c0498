"""Where a fault of an experiment is: at a line of its files, or at an override."""

from dataclasses import replace

from layerscope.jobs.specs.faults import Fault, PathTo
from layerscope.orchestrator.experiment.faults import Place, PlacedFault
from layerscope.orchestrator.experiment.yaml.yaml_tree import Node, fault_at, follow

_ABOVE: tuple[PathTo, ...] = (("grid",), ("search", "space"), ("recipe",))
"""Places where a factor may be written, in order of precedence."""


def placed(tree: Node, fault: Fault) -> PlacedFault:
    """The fault at the override from which it follows, else at what is written of its path.

    A fault of a default is at the file alone; one without a path keeps the place that its message names.
    """
    if not fault.path:
        return PlacedFault(Place(""), "", fault.message)
    path = _of_factor(tree, fault.path) if fault.of_factor else fault.path
    if len(follow(tree, path)) == 1:
        return PlacedFault(Place(tree.place.source), "", str(fault))
    at_path = fault_at(tree, path, fault.message, of_key=fault.of_key)
    causes = (_written(tree, cause) for cause in fault.rests_on)
    overrides = (node.place for node in causes if node is not None and node.place.line is None)
    return replace(at_path, place=next(overrides, at_path.place))


def _of_factor(tree: Node, path: PathTo) -> PathTo:
    paths = ((*above, *path) for above in _ABOVE)
    return next((each for each in paths if _written(tree, each) is not None), path)


def _written(tree: Node, path: PathTo) -> Node | None:
    nodes = follow(tree, path)
    return nodes[-1] if len(nodes) == len(path) + 1 else None
