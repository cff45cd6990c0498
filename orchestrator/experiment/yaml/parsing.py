"""YAML 1.2 read into a tree that keeps line and column of every value and key."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode
from ruamel.yaml.reader import ReaderError

from layerscope.jobs.specs.faults import PathTo, dotted
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.faults import Place, PlacedFault, suggestion
from layerscope.orchestrator.experiment.yaml.yaml_tree import Node, got

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = {_PREFIX + name for name in ("null", "bool", "int", "float", "str")}
_TEXT = {_PREFIX + "timestamp", _PREFIX + "merge", _PREFIX + "value"}
"""What YAML 1.1 knew and 1.2 reads as words: dates, `<<` and `=`."""
_JARGON = {
    "the node content": "a value",
    "'<stream end>'": "the end",
    "unexpected end of stream": "the end",
    "'<scalar>'": "another value",
    "undefined alias": "the undefined alias",
}


def read_file(path: Path, faults: list[PlacedFault]) -> Node:
    """The mapping in a YAML file; what is wrong but does not keep it from being read goes to `faults`.

    Raises ConfigurationError when there is no such file, or nothing that can be read as a mapping.
    """
    text = _text(path)

    def place(mark: Any) -> Place:
        return Place(str(path), mark.line + 1, mark.column + 1)

    try:
        node = parse(text, place, faults)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if node is None:
        raise ConfigurationError(f"{path}: the file is empty")
    if not isinstance(node.value, dict):
        raise ConfigurationError(f"{node.place}: the file must be a mapping of keys, not {got(node)}")
    return node


def parse(text: str, place: Callable[[Any], Place], faults: list[PlacedFault]) -> Node | None:
    """The nodes of one YAML document, None if it is empty; raises ValueError where it is not YAML."""
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        raise ValueError(f"{place(error.problem_mark)}: {_syntax_in_words(error)}") from None
    except ReaderError as error:
        mark = _Mark(*_line_and_column(text, error.position))
        raise ValueError(f"{place(mark)}: the character {chr(error.character)!r} is not allowed") from None
    except (YAMLError, RecursionError) as error:
        raise ValueError(f"{place(_Mark(0, 0))}: cannot be read as YAML: {error}") from None
    return None if root is None else _Reading(yaml, place, faults).node(root, ())


@dataclass(frozen=True)
class _Mark:
    line: int
    column: int


@dataclass(frozen=True)
class _Reading:
    yaml: YAML
    place: Callable[[Any], Place]
    faults: list[PlacedFault]
    above: tuple[YamlNode, ...] = ()

    def node(self, node: YamlNode, path: PathTo, key_place: Place | None = None) -> Node:
        if any(node is each for each in self.above):
            self._fault(node, path, "the alias is inside the value that it repeats")
            return Node(None, self.place(node.start_mark), key_place)
        below = replace(self, above=(*self.above, node))
        return Node(below._value(node, path), self._start(node, key_place), key_place)

    def _start(self, node: YamlNode, key_place: Place | None) -> Place:
        """Where a value begins; an empty one is placed at its key, since ruamel places it at the next
        token."""
        is_empty = isinstance(node, ScalarNode) and node.value == "" and node.style is None
        return key_place if is_empty and key_place else self.place(node.start_mark)

    def _value(self, node: YamlNode, path: PathTo) -> Any:
        match node:
            case MappingNode(tag=tag) if tag == _PREFIX + "map":
                return self._entries(node, path)
            case SequenceNode(tag=tag) if tag == _PREFIX + "seq":
                return tuple(self.node(item, (*path, index)) for index, item in enumerate(node.value))
            case ScalarNode():
                return self._scalar(node, path)
            case _:
                self._refuse_tag(node, path)
                return None

    def _entries(self, node: MappingNode, path: PathTo) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._fault(key, path, "a key must be a word, not a list or a mapping")
            elif key.value in entries:
                first = entries[key.value].key_place
                assert first is not None
                self._fault(key, (*path, key.value), f"duplicate key, first in line {first.line}")
            else:
                entries[key.value] = self.node(value, (*path, key.value), self.place(key.start_mark))
        return entries

    def _scalar(self, node: ScalarNode, path: PathTo) -> Any:
        if node.tag in _TEXT:
            return node.value
        if node.tag not in _SCALARS:
            self._refuse_tag(node, path)
            return node.value
        try:
            value = self.yaml.constructor.construct_object(node)
        except ValueError:
            self._fault(node, path, f"{node.value!r} is not a value of the type {_short(node.tag)}")
            return node.value
        if isinstance(value, float) and not math.isfinite(value):
            self._fault(node, path, f"must be a finite number, not {node.value}")
        return value

    def _refuse_tag(self, node: YamlNode, path: PathTo) -> None:
        message = (
            f"the tag {_short(node.tag)} is not allowed: a value is text, a number, true, false, null, "
            "a list or a mapping"
        )
        self._fault(node, path, message)

    def _fault(self, node: YamlNode, path: PathTo, message: str) -> None:
        self.faults.append(PlacedFault(self.place(node.start_mark), dotted(path), message))


def _text(path: Path) -> str:
    try:
        written = path.read_bytes()
    except FileNotFoundError:
        names = sorted(each.name for each in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        listed = f"; {path.parent} has {', '.join(names)}" if names else ""
        message = f"{path}: the file does not exist{suggestion(path.name, names)}{listed}"
        raise ConfigurationError(message) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: the file cannot be read: {error.strerror}") from None
    try:
        return written.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = written[: error.start].decode("utf-8-sig", errors="replace")
        line, column = _line_and_column(before, len(before))
        message = f"{Place(str(path), line + 1, column + 1)}: the file is not in UTF-8"
        raise ConfigurationError(message) from None


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n"), position - (before.rfind("\n") + 1)


def _syntax_in_words(error: MarkedYAMLError) -> str:
    problem = error.problem or ""
    if "'\\t'" in problem or "tab" in problem:
        return "a tab where YAML wants spaces: indent with spaces"
    if "mapping values are not allowed here" in problem:
        return "a ':' too many: put a value that contains ': ' in quotes, and check the indentation"
    if "expected <block end>" in problem:
        return "the indentation does not fit the lines above"
    if start := re.fullmatch(r"found character '(.)' that cannot start any token", problem):
        return f"a value cannot begin with {start[1]}: put it in quotes"
    for jargon, words in _JARGON.items():
        problem = problem.replace(jargon, words)
    context = f" ({error.context})" if error.context and error.context.startswith("while") else ""
    return f"cannot be read as YAML: {problem}{context.replace('flow ', '').replace('node', 'value')}"


def _short(tag: Any) -> str:
    return str(tag).replace(_PREFIX, "!!")
