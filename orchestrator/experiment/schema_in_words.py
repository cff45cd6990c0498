"""Allowed values at a place, in words, from the annotations of the models."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from layerscope.jobs.specs.faults import PathTo
from layerscope.jobs.specs.layers import LAYER_WORDS
from layerscope.jobs.specs.targets import OWN_METRIC
from layerscope.orchestrator.experiment.faults import suggestion
from layerscope.orchestrator.experiment.yaml.yaml_tree import Node, child_of

_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "a name (letters, digits, '_', '.', '-'; first a letter or digit)",
    LAYER_WORDS: "last, all, first-N, last-N",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*(@[1-9][0-9]*)?$": "none, a name under pretraining, or name@step",
    r"^last(-[1-9][0-9]*)?$": "last or last-N",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits (0-9, a-f)",
    r"^(auto|[^\s/:]+:\d+)$": "auto or HOST:PORT",
    OWN_METRIC: "a Python file such as ./kappa.py, or module:attribute",
}
_SHORTHANDS = {
    "EncoderSource": "a name on the Hub, a folder (./...) or ",
    "Paper": "the name of a file in ../references or ",
    "Task": "the name of a file in ../tasks or ",
}


@dataclass(frozen=True)
class Entry:
    """What a key of a mapping takes."""

    annotation: Any
    required: bool


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types that a value may have besides null, each with its constraints."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *constraints = get_args(annotation)
        return tuple(Annotated[each, *constraints] for each in alternatives(inner))
    if origin in (Union, UnionType):
        return tuple(each for part in get_args(annotation) for each in alternatives(part))
    return () if annotation is NoneType else (annotation,)


def chosen(annotation: Any, node: Node) -> Any:
    """The alternative that a mapping or list was meant to be, without constraints; None if there is none."""
    options = [_bare(each) for each in alternatives(annotation)]
    if isinstance(node.value, dict):
        mappings = [each for each in options if is_model(each) or get_origin(each) is dict]
        return max(mappings, key=lambda option: _likeness(option, node), default=None)
    if isinstance(node.value, tuple):
        return next((each for each in options if get_origin(each) is tuple), None)
    return None


def entries_of(annotation: Any, node: Node) -> dict[str, Entry]:
    """The keys that a model knows for this mapping; those of all alternatives where it is still open."""
    options = [chosen(annotation, node), *map(_bare, alternatives(annotation))]
    entries: dict[str, Entry] = {}
    for model in filter(is_model, options):
        for name, field in model.model_fields.items():
            entries.setdefault(name, Entry(annotation_of(field), field.is_required()))
    return entries


def item_of(annotation: Any, node: Node) -> Any:
    """What a list's items are, or the values of a mapping with free names."""
    option = chosen(annotation, node)
    return get_args(option)[0 if get_origin(option) is tuple else 1]


def is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether this is a pydantic model."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def annotation_of(field: FieldInfo) -> Any:
    """A field's type with its constraints."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def locate(annotation: Any, root: Node, location: PathTo) -> tuple[PathTo, Any] | None:
    """The written path of a pydantic error's location, and what may stand there.

    Pydantic also names the alternative that it tried; None if that is not the one that was meant.
    """
    path: PathTo = ()
    node: Node | None = root
    option_above: Any = None
    for step in location:
        if len(options := alternatives(annotation)) > 1:
            option = chosen(annotation, node) if node else None
            if is_model(option):
                tried = str(step).partition("[")[0]  # a tuple is named with its items
                if tried in {_bare(each).__name__ for each in options} - {option.__name__}:
                    return None
                annotation = option
            elif get_origin(option) is tuple:
                if not str(step).startswith("tuple["):
                    return None
                annotation = next(each for each in options if _bare(each) == option)
            continue
        option = _bare(options[0]) if options else None
        if step == "[key]":
            return path, get_args(option_above)[0]
        if is_model(option):
            field = option.model_fields.get(str(step))
            annotation = annotation_of(field) if field else None
        else:
            annotation = get_args(option)[0 if get_origin(option) is tuple else 1]
        path, option_above = (*path, step), option
        node = child_of(node, step) if node else None
    return path, annotation


def in_words(annotation: Any) -> str:
    """What may be written, as it follows "must be"."""
    words = dict.fromkeys(_words(each) for each in alternatives(annotation))
    if "a number" in words:
        words.pop("a whole number", None)
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def words_of(literal: Any) -> tuple[str, ...]:
    """The words of a Literal, wherever it stands in an annotation; none for other types."""
    bare = [_bare(each) for each in alternatives(literal)]
    return tuple(str(word) for each in bare if get_origin(each) is Literal for word in get_args(each))


def unknown_key(key: str, known: Mapping[str, Entry]) -> str:
    """Says that a key is unknown, and what may be meant, here or one level below."""
    if close := suggestion(key, known):
        return f"unknown key{close}"
    for name, entry in known.items():
        models = [each for each in map(_bare, alternatives(entry.annotation)) if is_model(each)]
        if len(models) == 1 and key in models[0].model_fields:
            return f"unknown key (did you mean '{name}.{key}'?)"
    return f"unknown key; known here: {', '.join(known)}"


def is_number(annotation: Any) -> bool:
    """Whether a number may be written."""
    return any(_bare(each) in (int, float) for each in alternatives(annotation))


def takes_fractions(annotation: Any) -> bool:
    """Whether a number that is not whole may be written."""
    return any(_bare(each) is float for each in alternatives(annotation))


def _words(annotation: Any) -> str:
    bare, limits = _bare(annotation), _limits(annotation)
    if bare in (int, float):
        return ("a whole number" if bare is int else "a number") + _interval(limits)
    if bare is str:
        return _PATTERNS.get(limits.get("pattern", ""), "text")
    if bare is bool:
        return "true or false"
    if is_model(bare):
        return _SHORTHANDS.get(bare.__name__, "") + f"a mapping with the keys {', '.join(bare.model_fields)}"
    match get_origin(bare), get_args(bare):
        case origin, args if origin is Literal:
            return f"'{args[0]}'" if len(args) == 1 else f"one of {', '.join(map(str, args))}"
        case origin, (item, *_) if origin is tuple:
            count = f" of at least {limits['min_length']}" if limits.get("min_length", 0) > 1 else ""
            return f"a list{count}, each item {in_words(item)}"
    return "a mapping of names"


def _interval(limits: dict[str, Any]) -> str:
    words = {"gt": "above", "ge": "of at least", "lt": "below", "le": "at most"}
    parts = [f"{word} {limits[limit]}" for limit, word in words.items() if limit in limits]
    return " " + " and ".join(parts) if parts else ""


def _limits(annotation: Any) -> dict[str, Any]:
    constraints = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    flat = [
        part for each in constraints for part in (each.metadata if isinstance(each, FieldInfo) else [each])
    ]
    names = ("gt", "ge", "lt", "le", "min_length", "pattern")
    return {
        name: getattr(each, name) for each in flat for name in names if getattr(each, name, None) is not None
    }


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _likeness(option: Any, node: Node) -> tuple[int, int]:
    fields = option.model_fields if is_model(option) else {}
    kinds = {name: words_of(field.annotation) for name, field in fields.items()}
    tags = sum(kinds.get(key) == (child.value,) for key, child in node.value.items())
    return tags, len(fields.keys() & node.value.keys())
