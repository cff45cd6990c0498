"""Loads a measure of the user's own: the value `MEASURE` of its file, or an entry point."""

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
    """Where the measure is."""

    path: Path
    entry_point: str | None = None
    """`module:attribute`; none where the file is loaded by itself."""


def digest_of(path: Path) -> str:
    """sha256 of a file, 64 hexadecimal digits."""
    return sha256(path.read_bytes()).hexdigest()


def load(source: Source) -> LayerMeasure:
    """Run the file, and return the measure that it defines.

    Raises:
        ValueError: it cannot be run, or defines none; says which line.
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
    """What the measure declares, as JSON has it; for the planner, which runs no code of others itself."""
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
    loaded = module_from_spec(specification)
    sys.modules[name] = loaded
    specification.loader.exec_module(loaded)
    return getattr(loaded, ATTRIBUTE, None)


def _place(path: Path, error: Exception) -> str:
    """The file and the last line of it that was run."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{path}:{error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f"{path}:{lines[-1]}" if lines else str(path)
