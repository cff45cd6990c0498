"""`${NAME}` and `${NAME:-default}`, which are read from the environment in paths only."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from layerscope.jobs.specs.faults import PathTo
from layerscope.orchestrator.experiment.faults import PlacedFault
from layerscope.orchestrator.experiment.yaml.yaml_tree import Node, fault_at

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def with_environment(
    root: Node,
    environ: Mapping[str, str],
    *,
    is_path: Callable[[PathTo], bool],
    where: str,
    faults: list[PlacedFault],
) -> Node:
    """The tree with every reference replaced; `where` names the fields that `is_path` accepts."""

    def visit(node: Node, path: PathTo) -> Node:
        match node.value:
            case dict(entries):
                return replace(
                    node, value={key: visit(child, (*path, key)) for key, child in entries.items()}
                )
            case tuple(items):
                return replace(
                    node, value=tuple(visit(item, (*path, index)) for index, item in enumerate(items))
                )
            case str(text) if "${" in text:
                value, message = (
                    _replaced(text, environ) if is_path(path) else (text, f"'${{' is read only in {where}")
                )
                faults.extend([fault_at(root, path, message)] if message else [])
                return replace(node, value=value)
            case _:
                return node

    return visit(root, ())


def _replaced(text: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    if "${" in _REFERENCE.sub("", text):
        return text, f"{text!r} is not written as ${{NAME}} or ${{NAME:-default}}"
    unset = [name for name, default in _references(text) if default is None and name not in environ]
    if unset:
        names = ", ".join(unset)
        return text, f"the environment variable {names} is not set; ${{{unset[0]}:-PATH}} gives a default"
    return _REFERENCE.sub(lambda match: environ.get(match[1]) or match[2] or "", text), None


def _references(text: str) -> list[tuple[str, str | None]]:
    return [(match[1], match[2]) for match in _REFERENCE.finditer(text)]
