"""Loads a plug-in measure: the value `MEASURE` of its file, or an entry point."""

import sys
import traceback
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from layerscope.jobs.specs.measure import LayerMeasure

ATTRIBUTE = "MEASURE"


@dataclass(frozen=True)
class Source:
    """Where the measure is defined."""

    path: Path
    entry_point: str | None = None
    """`module:attribute`; None if the file is loaded by path."""


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    return sha256(path.read_bytes()).hexdigest()


def load(source: Source) -> LayerMeasure:
    """Execute the file and return the measure that it defines.

    Raises:
        ValueError: it fails (with the line), or defines no measure.
    """
    try:
        found = _attribute(source)
    except Exception as error:
        raise ValueError(f"{_place(source.path, error)}: {type(error).__name__}: {error}") from error
    if not isinstance(found, LayerMeasure):
        raise ValueError(
            f"{source.path}: defines no {ATTRIBUTE}: end it with {ATTRIBUTE} = LayerMeasure(title, function, "
            "curves), of which `from layerscope import Curve, LayerMeasure`"
        )
    if not found.curves:
        raise ValueError(f"{source.path}: {ATTRIBUTE} declares no curves: name each value that it returns")
    return found


def declared(path: str, entry_point: str | None) -> dict[str, Any]:
    """The measure's declaration as JSON values; for the planner, which executes no user code itself."""
    measure = load(Source(Path(path), entry_point))
    curves = {name: (curve.words, *curve.scale) for name, curve in measure.curves.items()}
    return {
        "title": measure.title,
        "words": measure.words,
        "curves": curves,
        "needs_labels": measure.needs_labels,
    }


def _attribute(source: Source) -> Any:
    if source.entry_point is not None:
        module, _, attribute = source.entry_point.partition(":")
        return getattr(import_module(module), attribute or ATTRIBUTE, None)
    name = f"layerscope_plugin_{digest_of(source.path)[:16]}"
    specification = spec_from_file_location(name, source.path)
    if specification is None or specification.loader is None:
        raise ValueError("not a file of Python: its name must end with .py")
    module = module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return getattr(module, ATTRIBUTE, None)


def _place(path: Path, error: Exception) -> str:
    """The file and its last executed line."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{path}:{error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f"{path}:{lines[-1]}" if lines else str(path)
